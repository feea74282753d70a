import type { BlockExtents, ChunkInfo } from './extent.js';
import type { Fh, Ino } from './ids.js';
import type { InodeAttr, Timespec } from './inode.js';

/* The arguments and results of the namespace operations, as the client (`meta/metadata.ts`) and the metaserver both speak of them. */

/**
 * Names a mutating operation for exactly-once execution, unique in its session: `kernel` = the FUSE `unique` less the resend bit,
 * `client` = a number of our own (a journal sequence number, or a counter for what the kernel did not ask for). `step` counts the operations that one request causes.
 */
export interface OpId {
  readonly kind: 'kernel' | 'client';
  readonly number: number;
  readonly step: number;
}

/** Attributes that setattr changes; undefined = leave alone. `'now'` is the server's clock. */
export interface SetAttr {
  /** Permission bits (07777); the type never changes. */
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly size?: number | undefined;
  readonly atime?: Timespec | 'now' | undefined;
  readonly mtime?: Timespec | 'now' | undefined;
  readonly ctime?: Timespec | undefined;
  /** Clear S_ISUID, and S_ISGID where S_IXGRP is set, and `security.capability` (the caller lacks CAP_FSETID, or the owner changes). */
  readonly killPriv?: boolean | undefined;
  /** With it: clear S_ISGID in any case (the caller does not belong to the file's group either). */
  readonly killSgid?: boolean | undefined;
}

/** What to make. The server allocates the inode and applies what the parent hands down: its group and set-group-ID (mkdir(2), open(2)), its default ACL (acl(5)). */
export interface CreateSpec {
  /** Type and permission bits. */
  readonly mode: number;
  /** Bits that `mode` loses unless the parent has a default ACL; left out when the kernel has taken them already. */
  readonly umask?: number | undefined;
  readonly uid: number;
  readonly gid: number;
  /** The caller belongs to the new file's group or has CAP_FSETID: S_ISGID of an executable regular file is kept. */
  readonly mayKeepSgid: boolean;
  readonly rdev?: number | undefined;
  /** Target of a symlink. */
  readonly target?: Uint8Array | undefined;
  /** Register an open of the new file with this handle in the same transaction. */
  readonly open?: OpenSpec | undefined;
  /** O_EXCL: EEXIST when the name exists. Without it an existing regular file is opened (its attributes are the reply's). */
  readonly exclusive: boolean;
  /** O_TMPFILE: a regular file without a name, opened (the name is not looked at). It may be linked later, unless `exclusive`. */
  readonly unnamed?: boolean | undefined;
}

export interface OpenSpec {
  readonly fh: Fh;
  /** The handle may write. */
  readonly write: boolean;
  /** O_TRUNC: set the size to 0 in the same transaction. */
  readonly truncate: boolean;
  /** With truncate: as {@link SetAttr.killPriv}. */
  readonly killPriv?: boolean | undefined;
}

export interface CreateResult {
  readonly attr: InodeAttr;
  /** False when the name existed and was opened. */
  readonly created: boolean;
}

export interface DirEntry {
  readonly name: Uint8Array;
  readonly ino: Ino;
  /** S_IFMT bits. */
  readonly type: number;
  /** Position after this entry: pass it to go on behind it. Stable for the entry's life; at least {@link FIRST_COOKIE}. */
  readonly cookie: number;
  readonly attr: InodeAttr | undefined;
}

/** Cookies below this one belong to the VFS (`.` and `..`); 0 starts a listing. */
export const FIRST_COOKIE = 32;

export interface DirPage {
  readonly entries: readonly DirEntry[];
  /** No entry follows. */
  readonly end: boolean;
}

/** Flags of setxattr(2): EEXIST when the attribute is there, ENODATA when it is not. */
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
/** Of ours, with an access ACL: clear S_ISGID (the caller is neither in the file's group nor has CAP_FSETID). */
export const XATTR_KILL_SGID = 4;

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
/** Leave a whiteout behind: a character device 0/0, for overlayfs. */
export const RENAME_WHITEOUT = 4;

/** True for flags that renameat2(2) takes. */
export function areRenameFlags(flags: number): boolean {
  return flags === RENAME_EXCHANGE || (flags & ~(RENAME_NOREPLACE | RENAME_WHITEOUT)) === 0;
}

/** Who owns what an operation makes by the way. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** New extents of a file, uploaded already. */
export interface CommitSpec {
  readonly blocks: readonly BlockExtents[];
  /** The chunks that the extents name, each once; they were stored by this session. */
  readonly chunks: readonly ChunkInfo[];
  /** The size is at least this after the commit; undefined = the data does not extend the file. */
  readonly sizeAtLeast: number | undefined;
  /** Time of the last write it carries; undefined = times were set since. */
  readonly mtime: Timespec | undefined;
  /** {@link InodeAttr.truncEpoch} and {@link InodeAttr.timeEpoch} that the data was written under. */
  readonly truncEpoch: number;
  readonly timeEpoch: number;
  /** As {@link SetAttr.killPriv}. */
  readonly killPriv: boolean;
}

/** Replaces extents by equal content elsewhere (compaction): holds only if `expected` is still what is stored. */
export interface SwapSpec {
  readonly expected: readonly BlockExtents[];
  readonly replacement: readonly BlockExtents[];
  readonly chunks: readonly ChunkInfo[];
}

/** A name in a directory. */
export interface NameRef {
  readonly parent: Ino;
  readonly name: Uint8Array;
}

/**
 * What fallocate(2) does to a range: `allocate` keeps what is there and gives holes space, `punch` makes a hole, `zero` makes zeros that have space.
 */
export type FallocateMode = 'allocate' | 'punch' | 'zero';

export interface FallocateSpec {
  readonly mode: FallocateMode;
  readonly offset: number;
  readonly length: number;
  /** FALLOC_FL_KEEP_SIZE. Always so with `punch`. */
  readonly keepSize: boolean;
  /** The size as the writer sees it, uncommitted data included; 0 = that of the server. */
  readonly sizeAtLeast: number;
  /** As {@link SetAttr.killPriv}. */
  readonly killPriv: boolean;
}

/** A part of one file that another range of bytes is to share (copy_file_range(2)). */
export interface CloneSpec {
  readonly source: Ino;
  readonly sourceOffset: number;
  readonly offset: number;
  readonly length: number;
  /** As {@link FallocateSpec.sizeAtLeast}, of the destination. */
  readonly sizeAtLeast: number;
  readonly killPriv: boolean;
}

export interface RangeResult {
  readonly attr: InodeAttr;
  /** Bytes from the start of the range that are done: a long range takes several operations. */
  readonly done: number;
}

/** Most of one {@link Access} list: the reply with their attributes fits into a frame. */
export const ACCESSES_MAX = 512;

/** When a file was last read here. */
export interface Access {
  readonly ino: Ino;
  readonly atime: Timespec;
}
