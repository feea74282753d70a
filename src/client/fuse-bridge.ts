import { FsError } from '../common/fs-error.js';
import { isPromise, mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import { FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE } from '../fuse/abi/flags.js';
import type { DirentPlusWriter, DirentWriter } from '../fuse/codec/dirent-writer.js';
import type {
  AttrReply,
  CreateReply,
  EntryReply,
  LockReply,
  OpenReply,
  ReadReply,
  StatfsReply,
  StatxReply,
} from '../fuse/codec/replies.js';
import type * as fuse from '../fuse/codec/requests.js';
import type { FuseContext, FuseOperations } from '../fuse/fuse-operations.js';
import type { Fh, Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import { LOCK_END_MAX } from '../model/lock.js';
import type { FileSystem } from '../vfs/file-system.js';
import { O_APPEND, type OpenReply as VfsOpenReply } from '../vfs/requests.js';
import { KernelContext } from './kernel-context.js';

/** How long the kernel may keep what it was told. */
export interface BridgeOptions {
  readonly entryTtlMs: number;
  readonly attrTtlMs: number;
  /** Of the absence of a name; 0 = asked again each time. */
  readonly negativeTtlMs: number;
}

/** The cookies of `.` and `..`, which count for no lookup. */
const LAST_DOT_COOKIE = 2;
/** By F_RDLCK and F_WRLCK. */
const LOCK_TYPES = ['read', 'write'] as const;
const F_UNLCK = 2;

/**
 * The kernel's requests as calls of the VFS: the only file that sees both. A nodeid is the inode number, so that any worker can serve any nodeid the kernel
 * remembers; what is left out here the kernel does by itself or reports as unsupported.
 */
export class FuseBridge implements FuseOperations {
  readonly #fs: FileSystem;
  readonly #opts: BridgeOptions;
  readonly #absent: EntryReply;

  constructor(deps: { readonly fs: FileSystem }, opts: BridgeOptions) {
    this.#fs = deps.fs;
    this.#opts = opts;
    this.#absent = { nodeid: 0, generation: 0, entryTtlMs: opts.negativeTtlMs, attrTtlMs: 0, attr: undefined };
  }

  forget(nodeid: number): void {
    this.#fs.forget(nodeid as Ino);
  }

  undoOpen(nodeid: number, fh: number, kind: 'file' | 'dir'): void {
    if (kind === 'dir') this.#fs.releasedir(nodeid as Ino, fh as Fh);
    else this.#fs.release(nodeid as Ino, fh as Fh);
  }

  lookup(request: fuse.LookupRequest, ctx: FuseContext): MaybePromise<EntryReply> {
    const kernel = new KernelContext(ctx);
    const parent = ctx.nodeid as Ino;
    const removable = this.#fs.lookupRemovable(kernel, parent, request.name);
    // attributes that the kernel may not keep are asked for again by whoever needs them (fuse_update_get_attr)
    if (removable !== undefined) return mapMaybe(removable, (attr) => ({ ...this.#entry(attr), attrTtlMs: 0 }));
    const attr = this.#fs.lookup(kernel, parent, request.name);
    return isPromise(attr) ? attr.then((got) => this.#found(got)) : this.#found(attr);
  }

  getattr(_request: fuse.GetattrRequest, ctx: FuseContext): MaybePromise<AttrReply> {
    const attr = this.#fs.getattr(new KernelContext(ctx), ctx.nodeid as Ino);
    return isPromise(attr) ? attr.then((got) => this.#attr(got)) : this.#attr(attr);
  }

  setattr(request: fuse.SetattrRequest, ctx: FuseContext): MaybePromise<AttrReply> {
    const { mode, uid, gid, size, atime, mtime, ctime, killSuidgid: killPriv } = request;
    const fh = request.fh as Fh | undefined;
    const change = { fh, mode, uid, gid, size, atime, mtime, ctime, killPriv };
    return mapMaybe(this.#fs.setattr(new KernelContext(ctx), ctx.nodeid as Ino, change), (attr) => this.#attr(attr));
  }

  access(request: fuse.AccessRequest, ctx: FuseContext): MaybePromise<void> {
    return this.#fs.access(new KernelContext(ctx), ctx.nodeid as Ino, request.mask);
  }

  readlink(_request: undefined, ctx: FuseContext): MaybePromise<Uint8Array> {
    return this.#fs.readlink(new KernelContext(ctx), ctx.nodeid as Ino);
  }

  symlink(request: fuse.SymlinkRequest, ctx: FuseContext): MaybePromise<EntryReply> {
    const { name, target } = request;
    const made = this.#fs.symlink(new KernelContext(ctx), { parent: ctx.nodeid as Ino, name, target });
    return mapMaybe(made, (attr) => this.#entry(attr));
  }

  mknod(request: fuse.MknodRequest, ctx: FuseContext): MaybePromise<EntryReply> {
    const { name, mode, umask, rdev } = request;
    const made = this.#fs.mknod(new KernelContext(ctx), { parent: ctx.nodeid as Ino, name, mode, umask, rdev });
    return mapMaybe(made, (attr) => this.#entry(attr));
  }

  mkdir(request: fuse.MkdirRequest, ctx: FuseContext): MaybePromise<EntryReply> {
    const { name, mode, umask } = request;
    const made = this.#fs.mkdir(new KernelContext(ctx), { parent: ctx.nodeid as Ino, name, mode, umask });
    return mapMaybe(made, (attr) => this.#entry(attr));
  }

  unlink(request: fuse.UnlinkRequest, ctx: FuseContext): MaybePromise<void> {
    return this.#fs.unlink(new KernelContext(ctx), ctx.nodeid as Ino, request.name);
  }

  rmdir(request: fuse.UnlinkRequest, ctx: FuseContext): MaybePromise<void> {
    return this.#fs.rmdir(new KernelContext(ctx), ctx.nodeid as Ino, request.name);
  }

  rename(request: fuse.RenameRequest, ctx: FuseContext): MaybePromise<void> {
    const { name, newName, flags } = request;
    const parent = ctx.nodeid as Ino;
    return this.#fs.rename(new KernelContext(ctx), {
      parent,
      name,
      newParent: request.newParent as Ino,
      newName,
      flags,
    });
  }

  link(request: fuse.LinkRequest, ctx: FuseContext): MaybePromise<EntryReply> {
    const linked = this.#fs.link(new KernelContext(ctx), request.oldNodeid as Ino, ctx.nodeid as Ino, request.name);
    return mapMaybe(linked, (attr) => this.#entry(attr));
  }

  create(request: fuse.CreateRequest, ctx: FuseContext): MaybePromise<CreateReply> {
    const { name, flags, mode, umask, killSuidgid: killPriv } = request;
    const create = { parent: ctx.nodeid as Ino, name, flags, mode, umask, killPriv };
    const made = this.#fs.create(new KernelContext(ctx), create);
    return mapMaybe(made, (reply) => ({ entry: this.#entry(reply.attr), open: openReply(reply) }));
  }

  tmpfile(request: fuse.CreateRequest, ctx: FuseContext): MaybePromise<CreateReply> {
    const { name, flags, mode, umask, killSuidgid: killPriv } = request;
    const create = { parent: ctx.nodeid as Ino, name, flags, mode, umask, killPriv };
    const made = this.#fs.tmpfile(new KernelContext(ctx), create);
    return mapMaybe(made, (reply) => ({ entry: this.#entry(reply.attr), open: openReply(reply) }));
  }

  open(request: fuse.OpenRequest, ctx: FuseContext): MaybePromise<OpenReply> {
    const { flags, killSuidgid: killPriv } = request;
    return mapMaybe(this.#fs.open(new KernelContext(ctx), { ino: ctx.nodeid as Ino, flags, killPriv }), openReply);
  }

  read(request: fuse.ReadRequest, ctx: FuseContext): MaybePromise<ReadReply> {
    const fh = request.fh as Fh;
    return this.#fs.read(new KernelContext(ctx), ctx.nodeid as Ino, fh, request.offset, request.size);
  }

  write(request: fuse.WriteRequest, ctx: FuseContext): MaybePromise<number> {
    return this.#fs.write(new KernelContext(ctx), {
      ino: ctx.nodeid as Ino,
      fh: request.fh as Fh,
      offset: request.offset,
      data: request.data,
      append: (request.flags & O_APPEND) !== 0,
      fromPageCache: request.writeCache,
      killPriv: request.killSuidgid,
    });
  }

  fallocate(request: fuse.FallocateRequest, ctx: FuseContext): MaybePromise<void> {
    const { fh, offset, length, mode } = request;
    return this.#fs.fallocate(new KernelContext(ctx), { ino: ctx.nodeid as Ino, fh: fh as Fh, offset, length, mode });
  }

  lseek(request: fuse.LseekRequest, ctx: FuseContext): MaybePromise<number> {
    const { offset, whence } = request;
    return this.#fs.lseek(new KernelContext(ctx), { ino: ctx.nodeid as Ino, offset, whence });
  }

  copyFileRange(request: fuse.CopyFileRangeRequest, ctx: FuseContext): MaybePromise<number> {
    const { length, flags } = request;
    return this.#fs.copyFileRange(new KernelContext(ctx), {
      source: ctx.nodeid as Ino,
      sourceFh: request.fhIn as Fh,
      sourceOffset: request.offsetIn,
      ino: request.nodeidOut as Ino,
      fh: request.fhOut as Fh,
      offset: request.offsetOut,
      length,
      flags,
    });
  }

  statx(_request: fuse.StatxRequest, ctx: FuseContext): MaybePromise<StatxReply> {
    return mapMaybe(this.#fs.getattr(new KernelContext(ctx), ctx.nodeid as Ino), (attr) => ({
      attrTtlMs: this.#opts.attrTtlMs,
      attr,
      btime: attr.btime,
    }));
  }

  flush(request: fuse.FlushRequest, ctx: FuseContext): MaybePromise<void> {
    return this.#fs.flush(new KernelContext(ctx), ctx.nodeid as Ino, request.fh as Fh, request.lockOwner);
  }

  getlk(request: fuse.LockRequest, ctx: FuseContext): MaybePromise<LockReply> {
    const { owner, start, end } = request;
    const type = LOCK_TYPES[request.type];
    if (type === undefined) throw new FsError('EINVAL', 'a question for no lock');
    const asked = { ino: ctx.nodeid as Ino, owner, start, end: end + 1n, type };
    return mapMaybe(this.#fs.getlk(new KernelContext(ctx), asked), (found) =>
      found === undefined
        ? { start, end, type: F_UNLCK, pid: 0 }
        : { start: found.start, end: found.end - 1n, type: LOCK_TYPES.indexOf(found.type), pid: found.pid },
    );
  }

  setlk(request: fuse.LockRequest, ctx: FuseContext): MaybePromise<void> {
    const { owner, pid, wait, flock } = request;
    const range = flock ? { start: 0n, end: LOCK_END_MAX } : { start: request.start, end: request.end + 1n };
    return this.#fs.setlk(new KernelContext(ctx), {
      ino: ctx.nodeid as Ino,
      fh: request.fh as Fh,
      kind: flock ? 'flock' : 'posix',
      owner,
      ...range,
      type: LOCK_TYPES[request.type],
      pid,
      wait,
    });
  }

  fsync(request: fuse.FsyncRequest, ctx: FuseContext): MaybePromise<void> {
    return this.#fs.fsync(new KernelContext(ctx), ctx.nodeid as Ino, request.fh as Fh);
  }

  release(request: fuse.ReleaseRequest, ctx: FuseContext): void {
    this.#fs.release(ctx.nodeid as Ino, request.fh as Fh);
  }

  opendir(_request: fuse.OpenRequest, ctx: FuseContext): MaybePromise<OpenReply> {
    const opened = this.#fs.opendir(new KernelContext(ctx), ctx.nodeid as Ino);
    return mapMaybe(opened, (fh) => ({ fh, openFlags: 0 }));
  }

  readdir(request: fuse.ReaddirRequest, ctx: FuseContext, writer: DirentWriter): MaybePromise<void> {
    const { fh, offset: cookie } = request;
    return this.#fs.readdir(
      new KernelContext(ctx),
      { ino: ctx.nodeid as Ino, fh: fh as Fh, cookie, plus: false },
      writer,
    );
  }

  readdirplus(request: fuse.ReaddirRequest, ctx: FuseContext, writer: DirentPlusWriter): MaybePromise<void> {
    const { fh, offset: cookie } = request;
    const sink = {
      add: (name: Uint8Array, at: number, ino: Ino, mode: number, attr: InodeAttr | undefined): boolean =>
        attr === undefined || at <= LAST_DOT_COOKIE
          ? writer.addBare(name, at, ino, mode)
          : writer.add(name, at, this.#entry(attr)),
    };
    return this.#fs.readdir(new KernelContext(ctx), { ino: ctx.nodeid as Ino, fh: fh as Fh, cookie, plus: true }, sink);
  }

  releasedir(request: fuse.ReleaseRequest, ctx: FuseContext): void {
    this.#fs.releasedir(ctx.nodeid as Ino, request.fh as Fh);
  }

  fsyncdir(_request: fuse.FsyncRequest, ctx: FuseContext): MaybePromise<void> {
    return this.#fs.fsyncdir(new KernelContext(ctx), ctx.nodeid as Ino);
  }

  statfs(_request: undefined, ctx: FuseContext): MaybePromise<StatfsReply> {
    return this.#fs.statfs(new KernelContext(ctx), ctx.nodeid as Ino);
  }

  getxattr(request: fuse.GetxattrRequest, ctx: FuseContext): MaybePromise<Uint8Array> {
    return this.#fs.getxattr(new KernelContext(ctx), ctx.nodeid as Ino, request.name);
  }

  listxattr(_request: fuse.ListxattrRequest, ctx: FuseContext): MaybePromise<Uint8Array> {
    return mapMaybe(this.#fs.listxattr(new KernelContext(ctx), ctx.nodeid as Ino), (names) =>
      Buffer.concat(names.flatMap((name) => [name, NUL])),
    );
  }

  setxattr(request: fuse.SetxattrRequest, ctx: FuseContext): MaybePromise<void> {
    const { name, value, flags, killSgid } = request;
    return this.#fs.setxattr(new KernelContext(ctx), { ino: ctx.nodeid as Ino, name, value, flags, killSgid });
  }

  removexattr(request: fuse.RemovexattrRequest, ctx: FuseContext): MaybePromise<void> {
    return this.#fs.removexattr(new KernelContext(ctx), ctx.nodeid as Ino, request.name);
  }

  #found(attr: InodeAttr | undefined): EntryReply {
    return attr === undefined ? this.#absent : this.#entry(attr);
  }

  #entry(attr: InodeAttr): EntryReply {
    const { entryTtlMs, attrTtlMs } = this.#opts;
    return { nodeid: attr.ino, generation: 0, entryTtlMs, attrTtlMs, attr };
  }

  #attr(attr: InodeAttr): AttrReply {
    return { attrTtlMs: this.#opts.attrTtlMs, attr };
  }
}

const NUL = Buffer.from([0]);

function openReply(reply: VfsOpenReply): OpenReply {
  const openFlags = (reply.keepCache ? FOPEN_KEEP_CACHE : 0) | (reply.direct ? FOPEN_DIRECT_IO : 0);
  return { fh: reply.fh, openFlags };
}
