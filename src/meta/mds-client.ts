import { randomUUID } from 'node:crypto';
import { credentials } from '@grpc/grpc-js';
import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import { MdsClient as MdsStub } from '../gen/curvefs/v1/mds.js';
import type { FsInfo, FsUsage, MountInfo, StorageSpec } from '../model/filesystem.js';
import type { ChunkId, FsId, SessionId } from '../model/ids.js';
import { CHANNEL_OPTIONS } from '../wire/channel-options.js';
import { fsInfoFromProto, fsUsageFromProto, mountInfoFromProto, storageToProto } from '../wire/filesystem.js';
import { RpcError, type RpcErrorCode } from '../wire/rpc-error.js';
import { safeNumber } from '../wire/safe-number.js';
import { unaryCall, type UnaryMethod } from './unary-call.js';

export interface MdsClientOptions {
  /** `HOST:PORT` of every MDS; the one that answered last is asked first. */
  readonly addresses: readonly string[];
  /** For one question to one MDS. */
  readonly deadlineMs?: number;
  /** For creating and deleting a filesystem: a metaserver and an object store are asked. */
  readonly longDeadlineMs?: number;
  /** How often the whole list is tried. */
  readonly rounds?: number;
}

/** What to register; limits of 0 mean none. */
export interface CreateFsSpec {
  readonly name: string;
  readonly storage: StorageSpec;
  readonly blockSizeBytes: number;
  readonly capacityBytes: number;
  readonly inodesMax: number;
  readonly rootMode: number;
  readonly rootUid: number;
  readonly rootGid: number;
}

export interface FsDetail {
  readonly fs: FsInfo;
  /** Undefined when its metaserver did not answer. */
  readonly usage: FsUsage | undefined;
  readonly mounts: readonly MountInfo[];
  readonly metaserverAlive: boolean;
}

export interface MdsStatus {
  readonly role: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly metaservers: readonly {
    readonly id: string;
    readonly address: string;
    readonly alive: boolean;
    readonly filesystems: number;
    readonly warnings: readonly string[];
  }[];
  readonly warnings: readonly string[];
  /** The MDS that answered. */
  readonly address: string;
}

/** Nobody answered: the next address may. */
const FAIL_OVER: readonly RpcErrorCode[] = ['unreachable', 'timeout', 'unavailable'];
const BACKOFF = { firstMs: 50, maxMs: 1000 };

/**
 * The registry as tools and mounts ask it: unary calls with deadlines over a list of addresses, failing over with jittered back-off.
 * Errors are `RpcError` with a one-line message: `unreachable`/`timeout` when no MDS answers, else what the MDS said (`not-found`, `exists`, `refused` …).
 * Every call may be repeated safely: creating carries a request id, a lost delete that finds nothing has been done, ids that were allocated and lost are a gap.
 */
export class MdsClient implements Closable {
  readonly #clock: Clock;
  readonly #addresses: readonly string[];
  readonly #deadlineMs: number;
  readonly #longDeadlineMs: number;
  readonly #rounds: number;
  readonly #stubs = new Map<string, MdsStub>();
  /** Index of the address that answered last. */
  #current = 0;

  constructor(deps: { readonly clock: Clock }, options: MdsClientOptions) {
    if (options.addresses.length === 0) throw new RpcError('invalid', 'no MDS address is given');
    this.#clock = deps.clock;
    this.#addresses = options.addresses;
    this.#deadlineMs = options.deadlineMs ?? 4000;
    this.#longDeadlineMs = options.longDeadlineMs ?? 30_000;
    this.#rounds = options.rounds ?? 3;
  }

  async status(signal?: AbortSignal): Promise<MdsStatus> {
    const reply = await this.#call((stub) => stub.status.bind(stub), {}, { signal });
    return {
      role: reply.role,
      version: reply.version,
      uptimeMs: safeNumber(reply.uptimeMs, 'uptimeMs'),
      metaservers: reply.metaservers,
      warnings: reply.warnings,
      address: this.#addresses[this.#current]!,
    };
  }

  async getFs(name: string, signal?: AbortSignal): Promise<FsDetail> {
    const reply = await this.#call((stub) => stub.getFs.bind(stub), { name }, { signal });
    return {
      fs: fsInfoFromProto(reply.fs),
      usage: reply.usage === undefined ? undefined : fsUsageFromProto(reply.usage),
      mounts: reply.sessions.map(mountInfoFromProto),
      metaserverAlive: reply.metaserverAlive,
    };
  }

  async listFs(signal?: AbortSignal): Promise<readonly FsInfo[]> {
    const reply = await this.#call((stub) => stub.listFs.bind(stub), {}, { signal });
    return reply.filesystems.map(fsInfoFromProto);
  }

  async createFs(spec: CreateFsSpec, signal?: AbortSignal): Promise<FsInfo> {
    const request = {
      requestId: randomUUID(),
      name: spec.name,
      storage: storageToProto(spec.storage),
      blockSizeBytes: spec.blockSizeBytes,
      capacityBytes: BigInt(spec.capacityBytes),
      inodesMax: BigInt(spec.inodesMax),
      rootMode: spec.rootMode,
      rootUid: spec.rootUid,
      rootGid: spec.rootGid,
    };
    const deadlineMs = this.#longDeadlineMs;
    return fsInfoFromProto(await this.#call((stub) => stub.createFs.bind(stub), request, { signal, deadlineMs }));
  }

  async deleteFs(name: string, signal?: AbortSignal): Promise<void> {
    const lost = (error: RpcError): boolean => error.code === 'not-found';
    const deadlineMs = this.#longDeadlineMs;
    await this.#call((stub) => stub.deleteFs.bind(stub), { name }, { signal, deadlineMs, doneOnRetry: lost });
  }

  /** A range of chunk ids that nobody else will ever get. */
  async allocateChunkIds(
    fsId: FsId,
    sessionId: SessionId,
    count: number,
    signal?: AbortSignal,
  ): Promise<{ readonly first: ChunkId; readonly count: number }> {
    const request = { fsId, sessionId: BigInt(sessionId), count };
    const reply = await this.#call((stub) => stub.allocateChunkIds.bind(stub), request, { signal });
    const first = safeNumber(reply.first, 'first') as ChunkId;
    safeNumber(reply.first + BigInt(reply.count), 'first + count');
    if (first === 0 || reply.count === 0)
      throw new RpcError('internal', 'the MDS allocated an empty range of chunk ids');
    return { first, count: reply.count };
  }

  async close(): Promise<void> {
    for (const stub of this.#stubs.values()) stub.close();
    this.#stubs.clear();
  }

  async #call<Request, Reply>(
    method: (stub: MdsStub) => UnaryMethod<Request, Reply>,
    request: Request,
    options: {
      readonly signal: AbortSignal | undefined;
      readonly deadlineMs?: number;
      /** This error of a repeated call means that the first one was executed and its reply lost. */
      readonly doneOnRetry?: (error: RpcError) => boolean;
    },
  ): Promise<Reply | undefined extends Reply ? never : Reply> {
    const { signal, deadlineMs = this.#deadlineMs, doneOnRetry } = options;
    let failure: RpcError | undefined;
    for (let round = 0; round < this.#rounds; round++) {
      if (round > 0) await this.#clock.sleep(backoffMs(round - 1, BACKOFF), signal);
      for (let i = 0; i < this.#addresses.length; i++) {
        const index = (this.#current + i) % this.#addresses.length;
        const address = this.#addresses[index]!;
        try {
          const peer = `the MDS at ${address}`;
          const reply = await unaryCall(method(this.#stub(address)), request, { deadlineMs, peer, signal });
          this.#current = index;
          return reply as never;
        } catch (error) {
          if (!(error instanceof RpcError)) throw error;
          if (failure !== undefined && doneOnRetry?.(error) === true) return undefined as never;
          if (!FAIL_OVER.includes(error.code)) throw error;
          failure = error;
        }
      }
    }
    throw failure!;
  }

  #stub(address: string): MdsStub {
    let stub = this.#stubs.get(address);
    if (stub === undefined) {
      stub = new MdsStub(address, credentials.createInsecure(), CHANNEL_OPTIONS);
      this.#stubs.set(address, stub);
    }
    return stub;
  }
}
