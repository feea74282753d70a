import { FsError } from '../../src/common/fs-error.js';
import type { MaybePromise } from '../../src/common/maybe-promise.js';
import type { AdoptCheck, ExtentMap, Metadata, OpContext, OpenResult, SpaceGrant } from '../../src/meta/metadata.js';
import type { FsInfo, FsUsage } from '../../src/model/filesystem.js';
import type { ChunkId, Fh, FsId, Ino, SessionId } from '../../src/model/ids.js';
import type { InodeAttr, Timespec } from '../../src/model/inode.js';
import type {
  Access,
  CloneSpec,
  CommitSpec,
  CreateResult,
  CreateSpec,
  DirPage,
  FallocateSpec,
  NameRef,
  OpenSpec,
  OpId,
  RangeResult,
  Owner,
  SetAttr,
  SwapSpec,
} from '../../src/model/operation.js';
import type { LockQuery, LockRange, LockSpec } from '../../src/model/lock.js';
import { MemoryLocks } from './memory-locks.js';
import { MemoryNamespace } from './memory-namespace.js';

export interface MemoryMetadataOptions {
  /** The state; sessions that share one see each other's changes. */
  readonly namespace?: MemoryNamespace;
  readonly sessionId?: number;
  readonly fs?: Partial<FsInfo>;
  /** Called before each operation with its name: throw or reject to inject a fault, return a promise to delay it. */
  readonly before?: (op: string) => MaybePromise<void>;
  readonly entriesPerPage?: number;
  readonly attrTimeoutSec?: number;
  /** {@link Metadata.readExtents} answers for this many blocks at most. */
  readonly blocksPerReply?: number;
}

/** What sessions on one namespace share besides the files. */
interface Shared {
  nextChunkId: number;
  readonly executed: Set<string>;
  readonly locks: MemoryLocks;
}
const sharedOf = new WeakMap<MemoryNamespace, Shared>();

/**
 * An in-memory {@link Metadata} without a cache and without a network, for tests of what stands on it. Reads answer at once unless `before` delays them.
 * Exactly-once holds: an op id that comes again gets the first answer.
 */
export class MemoryMetadata implements Metadata {
  readonly fs: FsInfo;
  readonly sessionId: SessionId;
  readonly entryTimeoutSec = 1;
  readonly attrTimeoutSec: number;
  readonly namespace: MemoryNamespace;
  /** Names of the operations called, oldest first. */
  readonly calls: string[] = [];
  readonly #options: MemoryMetadataOptions;
  readonly #replies = new Map<string, Promise<unknown>>();
  readonly #shared: Shared;
  #nextOp = 1;
  /** What this session holds of the capacity; others' reservations are not kept from it. */
  #reservedBytes = 0;

  constructor(options: MemoryMetadataOptions = {}) {
    this.attrTimeoutSec = options.attrTimeoutSec ?? 1;
    this.#options = options;
    this.fs = {
      id: 1 as FsId,
      uuid: '00000000-0000-4000-8000-000000000001',
      name: 'test',
      storage: { kind: 'file', path: '/nowhere' },
      blockSizeBytes: 4 * 1024 * 1024,
      capacityBytes: 0,
      inodesMax: 0,
      chunkFormat: 1,
      metaserver: 'memory:0',
      createdMs: 0,
      ...options.fs,
    };
    this.sessionId = (options.sessionId ?? 1) as SessionId;
    this.namespace = options.namespace ?? new MemoryNamespace(this.fs.blockSizeBytes);
    this.#shared = sharedOf.get(this.namespace) ?? { nextChunkId: 1, executed: new Set(), locks: new MemoryLocks() };
    sharedOf.set(this.namespace, this.#shared);
  }

  now(): Timespec {
    return this.namespace.now();
  }

  clientOpId(): OpId {
    return { kind: 'client', number: this.#nextOp++, step: 0 };
  }

  lookup(parent: Ino, name: Uint8Array, signal?: AbortSignal): MaybePromise<InodeAttr | undefined> {
    return this.#read('lookup', signal, () => this.namespace.lookup(parent, name));
  }

  /** Nothing is cached here. */
  removable(): undefined {
    return undefined;
  }

  getattr(ino: Ino, signal?: AbortSignal): MaybePromise<InodeAttr> {
    return this.#read('getattr', signal, () => this.namespace.attr(ino));
  }

  knownAttr(ino: Ino): InodeAttr | undefined {
    return this.namespace.has(ino) ? this.namespace.attr(ino) : undefined;
  }

  setattr(ctx: OpContext, ino: Ino, change: SetAttr): Promise<InodeAttr> {
    return this.#mutate('setattr', ctx, () => this.namespace.setattr(this.sessionId, ino, change));
  }

  readlink(ino: Ino, signal?: AbortSignal): MaybePromise<Uint8Array> {
    return this.#read('readlink', signal, () => this.namespace.readlink(ino));
  }

  create(ctx: OpContext, parent: Ino, name: Uint8Array, spec: CreateSpec): Promise<CreateResult> {
    return this.#mutate(
      'create',
      ctx,
      () => {
        const full = this.fs.inodesMax > 0 && this.namespace.inodeCount >= this.fs.inodesMax;
        if (full && (spec.unnamed === true || this.namespace.lookup(parent, name) === undefined))
          throw new FsError('ENOSPC');
        return this.namespace.create(this.sessionId, parent, name, spec);
      },
      ({ attr }) => spec.open !== undefined && this.release(attr.ino, spec.open.fh),
    );
  }

  link(ctx: OpContext, ino: Ino, newParent: Ino, newName: Uint8Array): Promise<InodeAttr> {
    return this.#mutate('link', ctx, () => this.namespace.link(ino, newParent, newName));
  }

  unlink(ctx: OpContext, parent: Ino, name: Uint8Array): Promise<void> {
    return this.#mutate('unlink', ctx, () => this.namespace.unlink(parent, name));
  }

  rmdir(ctx: OpContext, parent: Ino, name: Uint8Array): Promise<void> {
    return this.#mutate('rmdir', ctx, () => this.namespace.rmdir(parent, name));
  }

  rename(ctx: OpContext, from: NameRef, to: NameRef, flags: number, whiteout?: Owner): Promise<void> {
    return this.#mutate('rename', ctx, () => this.namespace.rename(from, to, flags, whiteout));
  }

  async readdir(ino: Ino, afterCookie: number, withAttrs: boolean, signal?: AbortSignal): Promise<DirPage> {
    const limit = this.#options.entriesPerPage ?? 1000;
    return this.#read('readdir', signal, () => this.namespace.readdir(ino, afterCookie, withAttrs, limit));
  }

  open(ctx: OpContext, ino: Ino, spec: OpenSpec): Promise<OpenResult> {
    return this.#mutate(
      'open',
      ctx,
      () => {
        const attr = this.namespace.open(this.sessionId, ino, spec);
        const blockCount = Math.ceil(attr.size / this.fs.blockSizeBytes);
        return { attr, extents: blockCount > 4 ? undefined : this.#extents(ino, 0, Math.max(blockCount, 1)) };
      },
      () => this.release(ino, spec.fh),
    );
  }

  release(ino: Ino, fh: Fh): void {
    this.calls.push('release');
    this.namespace.release(this.sessionId, ino, fh);
  }

  async readExtents(ino: Ino, firstBlock: number, blockCount: number, signal?: AbortSignal): Promise<ExtentMap> {
    return this.#read('readExtents', signal, () => this.#extents(ino, firstBlock, blockCount));
  }

  commitExtents(ctx: OpContext, ino: Ino, spec: CommitSpec): Promise<InodeAttr> {
    return this.#mutate('commitExtents', ctx, () => {
      const before = this.namespace.usedBytes;
      const attr = this.namespace.commit(this.sessionId, ino, spec);
      this.#reservedBytes = Math.max(0, this.#reservedBytes - Math.max(0, this.namespace.usedBytes - before));
      const { capacityBytes } = this.fs;
      if (capacityBytes > 0 && this.namespace.usedBytes > capacityBytes) throw new FsError('ENOSPC');
      return attr;
    });
  }

  swapExtents(ctx: OpContext, ino: Ino, spec: SwapSpec): Promise<boolean> {
    return this.#mutate('swapExtents', ctx, () => this.namespace.swap(ino, spec));
  }

  fallocate(ctx: OpContext, ino: Ino, spec: FallocateSpec): Promise<RangeResult> {
    return this.#mutate('fallocate', ctx, () => {
      const free = this.fs.capacityBytes - this.namespace.usedBytes - this.#reservedBytes;
      const room = this.fs.capacityBytes === 0 ? Infinity : free;
      if (spec.mode !== 'punch' && this.namespace.fallocateGrowth(ino, spec) > room) throw new FsError('ENOSPC');
      return this.namespace.fallocate(this.sessionId, ino, spec);
    });
  }

  cloneRange(ctx: OpContext, ino: Ino, spec: CloneSpec): Promise<RangeResult> {
    return this.#mutate('cloneRange', ctx, () => this.namespace.clone(this.sessionId, ino, spec));
  }

  async updateAtimes(accesses: readonly Access[]): Promise<void> {
    return this.#read('updateAtimes', undefined, () => {
      for (const { ino, atime } of accesses) this.namespace.accessed(ino, atime);
    });
  }

  allocateChunkId(signal?: AbortSignal): MaybePromise<ChunkId> {
    return this.#read('allocateChunkId', signal, () => this.#shared.nextChunkId++ as ChunkId);
  }

  getxattr(ino: Ino, name: Uint8Array, signal?: AbortSignal): MaybePromise<Uint8Array | undefined> {
    return this.#read('getxattr', signal, () => this.namespace.getxattr(ino, name));
  }

  listxattr(ino: Ino, signal?: AbortSignal): MaybePromise<readonly Uint8Array[]> {
    return this.#read('listxattr', signal, () => this.namespace.listxattr(ino));
  }

  setxattr(ctx: OpContext, ino: Ino, name: Uint8Array, value: Uint8Array, flags: number): Promise<void> {
    return this.#mutate('setxattr', ctx, () => this.namespace.setxattr(ino, name, value, flags));
  }

  removexattr(ctx: OpContext, ino: Ino, name: Uint8Array): Promise<void> {
    return this.#mutate('removexattr', ctx, () => this.namespace.removexattr(ino, name));
  }

  setLock(opId: OpId, ino: Ino, spec: LockSpec): Promise<InodeAttr | undefined> {
    return this.#mutate('setLock', { opId }, async () => {
      const attr = spec.type === undefined ? undefined : this.namespace.attr(ino);
      await this.#shared.locks.set(this.sessionId, opKey(this.sessionId, opId), ino, spec);
      return attr && this.namespace.attr(ino);
    });
  }

  async getLock(ino: Ino, query: LockQuery, signal?: AbortSignal): Promise<LockRange | undefined> {
    return this.#read('getLock', signal, () => this.#shared.locks.get(this.sessionId, ino, query));
  }

  async cancelLock(opId: OpId): Promise<void> {
    // behind what was asked before
    await new Promise((resolve) => setImmediate(resolve));
    return this.#read('cancelLock', undefined, () => this.#shared.locks.cancel(opKey(this.sessionId, opId)));
  }

  statfs(_ino: Ino, signal?: AbortSignal): MaybePromise<FsUsage> {
    return this.#read('statfs', signal, () => ({
      capacityBytes: this.fs.capacityBytes,
      usedBytes: this.namespace.usedBytes,
      inodesMax: this.fs.inodesMax,
      usedInodes: this.namespace.inodeCount,
    }));
  }

  async reserve(
    bytes: number,
    signal?: AbortSignal,
    _of?: { readonly quota: Ino; readonly ahead: number },
  ): Promise<SpaceGrant> {
    return this.#read('reserve', signal, () => {
      const free = this.fs.capacityBytes === 0 ? Infinity : this.fs.capacityBytes - this.namespace.usedBytes;
      this.#reservedBytes = Math.max(0, Math.min(bytes, free));
      return { granted: free === Infinity ? free : this.#reservedBytes, freeing: false };
    });
  }

  async barrier(signal?: AbortSignal): Promise<void> {
    return this.#read('barrier', signal, () => undefined);
  }

  async queryOps(session: SessionId, opIds: readonly OpId[]): Promise<readonly boolean[]> {
    return this.#read('queryOps', undefined, () => opIds.map((id) => this.#shared.executed.has(opKey(session, id))));
  }

  async adoptCheck(session: SessionId, ino: Ino, change: number): Promise<AdoptCheck> {
    return this.#read('adoptCheck', undefined, () => {
      const attr = this.knownAttr(ino);
      if (attr === undefined) return { attr, foreignChange: false };
      return { attr, foreignChange: this.namespace.lastForeignWrite(ino, session) > change };
    });
  }

  async adoptEnd(session: SessionId): Promise<void> {
    return this.#read('adoptEnd', undefined, () => {
      for (const key of this.#shared.executed) if (key.startsWith(`${session}/`)) this.#shared.executed.delete(key);
    });
  }

  #extents(ino: Ino, firstBlock: number, blockCount: number): ExtentMap {
    const count = Math.min(blockCount, this.#options.blocksPerReply ?? Infinity);
    return {
      attr: this.namespace.attr(ino),
      blocks: this.namespace.extents(ino, firstBlock, count),
      nextBlock: firstBlock + count,
    };
  }

  #read<T>(op: string, signal: AbortSignal | undefined, fn: () => T): MaybePromise<T> {
    this.calls.push(op);
    if (signal?.aborted === true) throw new FsError('EINTR');
    const wait = this.#options.before?.(op);
    return wait instanceof Promise ? interruptible(wait.then(fn), signal) : fn();
  }

  #mutate<T>(op: string, ctx: OpContext, fn: () => T | Promise<T>, undo?: (result: T) => unknown): Promise<T> {
    this.calls.push(op);
    if (ctx.signal?.aborted === true) return Promise.reject(new FsError('EINTR'));
    const key = opKey(this.sessionId, ctx.opId);
    const stored = this.#replies.get(key);
    if (stored !== undefined) return stored as Promise<T>;
    const execute = async (): Promise<T> => {
      await this.#options.before?.(op);
      this.#shared.executed.add(key);
      return fn();
    };
    const reply = execute();
    this.#replies.set(key, reply);
    const { signal } = ctx;
    if (signal === undefined) return reply;
    // As the real client: an open whose caller went away does not stay.
    reply.then(
      (result) => signal.aborted && undo?.(result),
      () => undefined,
    );
    return interruptible(reply, signal);
  }
}

const opKey = (session: SessionId, { kind, number, step }: OpId): string => `${session}/${kind}/${number}/${step}`;

function interruptible<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new FsError('EINTR'));
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
