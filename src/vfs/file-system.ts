import type { MaybePromise } from '../common/maybe-promise.js';
import type { Fh, Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import type { LockRange } from '../model/lock.js';
import type {
  CopyFileRangeRequest,
  CreateReply,
  CreateRequest,
  DirentSink,
  FallocateRequest,
  LseekRequest,
  MakeRequest,
  MknodRequest,
  OpenReply,
  GetlkRequest,
  OpenRequest,
  ReaddirRequest,
  RenameRequest,
  SetattrRequest,
  SetlkRequest,
  SetxattrRequest,
  StatfsReply,
  SymlinkRequest,
  WriteRequest,
} from './requests.js';
import type { VfsContext } from './vfs-context.js';

/**
 * A POSIX filesystem by inodes, one method per operation, as a driver (kernel, libfuse, a test) calls it. What is at hand is returned, not promised.
 * Errors are `FsError` with the errno that POSIX and Linux give the case. Attributes include what is written and not committed yet.
 */
export interface FileSystem {
  /** The entry's attributes; undefined = there is none. `.` and `..` are answered too (NFS export). */
  lookup(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<InodeAttr | undefined>;
  /**
   * A short way to a {@link lookup} that probably serves a removal, for a driver that asks for the attributes again before it uses them: the entry exists, its attributes may be
   * old. Undefined = there is none, look it up.
   */
  lookupRemovable(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<InodeAttr> | undefined;
  /** The driver remembers nothing of the inode any more. */
  forget(ino: Ino): void;
  getattr(ctx: VfsContext, ino: Ino): MaybePromise<InodeAttr>;
  setattr(ctx: VfsContext, ino: Ino, request: SetattrRequest): MaybePromise<InodeAttr>;
  access(ctx: VfsContext, ino: Ino, mask: number): MaybePromise<void>;
  readlink(ctx: VfsContext, ino: Ino): MaybePromise<Uint8Array>;

  mknod(ctx: VfsContext, request: MknodRequest): MaybePromise<InodeAttr>;
  mkdir(ctx: VfsContext, request: MakeRequest): MaybePromise<InodeAttr>;
  symlink(ctx: VfsContext, request: SymlinkRequest): MaybePromise<InodeAttr>;
  link(ctx: VfsContext, ino: Ino, newParent: Ino, newName: Uint8Array): MaybePromise<InodeAttr>;
  unlink(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<void>;
  rmdir(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<void>;
  rename(ctx: VfsContext, request: RenameRequest): MaybePromise<void>;

  create(ctx: VfsContext, request: CreateRequest): MaybePromise<CreateReply>;
  /** A file without a name in the directory's filesystem (O_TMPFILE); the request's name means nothing. */
  tmpfile(ctx: VfsContext, request: CreateRequest): MaybePromise<CreateReply>;
  open(ctx: VfsContext, request: OpenRequest): MaybePromise<OpenReply>;
  read(ctx: VfsContext, ino: Ino, fh: Fh, offset: number, length: number): MaybePromise<readonly Uint8Array[]>;
  /** Returns the number of bytes written. */
  write(ctx: VfsContext, request: WriteRequest): MaybePromise<number>;
  fallocate(ctx: VfsContext, request: FallocateRequest): MaybePromise<void>;
  /** SEEK_DATA and SEEK_HOLE; returns the offset. */
  lseek(ctx: VfsContext, request: LseekRequest): MaybePromise<number>;
  /** Returns how many bytes were copied. */
  copyFileRange(ctx: VfsContext, request: CopyFileRangeRequest): MaybePromise<number>;
  /** close(2) of one descriptor: returns the error of an earlier write, once, and drops the fcntl locks of `lockOwner` on the file. */
  flush(ctx: VfsContext, ino: Ino, fh: Fh, lockOwner?: bigint): MaybePromise<void>;
  fsync(ctx: VfsContext, ino: Ino, fh: Fh): MaybePromise<void>;
  /** The last descriptor of the handle is closed. */
  release(ino: Ino, fh: Fh): void;

  /** The lock that is in the way; undefined = none. */
  getlk(ctx: VfsContext, request: GetlkRequest): MaybePromise<LockRange | undefined>;
  /** Sets or drops a lock, for all mounts. EAGAIN, EDEADLK, ENOLCK; EINTR when the signal ended the wait. */
  setlk(ctx: VfsContext, request: SetlkRequest): MaybePromise<void>;

  opendir(ctx: VfsContext, ino: Ino): MaybePromise<Fh>;
  /** Adds entries to the sink until it is full or no entry is left. */
  readdir(ctx: VfsContext, request: ReaddirRequest, sink: DirentSink): MaybePromise<void>;
  fsyncdir(ctx: VfsContext, ino: Ino): MaybePromise<void>;
  releasedir(ino: Ino, fh: Fh): void;

  /** Of the quota that the inode lies in, or of the filesystem. */
  statfs(ctx: VfsContext, ino: Ino): MaybePromise<StatfsReply>;
  getxattr(ctx: VfsContext, ino: Ino, name: Uint8Array): MaybePromise<Uint8Array>;
  listxattr(ctx: VfsContext, ino: Ino): MaybePromise<readonly Uint8Array[]>;
  setxattr(ctx: VfsContext, request: SetxattrRequest): MaybePromise<void>;
  removexattr(ctx: VfsContext, ino: Ino, name: Uint8Array): MaybePromise<void>;
}
