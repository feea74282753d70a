import { struct } from './struct.js';

/**
 * The structures of the kernel's `include/uapi/linux/fuse.h`, protocol 7.45: same names, same fields, same order.
 * All integers are in the machine's byte order; the codec asserts little endian.
 */

export const FUSE_IN_HEADER = struct('fuse_in_header', 40, [
  ['len', 'u32'],
  ['opcode', 'u32'],
  ['unique', 'u64'],
  ['nodeid', 'u64'],
  ['uid', 'u32'],
  ['gid', 'u32'],
  ['pid', 'u32'],
  ['total_extlen', 'u16'], // in units of 8 bytes
  ['padding', 'u16'],
]);

export const FUSE_OUT_HEADER = struct('fuse_out_header', 16, [
  ['len', 'u32'],
  ['error', 'i32'], // 0 or -errno; of a notification the positive code
  ['unique', 'u64'],
]);

export const FUSE_ATTR = struct('fuse_attr', 88, [
  ['ino', 'u64'],
  ['size', 'u64'],
  ['blocks', 'u64'], // of 512 bytes
  ['atime', 'i64'],
  ['mtime', 'i64'],
  ['ctime', 'i64'],
  ['atimensec', 'u32'],
  ['mtimensec', 'u32'],
  ['ctimensec', 'u32'],
  ['mode', 'u32'],
  ['nlink', 'u32'],
  ['uid', 'u32'],
  ['gid', 'u32'],
  ['rdev', 'u32'], // new_encode_dev
  ['blksize', 'u32'],
  ['flags', 'u32'],
]);

export const FUSE_ENTRY_OUT = struct('fuse_entry_out', 128, [
  ['nodeid', 'u64'],
  ['generation', 'u64'],
  ['entry_valid', 'u64'], // seconds
  ['attr_valid', 'u64'],
  ['entry_valid_nsec', 'u32'],
  ['attr_valid_nsec', 'u32'],
  ['attr', 'bytes88'],
]);

export const FUSE_FORGET_IN = struct('fuse_forget_in', 8, [['nlookup', 'u64']]);

export const FUSE_FORGET_ONE = struct('fuse_forget_one', 16, [
  ['nodeid', 'u64'],
  ['nlookup', 'u64'],
]);

export const FUSE_BATCH_FORGET_IN = struct('fuse_batch_forget_in', 8, [
  ['count', 'u32'],
  ['dummy', 'u32'],
]);

export const FUSE_GETATTR_IN = struct('fuse_getattr_in', 16, [
  ['getattr_flags', 'u32'],
  ['dummy', 'u32'],
  ['fh', 'u64'],
]);

export const FUSE_ATTR_OUT = struct('fuse_attr_out', 104, [
  ['attr_valid', 'u64'],
  ['attr_valid_nsec', 'u32'],
  ['dummy', 'u32'],
  ['attr', 'bytes88'],
]);

export const FUSE_STATX_IN = struct('fuse_statx_in', 24, [
  ['getattr_flags', 'u32'],
  ['reserved', 'u32'],
  ['fh', 'u64'],
  ['sx_flags', 'u32'],
  ['sx_mask', 'u32'],
]);

export const FUSE_STATX = struct('fuse_statx', 256, [
  ['mask', 'u32'],
  ['blksize', 'u32'],
  ['attributes', 'u64'],
  ['nlink', 'u32'],
  ['uid', 'u32'],
  ['gid', 'u32'],
  ['mode', 'u16'],
  ['spare0', 'u16'],
  ['ino', 'u64'],
  ['size', 'u64'],
  ['blocks', 'u64'],
  ['attributes_mask', 'u64'],
  ['atime', 'bytes16'], // sec i64, nsec u32, reserved
  ['btime', 'bytes16'],
  ['ctime', 'bytes16'],
  ['mtime', 'bytes16'],
  ['rdev_major', 'u32'],
  ['rdev_minor', 'u32'],
  ['dev_major', 'u32'],
  ['dev_minor', 'u32'],
  ['spare2', 'bytes112'],
]);

export const FUSE_STATX_OUT = struct('fuse_statx_out', 288, [
  ['attr_valid', 'u64'],
  ['attr_valid_nsec', 'u32'],
  ['flags', 'u32'],
  ['spare', 'bytes16'],
  ['stat', 'bytes256'],
]);

export const FUSE_MKNOD_IN = struct('fuse_mknod_in', 16, [
  ['mode', 'u32'],
  ['rdev', 'u32'],
  ['umask', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_MKDIR_IN = struct('fuse_mkdir_in', 8, [
  ['mode', 'u32'],
  ['umask', 'u32'],
]);

export const FUSE_RENAME_IN = struct('fuse_rename_in', 8, [['newdir', 'u64']]);

export const FUSE_RENAME2_IN = struct('fuse_rename2_in', 16, [
  ['newdir', 'u64'],
  ['flags', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_LINK_IN = struct('fuse_link_in', 8, [['oldnodeid', 'u64']]);

export const FUSE_SETATTR_IN = struct('fuse_setattr_in', 88, [
  ['valid', 'u32'],
  ['padding', 'u32'],
  ['fh', 'u64'],
  ['size', 'u64'],
  ['lock_owner', 'u64'],
  ['atime', 'i64'],
  ['mtime', 'i64'],
  ['ctime', 'i64'],
  ['atimensec', 'u32'],
  ['mtimensec', 'u32'],
  ['ctimensec', 'u32'],
  ['mode', 'u32'],
  ['unused4', 'u32'],
  ['uid', 'u32'],
  ['gid', 'u32'],
  ['unused5', 'u32'],
]);

export const FUSE_OPEN_IN = struct('fuse_open_in', 8, [
  ['flags', 'u32'],
  ['open_flags', 'u32'],
]);

export const FUSE_CREATE_IN = struct('fuse_create_in', 16, [
  ['flags', 'u32'],
  ['mode', 'u32'],
  ['umask', 'u32'],
  ['open_flags', 'u32'],
]);

export const FUSE_OPEN_OUT = struct('fuse_open_out', 16, [
  ['fh', 'u64'],
  ['open_flags', 'u32'],
  ['backing_id', 'i32'],
]);

export const FUSE_RELEASE_IN = struct('fuse_release_in', 24, [
  ['fh', 'u64'],
  ['flags', 'u32'],
  ['release_flags', 'u32'],
  ['lock_owner', 'u64'],
]);

export const FUSE_FLUSH_IN = struct('fuse_flush_in', 24, [
  ['fh', 'u64'],
  ['unused', 'u32'],
  ['padding', 'u32'],
  ['lock_owner', 'u64'],
]);

export const FUSE_READ_IN = struct('fuse_read_in', 40, [
  ['fh', 'u64'],
  ['offset', 'u64'],
  ['size', 'u32'],
  ['read_flags', 'u32'],
  ['lock_owner', 'u64'],
  ['flags', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_WRITE_IN = struct('fuse_write_in', 40, [
  ['fh', 'u64'],
  ['offset', 'u64'],
  ['size', 'u32'],
  ['write_flags', 'u32'],
  ['lock_owner', 'u64'],
  ['flags', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_WRITE_OUT = struct('fuse_write_out', 8, [
  ['size', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_KSTATFS = struct('fuse_kstatfs', 80, [
  ['blocks', 'u64'],
  ['bfree', 'u64'],
  ['bavail', 'u64'],
  ['files', 'u64'],
  ['ffree', 'u64'],
  ['bsize', 'u32'],
  ['namelen', 'u32'],
  ['frsize', 'u32'],
  ['padding', 'u32'],
  ['spare', 'bytes24'],
]);

export const FUSE_FSYNC_IN = struct('fuse_fsync_in', 16, [
  ['fh', 'u64'],
  ['fsync_flags', 'u32'],
  ['padding', 'u32'],
]);

/** With SETXATTR_EXT; without it the structure ends after `flags`. */
export const FUSE_SETXATTR_IN = struct('fuse_setxattr_in', 16, [
  ['size', 'u32'],
  ['flags', 'u32'],
  ['setxattr_flags', 'u32'],
  ['padding', 'u32'],
]);

/** Size of {@link FUSE_SETXATTR_IN} when SETXATTR_EXT was not negotiated. */
export const FUSE_COMPAT_SETXATTR_IN_SIZE = 8;

export const FUSE_GETXATTR_IN = struct('fuse_getxattr_in', 8, [
  ['size', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_GETXATTR_OUT = struct('fuse_getxattr_out', 8, [
  ['size', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_LK_IN = struct('fuse_lk_in', 48, [
  ['fh', 'u64'],
  ['owner', 'u64'],
  ['start', 'u64'],
  ['end', 'u64'],
  ['type', 'u32'],
  ['pid', 'u32'],
  ['lk_flags', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_LK_OUT = struct('fuse_lk_out', 24, [
  ['start', 'u64'],
  ['end', 'u64'],
  ['type', 'u32'],
  ['pid', 'u32'],
]);

export const FUSE_ACCESS_IN = struct('fuse_access_in', 8, [
  ['mask', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_INIT_IN = struct('fuse_init_in', 64, [
  ['major', 'u32'],
  ['minor', 'u32'],
  ['max_readahead', 'u32'],
  ['flags', 'u32'],
  ['flags2', 'u32'], // since 7.36; older kernels send the first 16 bytes
  ['unused', 'bytes44'],
]);

/** What every kernel sends of {@link FUSE_INIT_IN}. */
export const FUSE_COMPAT_INIT_IN_SIZE = 16;

export const FUSE_INIT_OUT = struct('fuse_init_out', 64, [
  ['major', 'u32'],
  ['minor', 'u32'],
  ['max_readahead', 'u32'],
  ['flags', 'u32'],
  ['max_background', 'u16'],
  ['congestion_threshold', 'u16'],
  ['max_write', 'u32'],
  ['time_gran', 'u32'],
  ['max_pages', 'u16'],
  ['map_alignment', 'u16'],
  ['flags2', 'u32'],
  ['max_stack_depth', 'u32'],
  ['request_timeout', 'u16'],
  ['unused', 'bytes22'],
]);

export const FUSE_INTERRUPT_IN = struct('fuse_interrupt_in', 8, [['unique', 'u64']]);

export const FUSE_IOCTL_IN = struct('fuse_ioctl_in', 32, [
  ['fh', 'u64'],
  ['flags', 'u32'],
  ['cmd', 'u32'],
  ['arg', 'u64'],
  ['in_size', 'u32'],
  ['out_size', 'u32'],
]);

export const FUSE_POLL_IN = struct('fuse_poll_in', 24, [
  ['fh', 'u64'],
  ['kh', 'u64'],
  ['flags', 'u32'],
  ['events', 'u32'],
]);

export const FUSE_FALLOCATE_IN = struct('fuse_fallocate_in', 32, [
  ['fh', 'u64'],
  ['offset', 'u64'],
  ['length', 'u64'],
  ['mode', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_LSEEK_IN = struct('fuse_lseek_in', 24, [
  ['fh', 'u64'],
  ['offset', 'i64'],
  ['whence', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_LSEEK_OUT = struct('fuse_lseek_out', 8, [['offset', 'u64']]);

export const FUSE_COPY_FILE_RANGE_IN = struct('fuse_copy_file_range_in', 56, [
  ['fh_in', 'u64'],
  ['off_in', 'u64'],
  ['nodeid_out', 'u64'],
  ['fh_out', 'u64'],
  ['off_out', 'u64'],
  ['len', 'u64'],
  ['flags', 'u64'],
]);

export const FUSE_COPY_FILE_RANGE_OUT = struct('fuse_copy_file_range_out', 8, [['bytes_copied', 'u64']]);

export const FUSE_SYNCFS_IN = struct('fuse_syncfs_in', 8, [['padding', 'u64']]);

/** Each entry is padded to a multiple of 8 bytes; the name follows, without NUL. */
export const FUSE_DIRENT = struct('fuse_dirent', 24, [
  ['ino', 'u64'],
  ['off', 'u64'], // cookie of the NEXT entry
  ['namelen', 'u32'],
  ['type', 'u32'], // mode >> 12
]);

export const FUSE_DIRENTPLUS = struct('fuse_direntplus', 152, [
  ['entry_out', 'bytes128'],
  ['dirent', 'bytes24'],
]);

export const FUSE_EXT_HEADER = struct('fuse_ext_header', 8, [
  ['size', 'u32'],
  ['type', 'u32'],
]);

/** Follows a {@link FUSE_EXT_HEADER} of type `FUSE_EXT_GROUPS`; `nr_groups` gids follow it. */
export const FUSE_SUPP_GROUPS = struct('fuse_supp_groups', 4, [['nr_groups', 'u32']]);

export const FUSE_NOTIFY_INVAL_INODE_OUT = struct('fuse_notify_inval_inode_out', 24, [
  ['ino', 'u64'],
  ['off', 'i64'],
  ['len', 'i64'],
]);

export const FUSE_NOTIFY_INVAL_ENTRY_OUT = struct('fuse_notify_inval_entry_out', 16, [
  ['parent', 'u64'],
  ['namelen', 'u32'],
  ['flags', 'u32'],
]);

export const FUSE_NOTIFY_DELETE_OUT = struct('fuse_notify_delete_out', 24, [
  ['parent', 'u64'],
  ['child', 'u64'],
  ['namelen', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_NOTIFY_STORE_OUT = struct('fuse_notify_store_out', 24, [
  ['nodeid', 'u64'],
  ['offset', 'u64'],
  ['size', 'u32'],
  ['padding', 'u32'],
]);

export const FUSE_NOTIFY_PRUNE_OUT = struct('fuse_notify_prune_out', 16, [
  ['count', 'u32'],
  ['padding', 'u32'],
  ['spare', 'u64'],
]);
