import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Closable } from '../common/closable.js';
import { MetaserverClient, type GetUsageReply } from '../gen/curvefs/v1/metaserver.js';
import type { FsInfo, StorageSpec } from '../model/filesystem.js';
import type { FsId } from '../model/ids.js';
import { CHANNEL_OPTIONS } from '../wire/channel-options.js';
import { fsInfoToProto, storageToProto } from '../wire/filesystem.js';
import { rpcErrorOf } from '../wire/grpc-error.js';
import type { RootSpec } from './fs-entry.js';

type Answer<Reply> = (error: ServiceError | null, reply: Reply) => void;

/** A store may be slow to say that it is not there. */
const PROBE_DEADLINE_MS = 15_000;
const CHANGE_DEADLINE_MS = 10_000;
/** `fs info` and `fs list` must answer when a metaserver does not. */
const ASK_DEADLINE_MS = 1500;

/** What the MDS asks of metaservers, over a connection to each. Errors are `RpcError` and name the metaserver. */
export class MetaserverStubs implements Closable {
  readonly #stubs = new Map<string, MetaserverClient>();

  async probeStorage(address: string, storage: StorageSpec): Promise<void> {
    const request = { storage: storageToProto(storage) };
    await this.#call<object>(address, (stub, answer) =>
      stub.probeStorage(request, new Metadata(), { deadline: Date.now() + PROBE_DEADLINE_MS }, answer),
    );
  }

  async createSlot(address: string, fs: FsInfo, root: RootSpec): Promise<void> {
    const request = { fs: fsInfoToProto(fs), rootMode: root.mode, rootUid: root.uid, rootGid: root.gid };
    await this.#call<object>(address, (stub, answer) =>
      stub.createSlot(request, new Metadata(), { deadline: Date.now() + PROBE_DEADLINE_MS }, answer),
    );
  }

  async deleteSlot(address: string, fsId: FsId): Promise<void> {
    await this.#call<object>(address, (stub, answer) =>
      stub.deleteSlot({ fsId }, new Metadata(), { deadline: Date.now() + CHANGE_DEADLINE_MS }, answer),
    );
  }

  getUsage(address: string, fsId: FsId): Promise<GetUsageReply> {
    return this.#call<GetUsageReply>(address, (stub, answer) =>
      stub.getUsage({ fsId }, new Metadata(), { deadline: Date.now() + ASK_DEADLINE_MS }, answer),
    );
  }

  close(): Promise<void> {
    for (const stub of this.#stubs.values()) stub.close();
    this.#stubs.clear();
    return Promise.resolve();
  }

  #call<Reply>(address: string, start: (stub: MetaserverClient, answer: Answer<Reply>) => unknown): Promise<Reply> {
    let stub = this.#stubs.get(address);
    if (stub === undefined) {
      stub = new MetaserverClient(address, credentials.createInsecure(), CHANNEL_OPTIONS);
      this.#stubs.set(address, stub);
    }
    const called = stub;
    return new Promise<Reply>((resolve, reject) => {
      start(called, (error, reply) => {
        if (error === null) resolve(reply);
        else reject(rpcErrorOf(error, `the metaserver at ${address}`));
      });
    });
  }
}
