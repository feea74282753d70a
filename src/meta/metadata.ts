import type { MaybePromise } from '../common/maybe-promise.js';
import type { BlockExtents } from '../model/extent.js';
import type { FsInfo, FsUsage } from '../model/filesystem.js';
import type { ChunkId, Fh, Ino, SessionId } from '../model/ids.js';
import type { InodeAttr, Timespec } from '../model/inode.js';
import type { LockQuery, LockRange, LockSpec } from '../model/lock.js';
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
} from '../model/operation.js';

export {
  ACCESSES_MAX,
  areRenameFlags,
  FIRST_COOKIE,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
} from '../model/operation.js';
export type {
  Access,
  CloneSpec,
  CommitSpec,
  CreateResult,
  CreateSpec,
  DirEntry,
  DirPage,
  FallocateMode,
  FallocateSpec,
  NameRef,
  OpenSpec,
  OpId,
  RangeResult,
  Owner,
  SetAttr,
  SwapSpec,
} from '../model/operation.js';

/** What accompanies a mutating operation. */
export interface OpContext {
  readonly opId: OpId;
  /** Stops the waiting (EINTR); an operation that was sent may still be executed, and its open is released. */
  readonly signal?: AbortSignal | undefined;
}

/** The stored extents of a range of blocks, valid for 60 s after the reply, and the attributes at that moment. */
export interface ExtentMap {
  readonly attr: InodeAttr;
  /** Only blocks that have extents. */
  readonly blocks: readonly BlockExtents[];
  /** The first block that the reply says nothing about: the reply may be cut short of what was asked. */
  readonly nextBlock: number;
}

export interface OpenResult {
  readonly attr: InodeAttr;
  /** Extents of the file's first blocks when they are few, so that a small file needs no further question. */
  readonly extents: ExtentMap | undefined;
}

/** What an ended session left to be adopted: whether an inode may take its journal records. */
export interface AdoptCheck {
  /** Undefined when the inode is gone. */
  readonly attr: InodeAttr | undefined;
  /** Another session changed data or size since `change`. */
  readonly foreignChange: boolean;
}

/** What a reservation is of, when it is not of the filesystem's space. */
export interface QuotaShare {
  /** The directory that has the quota. */
  readonly quota: Ino;
  /** Bytes that are asked for ahead of need. */
  readonly ahead: number;
}

/** Answer to a reservation. */
export interface SpaceGrant {
  readonly granted: number;
  /** The server is still freeing what was removed or cut before: there will be more. */
  readonly freeing: boolean;
}

/**
 * The metadata service as a mount sees it: the only way from `vfs/` and `data/` to the namespace.
 *
 * Each method is one atomic operation on the server, named as the kernel names it; a mutating one takes an {@link OpContext} and is executed
 * exactly once however often it is sent. Answers may come from the cache, which asks one place whether it may serve them and until when.
 * Errors are `FsError`: the operation's POSIX errno; ETIMEDOUT when the service cannot be reached in time; ESHUTDOWN once the session is lost; EINTR when aborted.
 * Names are bytes. Nothing here checks permissions (that is `vfs/`), but existence, types, emptiness, link counts, loops and space are the server's to decide.
 */
export interface Metadata {
  readonly fs: FsInfo;
  readonly sessionId: SessionId;
  /** How long (seconds) an entry or attributes from the last reply may be cached by the kernel. */
  readonly entryTimeoutSec: number;
  readonly attrTimeoutSec: number;
  /** The metaserver's clock. */
  now(): Timespec;
  /** A fresh id for an operation that the kernel did not ask for. */
  clientOpId(): OpId;

  /** The entry's attributes; undefined = there is none. */
  lookup(parent: Ino, name: Uint8Array, signal?: AbortSignal): MaybePromise<InodeAttr | undefined>;
  /**
   * Where this client is removing entries one after another: an entry whose existence is confirmed though its attributes, as given here, are not. A removal needs no more,
   * and saves the question. Undefined = use {@link lookup}.
   */
  removable(parent: Ino, name: Uint8Array): InodeAttr | undefined;
  /** ENOENT when the inode is gone (unlinked and closed everywhere). */
  getattr(ino: Ino, signal?: AbortSignal): MaybePromise<InodeAttr>;
  /** The newest attributes that have arrived here, without asking and however old; undefined = none kept. Never older than what a mutation answered. */
  knownAttr(ino: Ino): InodeAttr | undefined;
  setattr(ctx: OpContext, ino: Ino, change: SetAttr): Promise<InodeAttr>;
  readlink(ino: Ino, signal?: AbortSignal): MaybePromise<Uint8Array>;
  create(ctx: OpContext, parent: Ino, name: Uint8Array, spec: CreateSpec): Promise<CreateResult>;
  link(ctx: OpContext, ino: Ino, newParent: Ino, newName: Uint8Array): Promise<InodeAttr>;
  unlink(ctx: OpContext, parent: Ino, name: Uint8Array): Promise<void>;
  rmdir(ctx: OpContext, parent: Ino, name: Uint8Array): Promise<void>;
  /** `whiteout`: who owns the whiteout that RENAME_WHITEOUT leaves behind. */
  rename(ctx: OpContext, from: NameRef, to: NameRef, flags: number, whiteout?: Owner): Promise<void>;
  readdir(ino: Ino, afterCookie: number, withAttrs: boolean, signal?: AbortSignal): Promise<DirPage>;

  /** Registers an open (session, handle) and returns fresh attributes: close-to-open. */
  open(ctx: OpContext, ino: Ino, spec: OpenSpec): Promise<OpenResult>;
  /** Ends an open; sent with the next frame, not waited for. */
  release(ino: Ino, fh: Fh): void;

  readExtents(ino: Ino, firstBlock: number, blockCount: number, signal?: AbortSignal): Promise<ExtentMap>;
  commitExtents(ctx: OpContext, ino: Ino, spec: CommitSpec): Promise<InodeAttr>;
  /** False when the expected extents are not there any more (nothing was changed). */
  swapExtents(ctx: OpContext, ino: Ino, spec: SwapSpec): Promise<boolean>;
  /** fallocate(2) of the part of the range that one operation can do. ENOSPC: that part is as it was. */
  fallocate(ctx: OpContext, ino: Ino, spec: FallocateSpec): Promise<RangeResult>;
  /** Lets a range of `ino` share the source's chunks, as far as one operation can do it; 0 bytes past the source's end. EINVAL when the ranges overlap. */
  cloneRange(ctx: OpContext, ino: Ino, spec: CloneSpec): Promise<RangeResult>;
  /** A chunk id that nobody else will ever get. */
  allocateChunkId(signal?: AbortSignal): MaybePromise<ChunkId>;

  /** The value; undefined = no such attribute. */
  getxattr(ino: Ino, name: Uint8Array, signal?: AbortSignal): MaybePromise<Uint8Array | undefined>;
  listxattr(ino: Ino, signal?: AbortSignal): MaybePromise<readonly Uint8Array[]>;
  /**
   * `flags`: XATTR_* of `model/operation.ts`. ENOSPC past the limits of one inode. An ACL (`model/acl.ts`) is checked, changes the mode with it, and is not kept where the mode says
   * it all.
   */
  setxattr(ctx: OpContext, ino: Ino, name: Uint8Array, value: Uint8Array, flags: number): Promise<void>;
  removexattr(ctx: OpContext, ino: Ino, name: Uint8Array): Promise<void>;

  /** Notes when files were read, at most {@link ACCESSES_MAX} of them: those that are later than what the server has. */
  updateAtimes(accesses: readonly Access[]): Promise<void>;

  /**
   * Sets, converts or drops a lock that holds for all sessions; resolves when that is done, with the attributes at the moment of a grant. Fails with EAGAIN, EDEADLK or ENOLCK, and with EINTR
   * when {@link cancelLock} ended the wait. It takes no signal: what was sent may be granted, and whoever sent it must know.
   */
  setLock(opId: OpId, ino: Ino, spec: LockSpec): Promise<InodeAttr | undefined>;
  /** The lock in the way; undefined = none. Its pid is 0 when another session holds it. */
  getLock(ino: Ino, query: LockQuery, signal?: AbortSignal): Promise<LockRange | undefined>;
  /** Ends the wait of a {@link setLock}, if it waits; what became of it is told there. */
  cancelLock(opId: OpId): Promise<void>;

  /** Limits and usage as the inode's tree sees them: of its quota, or of the filesystem. */
  statfs(ino: Ino, signal?: AbortSignal): MaybePromise<FsUsage>;
  /**
   * Asks that this session's reservation be `bytes` in all, spent by commits, and returns what was granted (less when the filesystem is nearly full;
   * infinite when it has no capacity limit).
   */
  reserve(bytes: number, signal?: AbortSignal, of?: QuotaShare): Promise<SpaceGrant>;
  /** Everything acknowledged so far is durable on the server when it resolves (fsync under `--durability relaxed`). */
  barrier(signal?: AbortSignal): Promise<void>;

  /** Which of an earlier session's operations were executed. */
  queryOps(session: SessionId, opIds: readonly OpId[]): Promise<readonly boolean[]>;
  /** Whether records that `session` wrote on `ino`, knowing its change number as `change`, may be placed on it now. */
  adoptCheck(session: SessionId, ino: Ino, change: number): Promise<AdoptCheck>;
  /** The journal of an ended session is adopted: its stored replies may go. */
  adoptEnd(session: SessionId): Promise<void>;
}
