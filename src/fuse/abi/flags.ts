/** Constants of `fuse_kernel.h` 7.45 that are not opcodes. Bits above 31 of the INIT flags are written as powers of two. */

export const FUSE_KERNEL_VERSION = 7;
export const FUSE_KERNEL_MINOR_VERSION = 45;
/** Nodeid of the root. */
export const FUSE_ROOT_ID = 1;
/** Smallest buffer the kernel accepts in read(2) of the device. */
export const FUSE_MIN_READ_BUFFER = 8192;

/** Bit 0 of `unique`: an INTERRUPT of the request whose id is the rest. */
export const FUSE_INT_REQ_BIT = 1;
/** Bit 63 of `unique`, here bit 31 of its high half: the request was sent before, to a predecessor. */
export const FUSE_UNIQUE_RESEND_HI = 0x8000_0000;

/** INIT flags, as bit numbers: flags = bits 0 … 31, flags2 = bits 32 … 63. */
export const InitBit = {
  ASYNC_READ: 0,
  POSIX_LOCKS: 1,
  FILE_OPS: 2,
  ATOMIC_O_TRUNC: 3,
  EXPORT_SUPPORT: 4,
  BIG_WRITES: 5,
  DONT_MASK: 6,
  SPLICE_WRITE: 7,
  SPLICE_MOVE: 8,
  SPLICE_READ: 9,
  FLOCK_LOCKS: 10,
  HAS_IOCTL_DIR: 11,
  AUTO_INVAL_DATA: 12,
  DO_READDIRPLUS: 13,
  READDIRPLUS_AUTO: 14,
  ASYNC_DIO: 15,
  WRITEBACK_CACHE: 16,
  NO_OPEN_SUPPORT: 17,
  PARALLEL_DIROPS: 18,
  HANDLE_KILLPRIV: 19,
  POSIX_ACL: 20,
  ABORT_ERROR: 21,
  MAX_PAGES: 22,
  CACHE_SYMLINKS: 23,
  NO_OPENDIR_SUPPORT: 24,
  EXPLICIT_INVAL_DATA: 25,
  MAP_ALIGNMENT: 26,
  SUBMOUNTS: 27,
  HANDLE_KILLPRIV_V2: 28,
  SETXATTR_EXT: 29,
  INIT_EXT: 30,
  INIT_RESERVED: 31,
  SECURITY_CTX: 32,
  HAS_INODE_DAX: 33,
  CREATE_SUPP_GROUP: 34,
  HAS_EXPIRE_ONLY: 35,
  DIRECT_IO_ALLOW_MMAP: 36,
  PASSTHROUGH: 37,
  NO_EXPORT_SUPPORT: 38,
  HAS_RESEND: 39,
  ALLOW_IDMAP: 40,
  OVER_IO_URING: 41,
  REQUEST_TIMEOUT: 42,
} as const;
export type InitFlag = keyof typeof InitBit;

/** `fuse_open_out.open_flags`. */
export const FOPEN_DIRECT_IO = 1 << 0;
export const FOPEN_KEEP_CACHE = 1 << 1;
export const FOPEN_NONSEEKABLE = 1 << 2;
export const FOPEN_CACHE_DIR = 1 << 3;
export const FOPEN_STREAM = 1 << 4;
export const FOPEN_NOFLUSH = 1 << 5;
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;
export const FOPEN_PASSTHROUGH = 1 << 7;

/** `fuse_setattr_in.valid`. */
export const FATTR_MODE = 1 << 0;
export const FATTR_UID = 1 << 1;
export const FATTR_GID = 1 << 2;
export const FATTR_SIZE = 1 << 3;
export const FATTR_ATIME = 1 << 4;
export const FATTR_MTIME = 1 << 5;
export const FATTR_FH = 1 << 6;
export const FATTR_ATIME_NOW = 1 << 7;
export const FATTR_MTIME_NOW = 1 << 8;
export const FATTR_LOCKOWNER = 1 << 9;
export const FATTR_CTIME = 1 << 10;
export const FATTR_KILL_SUIDGID = 1 << 11;

/** `getattr_flags`. */
export const FUSE_GETATTR_FH = 1 << 0;
/** `open_flags` of OPEN and CREATE. */
export const FUSE_OPEN_KILL_SUIDGID = 1 << 0;
/** `write_flags`. */
export const FUSE_WRITE_CACHE = 1 << 0;
export const FUSE_WRITE_LOCKOWNER = 1 << 1;
export const FUSE_WRITE_KILL_SUIDGID = 1 << 2;
/** `read_flags`. */
export const FUSE_READ_LOCKOWNER = 1 << 1;
/** `release_flags`. */
export const FUSE_RELEASE_FLUSH = 1 << 0;
export const FUSE_RELEASE_FLOCK_UNLOCK = 1 << 1;
/** `fsync_flags`. */
export const FUSE_FSYNC_FDATASYNC = 1 << 0;
/** `lk_flags`. */
export const FUSE_LK_FLOCK = 1 << 0;
/** `setxattr_flags`. */
export const FUSE_SETXATTR_ACL_KILL_SGID = 1 << 0;
/** `fuse_notify_inval_entry_out.flags`. */
export const FUSE_EXPIRE_ONLY = 1 << 0;
/** `fuse_ext_header.type` of the supplementary group of a creating caller. */
export const FUSE_EXT_GROUPS = 32;

/** Flags of rename2(2). */
export const RENAME_NOREPLACE = 1 << 0;
export const RENAME_EXCHANGE = 1 << 1;
export const RENAME_WHITEOUT = 1 << 2;

/** `STATX_BASIC_STATS` and `STATX_BTIME` of statx(2). */
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;

/** Longest name the kernel can pass, in bytes, and the longest symlink target. */
export const FUSE_NAME_MAX = 4095;
export const FUSE_LINK_TARGET_MAX = 4095;
