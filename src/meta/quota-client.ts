import { credentials } from '@grpc/grpc-js';
import type { Closable } from '../common/closable.js';
import type { Clock } from '../common/clock.js';
import { MetaserverClient } from '../gen/curvefs/v1/metaserver.js';
import type { FsInfo } from '../model/filesystem.js';
import type { Quota, QuotaLimits } from '../model/quota.js';
import { CHANNEL_OPTIONS } from '../wire/channel-options.js';
import { bufferOf } from '../wire/operation.js';
import { quotaFromProto } from '../wire/quota.js';
import { unaryCall, type UnaryMethod } from './unary-call.js';

const DEADLINE_MS = 10_000;
const POLL_MS = 200;

/** The quotas of a filesystem as tools ask its metaserver. Every call may be repeated. Errors are `RpcError` with a one-line message. */
export class QuotaClient implements Closable {
  readonly #fs: FsInfo;
  readonly #clock: Clock;
  readonly #stub: MetaserverClient;

  constructor(deps: { readonly clock: Clock }, fs: FsInfo) {
    this.#fs = fs;
    this.#clock = deps.clock;
    this.#stub = new MetaserverClient(fs.metaserver, credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  /** Resolves when what the directory holds is counted. */
  async set(path: Uint8Array, { bytesMax, inodesMax }: Partial<QuotaLimits>): Promise<Quota> {
    const request = {
      fsId: this.#fs.id,
      path: bufferOf(path),
      bytesMax: bytesMax === undefined ? undefined : BigInt(bytesMax),
      inodesMax: inodesMax === undefined ? undefined : BigInt(inodesMax),
    };
    let quota = quotaFromProto(await this.#call(this.#stub.setQuota.bind(this.#stub), request));
    while (quota.counting) {
      await this.#clock.sleep(POLL_MS);
      quota = await this.get(path);
    }
    return quota;
  }

  async get(path: Uint8Array): Promise<Quota> {
    const request = { fsId: this.#fs.id, path: bufferOf(path) };
    return quotaFromProto(await this.#call(this.#stub.getQuota.bind(this.#stub), request));
  }

  async list(): Promise<readonly Quota[]> {
    const reply = await this.#call(this.#stub.listQuotas.bind(this.#stub), { fsId: this.#fs.id });
    return reply.quotas.map(quotaFromProto);
  }

  async delete(path: Uint8Array): Promise<void> {
    const request = { fsId: this.#fs.id, path: bufferOf(path) };
    await this.#call(this.#stub.deleteQuota.bind(this.#stub), request);
  }

  close(): Promise<void> {
    this.#stub.close();
    return Promise.resolve();
  }

  #call<Request, Reply>(method: UnaryMethod<Request, Reply>, request: Request): Promise<Reply> {
    return unaryCall(method, request, { deadlineMs: DEADLINE_MS, peer: `the metaserver at ${this.#fs.metaserver}` });
  }
}
