import type { Ino } from './ids.js';

/** A point in time as stat(2) shows it: whole seconds (negative before 1970) and nanoseconds in 0 … 999 999 999. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

/** An inode's attributes, inode(7), and the counters that order changes to it. A value: replaced, never modified. */
export interface InodeAttr {
  readonly ino: Ino;
  /** File type (`S_IFMT`) and permission bits. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Device number of a device node, in the kernel's new_encode form. */
  readonly rdev: number;
  readonly size: number;
  /** Bytes allocated, in 4 KiB units after overlaps are resolved; holes are free. `st_blocks` = this / 512. */
  readonly allocatedBytes: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** Birth time. */
  readonly btime: Timespec;
  /** Grows with every change of the inode (NFSv4 change attribute): the version of a cached copy. Of a directory also with every change of its entries. */
  readonly change: number;
  /** Grows whenever data or size is changed by another session than the one that changed it before ({@link lastWriter}): counts foreign changes. */
  readonly writerEpoch: number;
  /** The session that last changed data or size; 0 = none yet. */
  readonly lastWriter: number;
  /** Grows with every truncation; a commit made under an older one is clipped by the server. */
  readonly truncEpoch: number;
  /** Grows whenever times are set explicitly; a commit made under an older one leaves mtime alone. */
  readonly timeEpoch: number;
  /** The parent of a directory (`..`); 0 for anything else. */
  readonly parent: Ino;
  /** False when the inode has no extended attribute at all, so that getxattr(2) needs no question. */
  readonly hasXattrs: boolean;
  /** The change number of the last change of an ACL of the inode: the version of a cached copy. 0 when it has none. */
  readonly aclChange: number;
  /** The directory whose quota the inode is charged to; 0 = none. */
  readonly quota: Ino;
}

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IRWXG = 0o0070;
export const S_IXGRP = 0o0010;

export const isDirectory = (mode: number): boolean => (mode & S_IFMT) === S_IFDIR;
export const isRegular = (mode: number): boolean => (mode & S_IFMT) === S_IFREG;
export const isSymlink = (mode: number): boolean => (mode & S_IFMT) === S_IFLNK;

/** Longest name in bytes (NAME_MAX). */
export const NAME_MAX_BYTES = 255;
/** Longest symlink target in bytes (PATH_MAX less the terminating NUL). */
export const SYMLINK_MAX_BYTES = 4095;
/** Most names of one file, as ext4 has it. */
export const LINK_MAX = 65_000;
/** Most links to a directory: its sub-directories and two. As XFS has it, no limit that anybody meets. */
export const LINK_MAX_DIRECTORY = 2 ** 31 - 1;
/** Largest file size in bytes: block numbers stay 32-bit at the smallest block size, offsets far below 2^53. */
export const FILE_SIZE_MAX_BYTES = 2 ** 50;
/** Longest xattr name and value (xattr(7)), and the most bytes of names and values that one inode holds. */
export const XATTR_NAME_MAX_BYTES = 255;
export const XATTR_VALUE_MAX_BYTES = 65_536;
export const XATTR_TOTAL_MAX_BYTES = 262_144;

/** Allocation unit of {@link InodeAttr.allocatedBytes} and of usage. */
export const ALLOCATION_UNIT_BYTES = 4096;

/** Negative, zero or positive as `a` is before, at or after `b`. */
export function compareTime(a: Timespec, b: Timespec): number {
  return a.sec - b.sec || a.nsec - b.nsec;
}

/** A Timespec of nanoseconds since the epoch. */
export function timespecOfNs(ns: bigint): Timespec {
  const nsec = Number(((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return { sec: Number((ns - BigInt(nsec)) / 1_000_000_000n), nsec };
}
