import {
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_CTIME,
  FATTR_FH,
  FATTR_GID,
  FATTR_KILL_SUIDGID,
  FATTR_LOCKOWNER,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
  FUSE_FSYNC_FDATASYNC,
  FUSE_GETATTR_FH,
  FUSE_LK_FLOCK,
  FUSE_OPEN_KILL_SUIDGID,
  FUSE_READ_LOCKOWNER,
  FUSE_RELEASE_FLOCK_UNLOCK,
  FUSE_RELEASE_FLUSH,
  FUSE_SETXATTR_ACL_KILL_SGID,
  FUSE_WRITE_CACHE,
  FUSE_WRITE_KILL_SUIDGID,
  FUSE_WRITE_LOCKOWNER,
} from '../abi/flags.js';
import { FuseOpcode } from '../abi/opcode.js';
import {
  FUSE_ACCESS_IN,
  FUSE_BATCH_FORGET_IN,
  FUSE_COMPAT_INIT_IN_SIZE,
  FUSE_COMPAT_SETXATTR_IN_SIZE,
  FUSE_COPY_FILE_RANGE_IN,
  FUSE_CREATE_IN,
  FUSE_FALLOCATE_IN,
  FUSE_FLUSH_IN,
  FUSE_FORGET_IN,
  FUSE_FORGET_ONE,
  FUSE_FSYNC_IN,
  FUSE_GETATTR_IN,
  FUSE_GETXATTR_IN,
  FUSE_INIT_IN,
  FUSE_INTERRUPT_IN,
  FUSE_IOCTL_IN,
  FUSE_LINK_IN,
  FUSE_LK_IN,
  FUSE_LSEEK_IN,
  FUSE_MKDIR_IN,
  FUSE_MKNOD_IN,
  FUSE_OPEN_IN,
  FUSE_READ_IN,
  FUSE_RELEASE_IN,
  FUSE_RENAME2_IN,
  FUSE_RENAME_IN,
  FUSE_SETATTR_IN,
  FUSE_SETXATTR_IN,
  FUSE_STATX_IN,
  FUSE_WRITE_IN,
} from '../abi/structs.js';
import { DecodeError } from './decode-error.js';
import type { RequestReader } from './request-reader.js';
import type {
  AccessRequest,
  CopyFileRangeRequest,
  CreateRequest,
  FallocateRequest,
  FlushRequest,
  ForgetOne,
  FsyncRequest,
  FuseTime,
  GetattrRequest,
  GetxattrRequest,
  InitRequest,
  InterruptRequest,
  IoctlRequest,
  LinkRequest,
  ListxattrRequest,
  LockRequest,
  LookupRequest,
  LseekRequest,
  MkdirRequest,
  MknodRequest,
  OpenRequest,
  ReadRequest,
  ReaddirRequest,
  ReleaseRequest,
  RemovexattrRequest,
  RenameRequest,
  SetattrRequest,
  SetxattrRequest,
  StatxRequest,
  SymlinkRequest,
  UnlinkRequest,
  WriteRequest,
} from './requests.js';

/*
 * One decoder per request body. The opcode table has checked the fixed part's size before a decoder runs. Bytes after what a decoder
 * reads are left alone: newer kernels may append fields.
 */

export function decodeNone(): undefined {
  return undefined;
}

/** LOOKUP, UNLINK, RMDIR, REMOVEXATTR. */
export function decodeName(r: RequestReader): LookupRequest & UnlinkRequest & RemovexattrRequest {
  return { name: r.name(0) };
}

export function decodeForget(r: RequestReader): number {
  return r.u64(FUSE_FORGET_IN.offset.nlookup);
}

export function decodeBatchForget(r: RequestReader): ForgetOne[] {
  const count = r.u32(FUSE_BATCH_FORGET_IN.offset.count);
  r.need(FUSE_BATCH_FORGET_IN.size + count * FUSE_FORGET_ONE.size);
  const { nodeid, nlookup } = FUSE_FORGET_ONE.offset;
  const items: ForgetOne[] = [];
  for (let i = 0; i < count; i++) {
    const at = FUSE_BATCH_FORGET_IN.size + i * FUSE_FORGET_ONE.size;
    items.push({ nodeid: r.u64(at + nodeid), nlookup: r.u64(at + nlookup) });
  }
  return items;
}

export function decodeGetattr(r: RequestReader): GetattrRequest {
  const { getattr_flags, fh } = FUSE_GETATTR_IN.offset;
  return { fh: (r.u32(getattr_flags) & FUSE_GETATTR_FH) !== 0 ? r.u64(fh) : undefined };
}

const SETATTR = FUSE_SETATTR_IN.offset;

function setattrTime(r: RequestReader, sec: number, nsec: number): FuseTime {
  const nanoseconds = r.u32(nsec);
  if (nanoseconds > 999_999_999) throw new DecodeError('bad-value', `setattr: ${nanoseconds} nanoseconds`);
  return { sec: r.i64(sec), nsec: nanoseconds };
}

export function decodeSetattr(r: RequestReader): SetattrRequest {
  const valid = r.u32(SETATTR.valid);
  const given = (bit: number): boolean => (valid & bit) !== 0;
  const time = (set: number, now: number, sec: number, nsec: number): FuseTime | 'now' | undefined => {
    if (given(now)) return 'now';
    return given(set) ? setattrTime(r, sec, nsec) : undefined;
  };
  return {
    valid,
    fh: given(FATTR_FH) ? r.u64(SETATTR.fh) : undefined,
    mode: given(FATTR_MODE) ? r.u32(SETATTR.mode) : undefined,
    uid: given(FATTR_UID) ? r.u32(SETATTR.uid) : undefined,
    gid: given(FATTR_GID) ? r.u32(SETATTR.gid) : undefined,
    size: given(FATTR_SIZE) ? r.u64Clamped(SETATTR.size) : undefined,
    atime: time(FATTR_ATIME, FATTR_ATIME_NOW, SETATTR.atime, SETATTR.atimensec),
    mtime: time(FATTR_MTIME, FATTR_MTIME_NOW, SETATTR.mtime, SETATTR.mtimensec),
    ctime: given(FATTR_CTIME) ? setattrTime(r, SETATTR.ctime, SETATTR.ctimensec) : undefined,
    lockOwner: given(FATTR_LOCKOWNER) ? r.big(SETATTR.lock_owner) : undefined,
    killSuidgid: given(FATTR_KILL_SUIDGID),
  };
}

export function decodeSymlink(r: RequestReader): SymlinkRequest {
  return { name: r.name(0), target: r.name(r.afterName(0)) };
}

export function decodeMknod(r: RequestReader): MknodRequest {
  const { mode, rdev, umask } = FUSE_MKNOD_IN.offset;
  return { name: r.name(FUSE_MKNOD_IN.size), mode: r.u32(mode), rdev: r.u32(rdev), umask: r.u32(umask) };
}

export function decodeMkdir(r: RequestReader): MkdirRequest {
  const { mode, umask } = FUSE_MKDIR_IN.offset;
  return { name: r.name(FUSE_MKDIR_IN.size), mode: r.u32(mode), umask: r.u32(umask) };
}

export function decodeRename(r: RequestReader): RenameRequest {
  const at = FUSE_RENAME_IN.size;
  return {
    name: r.name(at),
    newParent: r.u64(FUSE_RENAME_IN.offset.newdir),
    newName: r.name(r.afterName(at)),
    flags: 0,
  };
}

export function decodeRename2(r: RequestReader): RenameRequest {
  const { newdir, flags } = FUSE_RENAME2_IN.offset;
  const at = FUSE_RENAME2_IN.size;
  return { name: r.name(at), newParent: r.u64(newdir), newName: r.name(r.afterName(at)), flags: r.u32(flags) };
}

export function decodeLink(r: RequestReader): LinkRequest {
  return { oldNodeid: r.u64(FUSE_LINK_IN.offset.oldnodeid), name: r.name(FUSE_LINK_IN.size) };
}

export function decodeOpen(r: RequestReader): OpenRequest {
  const { flags, open_flags } = FUSE_OPEN_IN.offset;
  return { flags: r.u32(flags), killSuidgid: (r.u32(open_flags) & FUSE_OPEN_KILL_SUIDGID) !== 0 };
}

export function decodeCreate(r: RequestReader): CreateRequest {
  const { flags, mode, umask, open_flags } = FUSE_CREATE_IN.offset;
  return {
    name: r.name(FUSE_CREATE_IN.size),
    flags: r.u32(flags),
    mode: r.u32(mode),
    umask: r.u32(umask),
    killSuidgid: (r.u32(open_flags) & FUSE_OPEN_KILL_SUIDGID) !== 0,
  };
}

export function decodeRead(r: RequestReader): ReadRequest {
  const { fh, offset, size, read_flags, lock_owner, flags } = FUSE_READ_IN.offset;
  return {
    fh: r.u64(fh),
    offset: r.u64Clamped(offset),
    size: r.u32(size),
    flags: r.u32(flags),
    lockOwner: (r.u32(read_flags) & FUSE_READ_LOCKOWNER) !== 0 ? r.big(lock_owner) : undefined,
  };
}

export function decodeReaddir(r: RequestReader): ReaddirRequest {
  const { fh, offset, size, flags } = FUSE_READ_IN.offset;
  return { fh: r.u64(fh), offset: r.u64(offset), size: r.u32(size), flags: r.u32(flags) };
}

export function decodeWrite(r: RequestReader): WriteRequest {
  const { fh, offset, size, write_flags, lock_owner, flags } = FUSE_WRITE_IN.offset;
  const writeFlags = r.u32(write_flags);
  return {
    fh: r.u64(fh),
    offset: r.u64Clamped(offset),
    data: r.view(FUSE_WRITE_IN.size, r.u32(size)),
    writeCache: (writeFlags & FUSE_WRITE_CACHE) !== 0,
    killSuidgid: (writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0,
    flags: r.u32(flags),
    lockOwner: (writeFlags & FUSE_WRITE_LOCKOWNER) !== 0 ? r.big(lock_owner) : undefined,
  };
}

export function decodeRelease(r: RequestReader): ReleaseRequest {
  const { fh, flags, release_flags, lock_owner } = FUSE_RELEASE_IN.offset;
  const releaseFlags = r.u32(release_flags);
  return {
    fh: r.u64(fh),
    flags: r.u32(flags),
    flush: (releaseFlags & FUSE_RELEASE_FLUSH) !== 0,
    flockUnlock: (releaseFlags & FUSE_RELEASE_FLOCK_UNLOCK) !== 0,
    lockOwner: r.big(lock_owner),
  };
}

export function decodeFlush(r: RequestReader): FlushRequest {
  const { fh, lock_owner } = FUSE_FLUSH_IN.offset;
  return { fh: r.u64(fh), lockOwner: r.big(lock_owner) };
}

export function decodeFsync(r: RequestReader): FsyncRequest {
  const { fh, fsync_flags } = FUSE_FSYNC_IN.offset;
  return { fh: r.u64(fh), datasync: (r.u32(fsync_flags) & FUSE_FSYNC_FDATASYNC) !== 0 };
}

export function decodeSetxattr(r: RequestReader): SetxattrRequest {
  const { size, flags, setxattr_flags } = FUSE_SETXATTR_IN.offset;
  const at = r.setxattrExt ? FUSE_SETXATTR_IN.size : FUSE_COMPAT_SETXATTR_IN_SIZE;
  r.need(at);
  return {
    name: r.name(at),
    value: Buffer.from(r.view(r.afterName(at), r.u32(size))),
    flags: r.u32(flags),
    killSgid: r.setxattrExt && (r.u32(setxattr_flags) & FUSE_SETXATTR_ACL_KILL_SGID) !== 0,
  };
}

export function decodeGetxattr(r: RequestReader): GetxattrRequest {
  return { name: r.name(FUSE_GETXATTR_IN.size), size: r.u32(FUSE_GETXATTR_IN.offset.size) };
}

export function decodeListxattr(r: RequestReader): ListxattrRequest {
  return { size: r.u32(FUSE_GETXATTR_IN.offset.size) };
}

/** GETLK, SETLK, SETLKW. */
export function decodeLock(r: RequestReader): LockRequest {
  const { fh, owner, start, end, type, pid, lk_flags } = FUSE_LK_IN.offset;
  const lockType = r.u32(type);
  if (lockType > 2) throw new DecodeError('bad-value', `lock type ${lockType}`);
  return {
    fh: r.u64(fh),
    owner: r.big(owner),
    start: r.big(start),
    end: r.big(end),
    type: lockType,
    pid: r.u32(pid),
    flock: (r.u32(lk_flags) & FUSE_LK_FLOCK) !== 0,
    wait: r.opcode === (FuseOpcode.SETLKW as number),
  };
}

export function decodeAccess(r: RequestReader): AccessRequest {
  return { mask: r.u32(FUSE_ACCESS_IN.offset.mask) };
}

export function decodeIoctl(r: RequestReader): IoctlRequest {
  const { fh, flags, cmd, arg, in_size, out_size } = FUSE_IOCTL_IN.offset;
  return {
    fh: r.u64(fh),
    flags: r.u32(flags),
    cmd: r.u32(cmd),
    arg: r.big(arg),
    data: Buffer.from(r.view(FUSE_IOCTL_IN.size, r.u32(in_size))),
    outSize: r.u32(out_size),
  };
}

export function decodeFallocate(r: RequestReader): FallocateRequest {
  const { fh, offset, length, mode } = FUSE_FALLOCATE_IN.offset;
  return { fh: r.u64(fh), offset: r.u64Clamped(offset), length: r.u64Clamped(length), mode: r.u32(mode) };
}

export function decodeLseek(r: RequestReader): LseekRequest {
  const { fh, offset, whence } = FUSE_LSEEK_IN.offset;
  return { fh: r.u64(fh), offset: r.u64Clamped(offset), whence: r.u32(whence) };
}

/** The reply of the older opcode counts in 32 bits: it copies at most 1 GiB at a time (a short copy is allowed). */
const COPY_MAX_32 = 2 ** 30;

export function decodeCopyFileRange(r: RequestReader): CopyFileRangeRequest {
  const { fh_in, off_in, nodeid_out, fh_out, off_out, len, flags } = FUSE_COPY_FILE_RANGE_IN.offset;
  const max = r.opcode === (FuseOpcode.COPY_FILE_RANGE as number) ? COPY_MAX_32 : Number.MAX_SAFE_INTEGER;
  return {
    fhIn: r.u64(fh_in),
    offsetIn: r.u64Clamped(off_in),
    nodeidOut: r.u64(nodeid_out),
    fhOut: r.u64(fh_out),
    offsetOut: r.u64Clamped(off_out),
    length: Math.min(r.u64Clamped(len), max),
    flags: r.u64(flags),
  };
}

export function decodeStatx(r: RequestReader): StatxRequest {
  const { getattr_flags, fh, sx_flags, sx_mask } = FUSE_STATX_IN.offset;
  return {
    fh: (r.u32(getattr_flags) & FUSE_GETATTR_FH) !== 0 ? r.u64(fh) : undefined,
    flags: r.u32(sx_flags),
    mask: r.u32(sx_mask),
  };
}

export function decodeInit(r: RequestReader): InitRequest {
  const { major, minor, max_readahead, flags, flags2 } = FUSE_INIT_IN.offset;
  return {
    major: r.u32(major),
    minor: r.u32(minor),
    maxReadahead: r.u32(max_readahead),
    flags: r.u32(flags),
    flags2: r.bodyLength >= FUSE_INIT_IN.size ? r.u32(flags2) : 0,
  };
}

/** INIT's shortest body: kernels before 7.36 send no more. */
export const INIT_MIN_SIZE = FUSE_COMPAT_INIT_IN_SIZE;

export function decodeInterrupt(r: RequestReader): InterruptRequest {
  const at = FUSE_INTERRUPT_IN.offset.unique;
  return { uniqueHi: r.u32(at + 4), uniqueLo: r.u32(at) };
}
