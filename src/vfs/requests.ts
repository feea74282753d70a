import type { Fh, Ino } from '../model/ids.js';
import type { InodeAttr, Timespec } from '../model/inode.js';
import type { LockQuery, LockSpec } from '../model/lock.js';

/* Requests and replies of the FileSystem operations. The root is always inode 1, also of a mount of a sub-directory. */

export interface SetattrRequest {
  /** The handle of ftruncate(2) and the like: checked by its mode instead of by permission. */
  readonly fh: Fh | undefined;
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly size: number | undefined;
  readonly atime: Timespec | 'now' | undefined;
  readonly mtime: Timespec | 'now' | undefined;
  readonly ctime: Timespec | undefined;
  /** Drop setuid and setgid with it. */
  readonly killPriv: boolean;
}

export interface MakeRequest {
  readonly parent: Ino;
  readonly name: Uint8Array;
  readonly mode: number;
  /** The caller's umask; left out when it is taken from `mode` already. A default ACL of the parent goes before it. */
  readonly umask?: number | undefined;
}

export interface MknodRequest extends MakeRequest {
  readonly rdev: number;
}

export interface CreateRequest extends MakeRequest {
  /** Flags of open(2). */
  readonly flags: number;
  readonly killPriv: boolean;
}

export interface SymlinkRequest {
  readonly parent: Ino;
  readonly name: Uint8Array;
  readonly target: Uint8Array;
}

export interface RenameRequest {
  readonly parent: Ino;
  readonly name: Uint8Array;
  readonly newParent: Ino;
  readonly newName: Uint8Array;
  /** RENAME_* of renameat2(2). */
  readonly flags: number;
}

export interface OpenRequest {
  readonly ino: Ino;
  /** Flags of open(2). */
  readonly flags: number;
  /** With O_TRUNC: drop setuid and setgid. */
  readonly killPriv: boolean;
}

export interface OpenReply {
  readonly fh: Fh;
  readonly attr: InodeAttr;
  /** Pages that the kernel has of the file are still right. */
  readonly keepCache: boolean;
  /** Reads and writes by this handle should not go through the kernel's page cache. */
  readonly direct: boolean;
}

export interface CreateReply extends OpenReply {
  readonly created: boolean;
}

export interface WriteRequest {
  readonly ino: Ino;
  readonly fh: Fh;
  readonly offset: number;
  /** Valid until the operation is done. */
  readonly data: Uint8Array;
  /** O_APPEND as the open file has it now. */
  readonly append: boolean;
  /** From the page cache: handle guessed, caller unknown, never extends the file. */
  readonly fromPageCache: boolean;
  readonly killPriv: boolean;
}

export interface FallocateRequest {
  readonly ino: Ino;
  readonly fh: Fh;
  readonly offset: number;
  readonly length: number;
  /** FALLOC_FL_* of fallocate(2). */
  readonly mode: number;
}

export interface LseekRequest {
  readonly ino: Ino;
  readonly offset: number;
  /** SEEK_DATA 3, SEEK_HOLE 4. */
  readonly whence: number;
}

/** copy_file_range(2). */
export interface CopyFileRangeRequest {
  readonly source: Ino;
  readonly sourceFh: Fh;
  readonly sourceOffset: number;
  readonly ino: Ino;
  readonly fh: Fh;
  readonly offset: number;
  readonly length: number;
  readonly flags: number;
}

/** What a listing is written to. */
export interface DirentSink {
  /** Adds an entry; false when it does not fit: it then counts for nothing. `attr` is undefined where it is unknown or unwanted. */
  add(name: Uint8Array, cookie: number, ino: Ino, mode: number, attr: InodeAttr | undefined): boolean;
}

export interface ReaddirRequest {
  readonly ino: Ino;
  readonly fh: Fh;
  /** Cookie of the entry after which to go on; 0 = from the start. */
  readonly cookie: number;
  /** Entries want their attributes. */
  readonly plus: boolean;
}

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

export interface SetxattrRequest {
  readonly ino: Ino;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  /** XATTR_CREATE 1, XATTR_REPLACE 2. */
  readonly flags: number;
  /** Of an access ACL: the caller may not keep S_ISGID. */
  readonly killSgid?: boolean | undefined;
}

/** F_GETLK, F_OFD_GETLK. */
export interface GetlkRequest extends Omit<LockQuery, 'kind'> {
  readonly ino: Ino;
}

/** F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW, flock(2). */
export interface SetlkRequest extends Omit<LockSpec, 'ofd'> {
  readonly ino: Ino;
  readonly fh: Fh;
}

/** Flags of open(2) on Linux (asm-generic). */
export const O_ACCMODE = 0o3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NOATIME = 0o1000000;
/** The kernel opens to execute (FMODE_EXEC). */
export const O_EXEC = 0o40;

/** Flags of fallocate(2). */
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
export const FALLOC_FL_ZERO_RANGE = 16;
/** Whence of lseek(2). */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
