import type { MaybePromise } from '../common/maybe-promise.js';
import type { DirentPlusWriter, DirentWriter } from './codec/dirent-writer.js';
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
import type {
  AccessRequest,
  CopyFileRangeRequest,
  CreateRequest,
  FallocateRequest,
  FlushRequest,
  FsyncRequest,
  GetattrRequest,
  GetxattrRequest,
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
} from './codec/requests.js';
import type { NegotiatedInit } from './session/negotiate.js';

/** Who asks, about which node, and whether the asking was given up. Made per request; may be kept until the handler is done. */
export interface FuseContext {
  /** The request's number in this kernel connection, less the resend bit: a re-sent request has the number it had before. */
  readonly opId: number;
  /** True when the kernel sent this request before, to a predecessor of this process that did not answer it. */
  readonly resent: boolean;
  /** The node the operation is on: for operations with a name, the directory. */
  readonly nodeid: number;
  /** fsuid and fsgid of the caller; 0 for requests the kernel makes by itself (release, page-cache write-back). */
  readonly uid: number;
  readonly gid: number;
  /** Thread id of the caller in the mounter's pid namespace; 0 when unknown. */
  readonly pid: number;
  /** When the parent directory's group is one of the caller's supplementary groups, that group (create, mknod, mkdir, symlink, tmpfile). */
  readonly createSuppGid: number | undefined;
  /** True once nobody waits for the answer any more. */
  readonly interrupted: boolean;
  /** Aborted (reason: FsError EINTR) when the caller is dying, a signal ends its waiting for a lock, or the mount is gone. Made on first use. */
  readonly signal: AbortSignal;
}

/**
 * A filesystem as the kernel sees it: one method per operation. A method returns its reply, or a promise of it when it has to wait
 * (return the value where possible: it saves a turn of the event loop), and throws or rejects with an FsError for an errno; anything
 * else thrown is EIO. A method that is left out is switched off in the kernel with ENOSYS for the life of the mount, which has a
 * meaning of its own for each (fuse.md section 1); a method itself cannot answer ENOSYS: that becomes EOPNOTSUPP.
 *
 * Whatever the reply is, it is sent exactly once, by the session.
 */
export interface FuseOperations {
  /** Called once, after INIT has been answered, or at the start of a session that took an initialized connection over. */
  init?(negotiated: NegotiatedInit): void;
  /** The kernel has let go of `nlookup` lookups of the node. Also called for an entry reply that the kernel did not take. */
  forget?(nodeid: number, nlookup: number): void;
  /** The kernel did not take the reply to an open (of `kind`): no release will follow. */
  undoOpen?(nodeid: number, fh: number, kind: 'file' | 'dir'): void;

  lookup?(request: LookupRequest, ctx: FuseContext): MaybePromise<EntryReply>;
  getattr?(request: GetattrRequest, ctx: FuseContext): MaybePromise<AttrReply>;
  setattr?(request: SetattrRequest, ctx: FuseContext): MaybePromise<AttrReply>;
  readlink?(request: undefined, ctx: FuseContext): MaybePromise<Uint8Array>;
  symlink?(request: SymlinkRequest, ctx: FuseContext): MaybePromise<EntryReply>;
  mknod?(request: MknodRequest, ctx: FuseContext): MaybePromise<EntryReply>;
  mkdir?(request: MkdirRequest, ctx: FuseContext): MaybePromise<EntryReply>;
  unlink?(request: UnlinkRequest, ctx: FuseContext): MaybePromise<void>;
  rmdir?(request: UnlinkRequest, ctx: FuseContext): MaybePromise<void>;
  rename?(request: RenameRequest, ctx: FuseContext): MaybePromise<void>;
  link?(request: LinkRequest, ctx: FuseContext): MaybePromise<EntryReply>;
  open?(request: OpenRequest, ctx: FuseContext): MaybePromise<OpenReply>;
  read?(request: ReadRequest, ctx: FuseContext): MaybePromise<ReadReply>;
  /** Returns the number of bytes written. */
  write?(request: WriteRequest, ctx: FuseContext): MaybePromise<number>;
  statfs?(request: undefined, ctx: FuseContext): MaybePromise<StatfsReply>;
  release?(request: ReleaseRequest, ctx: FuseContext): MaybePromise<void>;
  fsync?(request: FsyncRequest, ctx: FuseContext): MaybePromise<void>;
  flush?(request: FlushRequest, ctx: FuseContext): MaybePromise<void>;
  setxattr?(request: SetxattrRequest, ctx: FuseContext): MaybePromise<void>;
  /** Returns the whole value, whatever size was asked for. */
  getxattr?(request: GetxattrRequest, ctx: FuseContext): MaybePromise<Uint8Array>;
  /** Returns the names, each followed by a NUL. */
  listxattr?(request: ListxattrRequest, ctx: FuseContext): MaybePromise<Uint8Array>;
  removexattr?(request: RemovexattrRequest, ctx: FuseContext): MaybePromise<void>;
  opendir?(request: OpenRequest, ctx: FuseContext): MaybePromise<OpenReply>;
  /** Adds entries until the writer says that one did not fit, or there are no more. */
  readdir?(request: ReaddirRequest, ctx: FuseContext, writer: DirentWriter): MaybePromise<void>;
  readdirplus?(request: ReaddirRequest, ctx: FuseContext, writer: DirentPlusWriter): MaybePromise<void>;
  releasedir?(request: ReleaseRequest, ctx: FuseContext): MaybePromise<void>;
  fsyncdir?(request: FsyncRequest, ctx: FuseContext): MaybePromise<void>;
  getlk?(request: LockRequest, ctx: FuseContext): MaybePromise<LockReply>;
  /** SETLK and SETLKW (`wait`); POSIX locks and flock (`flock`). */
  setlk?(request: LockRequest, ctx: FuseContext): MaybePromise<void>;
  access?(request: AccessRequest, ctx: FuseContext): MaybePromise<void>;
  create?(request: CreateRequest, ctx: FuseContext): MaybePromise<CreateReply>;
  tmpfile?(request: CreateRequest, ctx: FuseContext): MaybePromise<CreateReply>;
  ioctl?(request: IoctlRequest, ctx: FuseContext): MaybePromise<IoctlReply>;
  fallocate?(request: FallocateRequest, ctx: FuseContext): MaybePromise<void>;
  /** SEEK_DATA and SEEK_HOLE; returns the offset. */
  lseek?(request: LseekRequest, ctx: FuseContext): MaybePromise<number>;
  /** Returns the number of bytes copied. */
  copyFileRange?(request: CopyFileRangeRequest, ctx: FuseContext): MaybePromise<number>;
  statx?(request: StatxRequest, ctx: FuseContext): MaybePromise<StatxReply>;
  syncfs?(request: undefined, ctx: FuseContext): MaybePromise<void>;
}
