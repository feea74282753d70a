import type { FuseTime } from './requests.js';

/**
 * Replies as the handlers give them; `codec/encode.ts` turns them into bytes.
 * {@link FuseAttr} has the shape of the model's inode attributes, so that a handler passes those through without a copy.
 */

/** Attributes of a node, stat(2). */
export interface FuseAttr {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** In the kernel's new_encode form. */
  readonly rdev: number;
  readonly size: number;
  /** `st_blocks` is this / 512, rounded up. */
  readonly allocatedBytes: number;
  readonly atime: FuseTime;
  readonly mtime: FuseTime;
  readonly ctime: FuseTime;
}

/** Reply to LOOKUP, CREATE, MKNOD, MKDIR, SYMLINK, LINK, TMPFILE. Each one the kernel accepts counts as one lookup of the node. */
export interface EntryReply {
  /** 0 = the name does not exist, and the kernel may remember that for `entryTtlMs`. */
  readonly nodeid: number;
  /** With the nodeid unique for the life of the connection; 0 for the root. */
  readonly generation: number;
  readonly entryTtlMs: number;
  readonly attrTtlMs: number;
  /** Undefined only when `nodeid` is 0. */
  readonly attr: FuseAttr | undefined;
}

/** Reply to GETATTR and SETATTR. */
export interface AttrReply {
  readonly attrTtlMs: number;
  readonly attr: FuseAttr;
}

/** Reply to STATX. */
export interface StatxReply {
  readonly attrTtlMs: number;
  readonly attr: FuseAttr;
  readonly btime: FuseTime;
}

/** Reply to OPEN and OPENDIR. */
export interface OpenReply {
  readonly fh: number;
  /** FOPEN_* bits. */
  readonly openFlags: number;
  /** Only with FOPEN_PASSTHROUGH. */
  readonly backingId?: number;
}

/** Reply to CREATE and TMPFILE. */
export interface CreateReply {
  readonly entry: EntryReply;
  readonly open: OpenReply;
}

/** Reply to READ: the bytes, in one piece or several, together at most the size asked for. They go to the kernel without a copy. */
export type ReadReply = Uint8Array | readonly Uint8Array[];

/** Reply to STATFS, statvfs(3). */
export interface StatfsReply {
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly bsize: number;
  readonly namelen: number;
  readonly frsize: number;
}

/** Reply to GETLK: the lock in the way, or type F_UNLCK (2). */
export interface LockReply {
  readonly start: bigint;
  readonly end: bigint;
  readonly type: number;
  readonly pid: number;
}

/** Reply to IOCTL. */
export interface IoctlReply {
  readonly result: number;
  readonly data: Uint8Array;
}
