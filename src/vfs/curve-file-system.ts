import type { Clock } from '../common/clock.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import type { Fh, Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import type { LockRange } from '../model/lock.js';
import { AttrOps } from './attr-ops.js';
import { DirOps } from './dir-ops.js';
import type { FileSystem } from './file-system.js';
import { FileOps } from './file-ops.js';
import { type IsOfdCall, LockOps } from './lock-ops.js';
import { NamespaceOps } from './namespace-ops.js';
import { RangeOps } from './range-ops.js';
import type {
  CopyFileRangeRequest,
  CreateReply,
  CreateRequest,
  DirentSink,
  FallocateRequest,
  LseekRequest,
  MakeRequest,
  MknodRequest,
  GetlkRequest,
  OpenReply,
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
import { VfsCore, type VfsDeps, type VfsOptions } from './vfs-core.js';
import type { VfsContext } from './vfs-context.js';
import { XattrOps } from './xattr-ops.js';

/**
 * The filesystem semantics of a mount: POSIX rules, permission, handles, over the metadata client (names, attributes) and the data path (content).
 * One group of operations per file; what they share is in {@link VfsCore}. Holds no content and no lock of its own: the server orders
 * namespace operations, the data path orders those on one file's content.
 */
export class CurveFileSystem implements FileSystem {
  readonly #core: VfsCore;
  readonly #attrs: AttrOps;
  readonly #names: NamespaceOps;
  readonly #files: FileOps;
  readonly #ranges: RangeOps;
  readonly #locks: LockOps;
  readonly #dirs: DirOps;
  readonly #xattrs: XattrOps;

  constructor(deps: VfsDeps & { readonly clock: Clock; readonly isOfdCall?: IsOfdCall }, opts: VfsOptions) {
    this.#core = new VfsCore(deps, opts);
    this.#attrs = new AttrOps(this.#core);
    this.#names = new NamespaceOps(this.#core);
    const { clock, isOfdCall = () => false } = deps;
    this.#locks = new LockOps(this.#core, { clock, isOfdCall });
    this.#files = new FileOps(this.#core, this.#locks);
    this.#ranges = new RangeOps(this.#core);
    this.#dirs = new DirOps(this.#core, deps.clock);
    this.#xattrs = new XattrOps(this.#core);
  }

  /** Handles of files that are open now: a gauge. */
  get openFiles(): number {
    return this.#core.files.size;
  }

  /** Inodes that somebody here holds or wants a lock on: a gauge. */
  get lockedInodes(): number {
    return this.#locks.locked;
  }

  /** Times of access that the server does not have yet: a gauge. */
  get accessTimes(): number {
    return this.#core.times.size;
  }

  /** Sends what is still to be sent. */
  close(): Promise<void> {
    return this.#core.times.close();
  }

  lookup(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<InodeAttr | undefined> {
    return this.#names.lookup(ctx, parent, name);
  }

  lookupRemovable(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<InodeAttr> | undefined {
    return this.#names.lookupRemovable(ctx, parent, name);
  }

  forget(ino: Ino): void {
    const inner = this.#core.inner(ino);
    this.#core.versions.forget(inner);
    this.#core.removed.forget(inner);
  }

  getattr(ctx: VfsContext, ino: Ino): MaybePromise<InodeAttr> {
    return this.#attrs.getattr(ctx, ino);
  }

  setattr(ctx: VfsContext, ino: Ino, request: SetattrRequest): MaybePromise<InodeAttr> {
    return this.#attrs.setattr(ctx, ino, request);
  }

  access(ctx: VfsContext, ino: Ino, mask: number): MaybePromise<void> {
    return this.#attrs.access(ctx, ino, mask);
  }

  readlink(ctx: VfsContext, ino: Ino): MaybePromise<Uint8Array> {
    return this.#attrs.readlink(ctx, ino);
  }

  mknod(ctx: VfsContext, request: MknodRequest): MaybePromise<InodeAttr> {
    return this.#names.mknod(ctx, request);
  }

  mkdir(ctx: VfsContext, request: MakeRequest): MaybePromise<InodeAttr> {
    return this.#names.mkdir(ctx, request);
  }

  symlink(ctx: VfsContext, request: SymlinkRequest): MaybePromise<InodeAttr> {
    return this.#names.symlink(ctx, request);
  }

  link(ctx: VfsContext, ino: Ino, newParent: Ino, newName: Uint8Array): MaybePromise<InodeAttr> {
    return this.#names.link(ctx, ino, newParent, newName);
  }

  unlink(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<void> {
    return this.#names.unlink(ctx, parent, name);
  }

  rmdir(ctx: VfsContext, parent: Ino, name: Uint8Array): MaybePromise<void> {
    return this.#names.rmdir(ctx, parent, name);
  }

  rename(ctx: VfsContext, request: RenameRequest): MaybePromise<void> {
    return this.#names.rename(ctx, request);
  }

  create(ctx: VfsContext, request: CreateRequest): MaybePromise<CreateReply> {
    return this.#files.create(ctx, request);
  }

  tmpfile(ctx: VfsContext, request: CreateRequest): MaybePromise<CreateReply> {
    return this.#files.tmpfile(ctx, request);
  }

  open(ctx: VfsContext, request: OpenRequest): MaybePromise<OpenReply> {
    return this.#files.open(ctx, request);
  }

  read(ctx: VfsContext, ino: Ino, fh: Fh, offset: number, length: number): MaybePromise<readonly Uint8Array[]> {
    return this.#files.read(ctx, ino, fh, offset, length);
  }

  write(ctx: VfsContext, request: WriteRequest): MaybePromise<number> {
    return this.#files.write(ctx, request);
  }

  fallocate(ctx: VfsContext, request: FallocateRequest): MaybePromise<void> {
    return this.#ranges.fallocate(ctx, request);
  }

  lseek(ctx: VfsContext, request: LseekRequest): MaybePromise<number> {
    return this.#ranges.lseek(ctx, request);
  }

  copyFileRange(ctx: VfsContext, request: CopyFileRangeRequest): MaybePromise<number> {
    return this.#ranges.copyFileRange(ctx, request);
  }

  flush(ctx: VfsContext, ino: Ino, fh: Fh, lockOwner?: bigint): MaybePromise<void> {
    return this.#files.flush(ctx, ino, fh, lockOwner);
  }

  getlk(ctx: VfsContext, request: GetlkRequest): MaybePromise<LockRange | undefined> {
    return this.#locks.getlk(ctx, request);
  }

  setlk(ctx: VfsContext, request: SetlkRequest): MaybePromise<void> {
    return this.#locks.setlk(ctx, request);
  }

  fsync(ctx: VfsContext, ino: Ino, fh: Fh): MaybePromise<void> {
    return this.#files.fsync(ctx, ino, fh);
  }

  release(ino: Ino, fh: Fh): void {
    this.#files.release(ino, fh);
  }

  opendir(ctx: VfsContext, ino: Ino): MaybePromise<Fh> {
    return this.#dirs.opendir(ctx, ino);
  }

  readdir(ctx: VfsContext, request: ReaddirRequest, sink: DirentSink): MaybePromise<void> {
    return this.#dirs.readdir(ctx, request, sink);
  }

  fsyncdir(ctx: VfsContext): MaybePromise<void> {
    return this.#dirs.fsyncdir(ctx);
  }

  releasedir(_ino: Ino, fh: Fh): void {
    this.#dirs.releasedir(fh);
  }

  statfs(ctx: VfsContext, ino: Ino): MaybePromise<StatfsReply> {
    return this.#attrs.statfs(ctx, ino);
  }

  getxattr(ctx: VfsContext, ino: Ino, name: Uint8Array): MaybePromise<Uint8Array> {
    return this.#xattrs.getxattr(ctx, ino, name);
  }

  listxattr(ctx: VfsContext, ino: Ino): MaybePromise<readonly Uint8Array[]> {
    return this.#xattrs.listxattr(ctx, ino);
  }

  setxattr(ctx: VfsContext, request: SetxattrRequest): MaybePromise<void> {
    return this.#xattrs.setxattr(ctx, request);
  }

  removexattr(ctx: VfsContext, ino: Ino, name: Uint8Array): MaybePromise<void> {
    return this.#xattrs.removexattr(ctx, ino, name);
  }
}
