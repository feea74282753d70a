import { FsError } from '../common/fs-error.js';
import { isPromise, type MaybePromise } from '../common/maybe-promise.js';
import { FUSE_LINK_TARGET_MAX, STATX_BASIC_STATS, STATX_BTIME } from './abi/flags.js';
import { FuseOpcode } from './abi/opcode.js';
import * as abi from './abi/structs.js';
import * as decode from './codec/decode.js';
import { DirentBuffer, DirentPlusBuffer } from './codec/dirent-writer.js';
import type {
  AttrReply,
  CreateReply,
  EntryReply,
  IoctlReply,
  LockReply,
  OpenReply,
  ReadReply,
  StatfsReply,
  StatxReply,
} from './codec/replies.js';
import type { ReplyWriter } from './codec/reply-writer.js';
import type { RequestReader } from './codec/request-reader.js';
import type * as requests from './codec/requests.js';
import type { FuseContext, FuseOperations } from './fuse-operations.js';

/** What the session does with a message that no handler sees. */
export type ControlKind = 'init' | 'forget' | 'batch-forget' | 'interrupt' | 'destroy' | 'notify-reply';

type Ops = Required<FuseOperations>;

/**
 * One opcode: everything that is said about it is said here, and dispatch, metrics, log lines and tests derive from it.
 * `Req` and `Rep` are erased in the table; {@link row} ties them together where a row is made.
 */
export interface OpcodeRow<Req = unknown, Rep = unknown> {
  readonly opcode: FuseOpcode;
  /** Lower-case kernel name: metric label and log field. */
  readonly name: string;
  /** Bytes of the fixed part of the body. */
  readonly minSize: number;
  decode(reader: RequestReader): Req;
  /** Set for messages that the session itself handles; the rest is for handlers. */
  readonly control?: ControlKind;
  /** The kernel waits for a reply. */
  readonly replies: boolean;
  /** The method of {@link FuseOperations} that answers. */
  readonly method?: keyof FuseOperations;
  invoke(ops: Ops, request: Req, ctx: FuseContext, blksize: number | undefined): MaybePromise<Rep>;
  encode(writer: ReplyWriter, reply: Rep, request: Req): void;
  /** What to undo when the kernel did not take the reply. */
  undo?(ops: FuseOperations, reply: Rep, nodeid: number): void;
  /** Answer when the method is left out: ENOSYS unless that would switch off more than meant. */
  readonly missing: 'ENOSYS' | 'ENOTTY' | 'success';
  /** The decoded request points into the device's buffer. */
  readonly holdsBuffer: boolean;
}

const HEADER = abi.FUSE_OUT_HEADER.size;

/* ---- encoders ---- */

function encodeNothing(w: ReplyWriter): void {
  w.empty();
}

function encodeEntry(w: ReplyWriter, reply: EntryReply): void {
  w.begin(abi.FUSE_ENTRY_OUT.size);
  w.entry(HEADER, reply);
}

function encodeAttr(w: ReplyWriter, reply: AttrReply): void {
  const { attr_valid, attr_valid_nsec, dummy } = abi.FUSE_ATTR_OUT.offset;
  w.begin(abi.FUSE_ATTR_OUT.size);
  w.ttl(HEADER + attr_valid, HEADER + attr_valid_nsec, reply.attrTtlMs);
  w.u32(HEADER + dummy, 0);
  w.attr(HEADER + abi.FUSE_ATTR_OUT.offset.attr, reply.attr);
}

function encodeOpen(w: ReplyWriter, reply: OpenReply): void {
  w.begin(abi.FUSE_OPEN_OUT.size);
  w.open(HEADER, reply);
}

function encodeCreate(w: ReplyWriter, reply: CreateReply): void {
  w.begin(abi.FUSE_ENTRY_OUT.size + abi.FUSE_OPEN_OUT.size);
  w.entry(HEADER, reply.entry);
  w.open(HEADER + abi.FUSE_ENTRY_OUT.size, reply.open);
}

/** More pieces than this are gathered first: writev(2) takes at most 1024. */
const READ_CHUNKS_MAX = 512;

function encodeRead(w: ReplyWriter, reply: ReadReply, request: requests.ReadRequest): void {
  let chunks = reply instanceof Uint8Array ? [reply] : reply;
  if (chunks.length > READ_CHUNKS_MAX) chunks = [Buffer.concat(chunks)];
  let total = 0;
  for (const chunk of chunks) total += chunk.length;
  if (total > request.size) throw new RangeError(`read of ${request.size} bytes answered with ${total}`);
  w.body(chunks);
}

function encodeWrite(w: ReplyWriter, written: number, request: requests.WriteRequest): void {
  if (written > request.data.length)
    throw new RangeError(`write of ${request.data.length} bytes answered with ${written}`);
  w.begin(abi.FUSE_WRITE_OUT.size);
  w.u64(HEADER, written);
}

function encodeStatfs(w: ReplyWriter, reply: StatfsReply): void {
  const at = abi.FUSE_KSTATFS.offset;
  w.begin(abi.FUSE_KSTATFS.size);
  w.zero(HEADER, abi.FUSE_KSTATFS.size);
  w.u64(HEADER + at.blocks, reply.blocks);
  w.u64(HEADER + at.bfree, reply.bfree);
  w.u64(HEADER + at.bavail, reply.bavail);
  w.u64(HEADER + at.files, reply.files);
  w.u64(HEADER + at.ffree, reply.ffree);
  w.u32(HEADER + at.bsize, reply.bsize);
  w.u32(HEADER + at.namelen, reply.namelen);
  w.u32(HEADER + at.frsize, reply.frsize);
}

/** GETXATTR and LISTXATTR: size 0 asks for the size; a value that does not fit is ERANGE. */
function encodeXattr(w: ReplyWriter, value: Uint8Array, request: { readonly size: number }): void {
  if (request.size === 0) {
    w.begin(abi.FUSE_GETXATTR_OUT.size);
    w.u64(HEADER, value.length);
  } else if (value.length > request.size) {
    throw new FsError('ERANGE');
  } else {
    w.body([value]);
  }
}

function encodeLock(w: ReplyWriter, reply: LockReply): void {
  const { start, end, type, pid } = abi.FUSE_LK_OUT.offset;
  w.begin(abi.FUSE_LK_OUT.size);
  w.big(HEADER + start, reply.start);
  w.big(HEADER + end, reply.end);
  w.u32(HEADER + type, reply.type);
  w.u32(HEADER + pid, reply.pid);
}

function encodeReadlink(w: ReplyWriter, target: Uint8Array): void {
  if (target.length > FUSE_LINK_TARGET_MAX) throw new RangeError(`symlink target of ${target.length} bytes`);
  w.body([target]);
}

function encodeListing(w: ReplyWriter, listing: DirentBuffer | DirentPlusBuffer): void {
  w.body([listing.bytes]);
}

function encodeIoctl(w: ReplyWriter, reply: IoctlReply, request: requests.IoctlRequest): void {
  if (reply.data.length > request.outSize) throw new RangeError(`ioctl answered with ${reply.data.length} bytes`);
  w.begin(16); // fuse_ioctl_out: result, flags, in_iovs, out_iovs
  w.zero(HEADER, 16);
  w.u32(HEADER, reply.result);
  w.data = [reply.data];
}

function encodeU64(w: ReplyWriter, value: number): void {
  w.begin(8);
  w.u64(HEADER, value);
}

/** new_encode_dev of a device number as `st_rdev` splits it: major in bits 8 … 19, minor in 0 … 7 and 20 … 31. */
const majorOf = (rdev: number): number => (rdev >>> 8) & 0xfff;
const minorOf = (rdev: number): number => (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);

function encodeStatx(w: ReplyWriter, reply: StatxReply): void {
  const { attr } = reply;
  const out = abi.FUSE_STATX_OUT;
  const at = abi.FUSE_STATX.offset;
  const base = HEADER + out.offset.stat;
  const time = (to: number, value: requests.FuseTime): void => {
    w.u64(base + to, value.sec);
    w.u32(base + to + 8, value.nsec);
  };
  w.begin(out.size);
  w.zero(HEADER, out.size);
  w.ttl(HEADER + out.offset.attr_valid, HEADER + out.offset.attr_valid_nsec, reply.attrTtlMs);
  w.u32(base + at.mask, STATX_BASIC_STATS | STATX_BTIME);
  w.u32(base + at.blksize, w.blksize);
  w.u32(base + at.nlink, attr.nlink);
  w.u32(base + at.uid, attr.uid);
  w.u32(base + at.gid, attr.gid);
  w.u16(base + at.mode, attr.mode);
  w.u64(base + at.ino, attr.ino);
  w.u64(base + at.size, attr.size);
  w.u64(base + at.blocks, Math.ceil(attr.allocatedBytes / 512));
  time(at.atime, attr.atime);
  time(at.btime, reply.btime);
  time(at.ctime, attr.ctime);
  time(at.mtime, attr.mtime);
  w.u32(base + at.rdev_major, majorOf(attr.rdev));
  w.u32(base + at.rdev_minor, minorOf(attr.rdev));
}

/* ---- undo of replies that the kernel did not take ---- */

function undoEntry(ops: FuseOperations, reply: EntryReply): void {
  if (reply.nodeid !== 0) ops.forget?.(reply.nodeid, 1);
}

function undoOpenFile(ops: FuseOperations, reply: OpenReply, nodeid: number): void {
  ops.undoOpen?.(nodeid, reply.fh, 'file');
}

function undoOpenDir(ops: FuseOperations, reply: OpenReply, nodeid: number): void {
  ops.undoOpen?.(nodeid, reply.fh, 'dir');
}

function undoCreate(ops: FuseOperations, reply: CreateReply): void {
  ops.undoOpen?.(reply.entry.nodeid, reply.open.fh, 'file');
  undoEntry(ops, reply.entry);
}

/* ---- rows ---- */

interface HandledSpec<Req, Rep> {
  readonly minSize: number;
  decode(reader: RequestReader): Req;
  readonly method?: keyof FuseOperations;
  invoke(ops: Ops, request: Req, ctx: FuseContext, blksize: number | undefined): MaybePromise<Rep>;
  encode(writer: ReplyWriter, reply: Rep, request: Req): void;
  undo?(ops: FuseOperations, reply: Rep, nodeid: number): void;
  readonly missing?: OpcodeRow['missing'];
  readonly holdsBuffer?: boolean;
}

const unreachable = (): never => {
  throw new FsError('ENOSYS');
};

/** A row whose requests go to a handler. */
function row<Req, Rep>(opcode: FuseOpcode, spec: HandledSpec<Req, Rep>): OpcodeRow {
  const handled: OpcodeRow<Req, Rep> = {
    opcode,
    name: FuseOpcode[opcode].toLowerCase(),
    replies: true,
    missing: 'ENOSYS',
    holdsBuffer: false,
    ...spec,
  };
  return handled;
}

/** A row that the session handles by itself. */
function control(
  opcode: FuseOpcode,
  kind: ControlKind,
  minSize: number,
  decoder: (r: RequestReader) => unknown,
): OpcodeRow {
  const replies = kind === 'init' || kind === 'destroy';
  return {
    opcode,
    name: FuseOpcode[opcode].toLowerCase(),
    minSize,
    decode: decoder,
    control: kind,
    replies,
    invoke: unreachable,
    encode: encodeNothing,
    missing: 'success',
    holdsBuffer: false,
  };
}

/** A row that only has a fixed answer: we know the opcode and do not offer it. */
function refused(opcode: FuseOpcode): OpcodeRow {
  return row(opcode, { minSize: 0, decode: decode.decodeNone, invoke: unreachable, encode: encodeNothing });
}

const { size: lk } = abi.FUSE_LK_IN;
const copyRange: HandledSpec<requests.CopyFileRangeRequest, number> = {
  minSize: abi.FUSE_COPY_FILE_RANGE_IN.size,
  decode: decode.decodeCopyFileRange,
  method: 'copyFileRange',
  invoke: (o, q, c) => o.copyFileRange(q, c),
  encode: encodeU64,
};
const lockSpec: HandledSpec<requests.LockRequest, void> = {
  minSize: lk,
  decode: decode.decodeLock,
  method: 'setlk',
  invoke: (o, q, c) => o.setlk(q, c),
  encode: encodeNothing,
};

function listing<Writer>(writer: Writer, filled: MaybePromise<void>): MaybePromise<Writer> {
  return isPromise(filled) ? filled.then(() => writer) : writer;
}

/** Largest listing buffer we make, whatever size the kernel claims. */
const LISTING_MAX_BYTES = 1 << 20;
const listingBuffer = (size: number): Buffer => Buffer.allocUnsafe(Math.min(size, LISTING_MAX_BYTES));

const ROWS: readonly OpcodeRow[] = [
  row(FuseOpcode.LOOKUP, {
    minSize: 1,
    decode: decode.decodeName,
    method: 'lookup',
    invoke: (o, q, c) => o.lookup(q, c),
    encode: encodeEntry,
    undo: undoEntry,
  }),
  control(FuseOpcode.FORGET, 'forget', abi.FUSE_FORGET_IN.size, decode.decodeForget),
  row(FuseOpcode.GETATTR, {
    minSize: abi.FUSE_GETATTR_IN.size,
    decode: decode.decodeGetattr,
    method: 'getattr',
    invoke: (o, q, c) => o.getattr(q, c),
    encode: encodeAttr,
  }),
  row(FuseOpcode.SETATTR, {
    minSize: abi.FUSE_SETATTR_IN.size,
    decode: decode.decodeSetattr,
    method: 'setattr',
    invoke: (o, q, c) => o.setattr(q, c),
    encode: encodeAttr,
  }),
  row(FuseOpcode.READLINK, {
    minSize: 0,
    decode: decode.decodeNone,
    method: 'readlink',
    invoke: (o, q, c) => o.readlink(q, c),
    encode: encodeReadlink,
  }),
  row(FuseOpcode.SYMLINK, {
    minSize: 2,
    decode: decode.decodeSymlink,
    method: 'symlink',
    invoke: (o, q, c) => o.symlink(q, c),
    encode: encodeEntry,
    undo: undoEntry,
  }),
  row(FuseOpcode.MKNOD, {
    minSize: abi.FUSE_MKNOD_IN.size,
    decode: decode.decodeMknod,
    method: 'mknod',
    invoke: (o, q, c) => o.mknod(q, c),
    encode: encodeEntry,
    undo: undoEntry,
  }),
  row(FuseOpcode.MKDIR, {
    minSize: abi.FUSE_MKDIR_IN.size,
    decode: decode.decodeMkdir,
    method: 'mkdir',
    invoke: (o, q, c) => o.mkdir(q, c),
    encode: encodeEntry,
    undo: undoEntry,
  }),
  row(FuseOpcode.UNLINK, {
    minSize: 1,
    decode: decode.decodeName,
    method: 'unlink',
    invoke: (o, q, c) => o.unlink(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.RMDIR, {
    minSize: 1,
    decode: decode.decodeName,
    method: 'rmdir',
    invoke: (o, q, c) => o.rmdir(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.RENAME, {
    minSize: abi.FUSE_RENAME_IN.size,
    decode: decode.decodeRename,
    method: 'rename',
    invoke: (o, q, c) => o.rename(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.LINK, {
    minSize: abi.FUSE_LINK_IN.size,
    decode: decode.decodeLink,
    method: 'link',
    invoke: (o, q, c) => o.link(q, c),
    encode: encodeEntry,
    undo: undoEntry,
  }),
  row(FuseOpcode.OPEN, {
    minSize: abi.FUSE_OPEN_IN.size,
    decode: decode.decodeOpen,
    method: 'open',
    invoke: (o, q, c) => o.open(q, c),
    encode: encodeOpen,
    undo: undoOpenFile,
  }),
  row(FuseOpcode.READ, {
    minSize: abi.FUSE_READ_IN.size,
    decode: decode.decodeRead,
    method: 'read',
    invoke: (o, q, c) => o.read(q, c),
    encode: encodeRead,
  }),
  row(FuseOpcode.WRITE, {
    minSize: abi.FUSE_WRITE_IN.size,
    decode: decode.decodeWrite,
    method: 'write',
    invoke: (o, q, c) => o.write(q, c),
    encode: encodeWrite,
    holdsBuffer: true,
  }),
  row(FuseOpcode.STATFS, {
    minSize: 0,
    decode: decode.decodeNone,
    method: 'statfs',
    invoke: (o, q, c) => o.statfs(q, c),
    encode: encodeStatfs,
  }),
  row(FuseOpcode.RELEASE, {
    minSize: abi.FUSE_RELEASE_IN.size,
    decode: decode.decodeRelease,
    method: 'release',
    invoke: (o, q, c) => o.release(q, c),
    encode: encodeNothing,
    missing: 'success',
  }),
  row(FuseOpcode.FSYNC, {
    minSize: abi.FUSE_FSYNC_IN.size,
    decode: decode.decodeFsync,
    method: 'fsync',
    invoke: (o, q, c) => o.fsync(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.SETXATTR, {
    minSize: abi.FUSE_COMPAT_SETXATTR_IN_SIZE,
    decode: decode.decodeSetxattr,
    method: 'setxattr',
    invoke: (o, q, c) => o.setxattr(q, c),
    encode: encodeNothing,
  }),
  row<requests.GetxattrRequest, Uint8Array>(FuseOpcode.GETXATTR, {
    minSize: abi.FUSE_GETXATTR_IN.size,
    decode: decode.decodeGetxattr,
    method: 'getxattr',
    invoke: (o, q, c) => o.getxattr(q, c),
    encode: encodeXattr,
  }),
  row(FuseOpcode.LISTXATTR, {
    minSize: abi.FUSE_GETXATTR_IN.size,
    decode: decode.decodeListxattr,
    method: 'listxattr',
    invoke: (o, q, c) => o.listxattr(q, c),
    encode: encodeXattr,
  }),
  row(FuseOpcode.REMOVEXATTR, {
    minSize: 1,
    decode: decode.decodeName,
    method: 'removexattr',
    invoke: (o, q, c) => o.removexattr(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.FLUSH, {
    minSize: abi.FUSE_FLUSH_IN.size,
    decode: decode.decodeFlush,
    method: 'flush',
    invoke: (o, q, c) => o.flush(q, c),
    encode: encodeNothing,
  }),
  control(FuseOpcode.INIT, 'init', decode.INIT_MIN_SIZE, decode.decodeInit),
  row(FuseOpcode.OPENDIR, {
    minSize: abi.FUSE_OPEN_IN.size,
    decode: decode.decodeOpen,
    method: 'opendir',
    invoke: (o, q, c) => o.opendir(q, c),
    encode: encodeOpen,
    undo: undoOpenDir,
  }),
  row(FuseOpcode.READDIR, {
    minSize: abi.FUSE_READ_IN.size,
    decode: decode.decodeReaddir,
    method: 'readdir',
    invoke: (o, q, c, blksize) => {
      const writer = new DirentBuffer(listingBuffer(q.size), q.size, blksize);
      return listing(writer, o.readdir(q, c, writer));
    },
    encode: encodeListing,
  }),
  row(FuseOpcode.RELEASEDIR, {
    minSize: abi.FUSE_RELEASE_IN.size,
    decode: decode.decodeRelease,
    method: 'releasedir',
    invoke: (o, q, c) => o.releasedir(q, c),
    encode: encodeNothing,
    missing: 'success',
  }),
  row(FuseOpcode.FSYNCDIR, {
    minSize: abi.FUSE_FSYNC_IN.size,
    decode: decode.decodeFsync,
    method: 'fsyncdir',
    invoke: (o, q, c) => o.fsyncdir(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.GETLK, {
    minSize: lk,
    decode: decode.decodeLock,
    method: 'getlk',
    invoke: (o, q, c) => o.getlk(q, c),
    encode: encodeLock,
  }),
  row(FuseOpcode.SETLK, lockSpec),
  row(FuseOpcode.SETLKW, lockSpec),
  row(FuseOpcode.ACCESS, {
    minSize: abi.FUSE_ACCESS_IN.size,
    decode: decode.decodeAccess,
    method: 'access',
    invoke: (o, q, c) => o.access(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.CREATE, {
    minSize: abi.FUSE_CREATE_IN.size,
    decode: decode.decodeCreate,
    method: 'create',
    invoke: (o, q, c) => o.create(q, c),
    encode: encodeCreate,
    undo: undoCreate,
  }),
  control(FuseOpcode.INTERRUPT, 'interrupt', abi.FUSE_INTERRUPT_IN.size, decode.decodeInterrupt),
  refused(FuseOpcode.BMAP),
  control(FuseOpcode.DESTROY, 'destroy', 0, decode.decodeNone),
  row(FuseOpcode.IOCTL, {
    minSize: abi.FUSE_IOCTL_IN.size,
    decode: decode.decodeIoctl,
    method: 'ioctl',
    invoke: (o, q, c) => o.ioctl(q, c),
    encode: encodeIoctl,
    missing: 'ENOTTY', // ENOSYS would be remembered per connection; isatty(3) comes for every file that stdio opens
  }),
  refused(FuseOpcode.POLL),
  control(FuseOpcode.NOTIFY_REPLY, 'notify-reply', 0, decode.decodeNone),
  control(FuseOpcode.BATCH_FORGET, 'batch-forget', abi.FUSE_BATCH_FORGET_IN.size, decode.decodeBatchForget),
  row(FuseOpcode.FALLOCATE, {
    minSize: abi.FUSE_FALLOCATE_IN.size,
    decode: decode.decodeFallocate,
    method: 'fallocate',
    invoke: (o, q, c) => o.fallocate(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.READDIRPLUS, {
    minSize: abi.FUSE_READ_IN.size,
    decode: decode.decodeReaddir,
    method: 'readdirplus',
    invoke: (o, q, c, blksize) => {
      const writer = new DirentPlusBuffer(listingBuffer(q.size), q.size, blksize);
      return listing(writer, o.readdirplus(q, c, writer));
    },
    encode: encodeListing,
    undo: (ops, reply: DirentPlusBuffer) => {
      reply.forEachLookup((nodeid) => ops.forget?.(nodeid, 1));
    },
  }),
  row(FuseOpcode.RENAME2, {
    minSize: abi.FUSE_RENAME2_IN.size,
    decode: decode.decodeRename2,
    method: 'rename',
    invoke: (o, q, c) => o.rename(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.LSEEK, {
    minSize: abi.FUSE_LSEEK_IN.size,
    decode: decode.decodeLseek,
    method: 'lseek',
    invoke: (o, q, c) => o.lseek(q, c),
    encode: encodeU64,
  }),
  row(FuseOpcode.COPY_FILE_RANGE, copyRange),
  refused(FuseOpcode.SETUPMAPPING),
  refused(FuseOpcode.REMOVEMAPPING),
  row(FuseOpcode.SYNCFS, {
    minSize: abi.FUSE_SYNCFS_IN.size,
    decode: decode.decodeNone,
    method: 'syncfs',
    invoke: (o, q, c) => o.syncfs(q, c),
    encode: encodeNothing,
  }),
  row(FuseOpcode.TMPFILE, {
    minSize: abi.FUSE_CREATE_IN.size,
    decode: decode.decodeCreate,
    method: 'tmpfile',
    invoke: (o, q, c) => o.tmpfile(q, c),
    encode: encodeCreate,
    undo: undoCreate,
  }),
  row(FuseOpcode.STATX, {
    minSize: abi.FUSE_STATX_IN.size,
    decode: decode.decodeStatx,
    method: 'statx',
    invoke: (o, q, c) => o.statx(q, c),
    encode: encodeStatx,
  }),
  row(FuseOpcode.COPY_FILE_RANGE_64, copyRange),
];

const byNumber: (OpcodeRow | undefined)[] = [];
for (const entry of ROWS) byNumber[entry.opcode] = entry;

/** The row of an opcode by its number; undefined for one we do not know. */
export const OPCODE_TABLE: readonly (OpcodeRow | undefined)[] = byNumber;
