import { ERRNO } from '../common/errno.js';
import { errnoOf, errorMessage, FsError, isFsError } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import { type Fh, type Ino, ROOT_INO } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import type { FileSystem } from '../vfs/file-system.js';
import { O_RDWR, type SetattrRequest, type StatfsReply } from '../vfs/requests.js';
import type { VfsContext } from '../vfs/vfs-context.js';
import type { FuseNativeOperations, FuseNativeStat, Done } from './fuse-native-module.js';
import { PathResolver } from './path-resolver.js';

export interface FuseNativeBridgeDeps {
  readonly fs: FileSystem;
  readonly logger: Logger;
  /** A fresh context: every caller is the user who mounted. */
  context(): VfsContext;
}

/** An open file: the driver's handles are 32 bits wide, ours are not. */
interface OpenHandle {
  readonly ino: Ino;
  readonly fh: Fh;
}

const NO_ID = 0xffff_ffff;
const U32_MAX = 0xffff_ffff;
/** A time so close to the current one is the current one. */
const NOW_MS = 2000;
const UNCHANGED: SetattrRequest = {
  fh: undefined,
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  atime: undefined,
  mtime: undefined,
  ctime: undefined,
  killPriv: false,
};
const HANDLES_MAX = 0xffff_fff0;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The calls of npm `fuse-native` (libfuse 2, by path, one user) as calls of the VFS. What its interface cannot say is missing: rename flags, extended attributes (it does not
 * pass the size of the caller's buffer), explicit times, names that are not UTF-8 (they are left out of listings).
 */
export class FuseNativeBridge {
  readonly #deps: FuseNativeBridgeDeps;
  readonly #paths: PathResolver;
  readonly #open = new Map<number, OpenHandle>();
  #lastHandle = 0;

  constructor(deps: FuseNativeBridgeDeps) {
    this.#deps = deps;
    this.#paths = new PathResolver(deps.fs);
  }

  /** What `fuse-native` calls. */
  readonly operations: FuseNativeOperations = {
    statfs: (_path, done) => this.#answer(done, async (ctx) => statfsOf(await this.#deps.fs.statfs(ctx, ROOT_INO))),
    getattr: (path, done) => this.#answer(done, async (ctx) => statOf(await this.#paths.attr(ctx, path))),
    readdir: (path, done) => this.#answer(done, (ctx) => this.#list(ctx, path)),
    readlink: (path, done) => this.#answer(done, (ctx) => this.#readlink(ctx, path)),
    mkdir: (path, mode, done) => this.#make(done, path, (ctx, at) => this.#deps.fs.mkdir(ctx, { ...at, mode })),
    mknod: (path, mode, rdev, done) =>
      this.#make(done, path, (ctx, at) => this.#deps.fs.mknod(ctx, { ...at, mode, rdev })),
    symlink: (target, path, done) =>
      this.#make(done, path, (ctx, at) => this.#deps.fs.symlink(ctx, { ...at, target: Buffer.from(target) })),
    link: (from, to, done) =>
      this.#make(done, to, async (ctx, at) => {
        const { ino } = await this.#paths.attr(ctx, from);
        return this.#deps.fs.link(ctx, ino, at.parent, at.name);
      }),
    unlink: (path, done) => this.#make(done, path, (ctx, at) => this.#deps.fs.unlink(ctx, at.parent, at.name)),
    rmdir: (path, done) => this.#make(done, path, (ctx, at) => this.#deps.fs.rmdir(ctx, at.parent, at.name)),
    rename: (from, to, done) =>
      this.#make(done, from, async (ctx, at) => {
        const target = await this.#paths.entry(ctx, to);
        await this.#deps.fs.rename(ctx, { ...at, newParent: target.parent, newName: target.name, flags: 0 });
      }),
    chmod: (path, mode, done) => this.#change(done, path, { mode }),
    chown: (path, uid, gid, done) =>
      this.#change(done, path, { uid: uid === NO_ID ? undefined : uid, gid: gid === NO_ID ? undefined : gid }),
    truncate: (path, size, done) => this.#change(done, path, { size }),
    ftruncate: (path, handle, size, done) => this.#change(done, path, { size, fh: this.#open.get(handle)?.fh }),
    utimens: (path, atimeMs, _mtimeMs, done) => this.#touch(done, path, atimeMs),
    create: (path, mode, done) => this.#answer(done, (ctx) => this.#create(ctx, path, mode)),
    open: (path, flags, done) => this.#answer(done, (ctx) => this.#openPath(ctx, path, flags)),
    read: (_path, handle, buffer, length, position, done) =>
      this.#transfer(done, async (ctx) => {
        const { ino, fh } = this.#handle(handle);
        const parts = await this.#deps.fs.read(ctx, ino, fh, position, length);
        return parts.reduce(
          (at, part) => at + Buffer.from(part.buffer, part.byteOffset, part.length).copy(buffer, at),
          0,
        );
      }),
    write: (_path, handle, buffer, length, position, done) =>
      this.#transfer(done, async (ctx) => {
        const { ino, fh } = this.#handle(handle);
        const data = buffer.subarray(0, length);
        const request = { ino, fh, offset: position, data, append: false, fromPageCache: false, killPriv: false };
        return this.#deps.fs.write(ctx, request);
      }),
    flush: (_path, handle, done) =>
      this.#answer(done, async (ctx) => {
        const { ino, fh } = this.#handle(handle);
        await this.#deps.fs.flush(ctx, ino, fh);
      }),
    fsync: (_path, _datasync, handle, done) =>
      this.#answer(done, async (ctx) => {
        const { ino, fh } = this.#handle(handle);
        await this.#deps.fs.fsync(ctx, ino, fh);
      }),
    fsyncdir: (path, _datasync, _handle, done) =>
      this.#answer(done, async (ctx) => this.#deps.fs.fsyncdir(ctx, (await this.#paths.attr(ctx, path)).ino)),
    release: (_path, handle, done) =>
      this.#answer(done, async () => {
        const { ino, fh } = this.#handle(handle);
        this.#open.delete(handle);
        this.#deps.fs.release(ino, fh);
      }),
  };

  async #list(ctx: VfsContext, path: string): Promise<string[]> {
    const { fs } = this.#deps;
    const { ino } = await this.#paths.attr(ctx, path);
    const fh = await fs.opendir(ctx, ino);
    const names: string[] = [];
    try {
      for (let cookie = 0, more = true; more;) {
        more = false;
        const add = (name: Uint8Array, at: number): boolean => {
          cookie = at;
          more = true;
          const text = decode(name);
          if (text !== undefined) names.push(text);
          return true;
        };
        await fs.readdir(ctx, { ino, fh, cookie, plus: false }, { add });
      }
    } finally {
      fs.releasedir(ino, fh);
    }
    return names;
  }

  async #readlink(ctx: VfsContext, path: string): Promise<string> {
    const target = await this.#deps.fs.readlink(ctx, (await this.#paths.attr(ctx, path)).ino);
    const text = decode(target);
    if (text === undefined) throw new FsError('EIO', 'a link target that is not UTF-8 cannot be told to this driver');
    return text;
  }

  async #create(ctx: VfsContext, path: string, mode: number): Promise<number> {
    // The driver does not tell the flags of the open.
    const at = await this.#paths.entry(ctx, path);
    const { attr, fh } = await this.#deps.fs.create(ctx, { ...at, mode, flags: O_RDWR, killPriv: false });
    return this.#add({ ino: attr.ino, fh });
  }

  async #openPath(ctx: VfsContext, path: string, flags: number): Promise<number> {
    const { ino } = await this.#paths.attr(ctx, path);
    const { fh } = await this.#deps.fs.open(ctx, { ino, flags, killPriv: false });
    return this.#add({ ino, fh });
  }

  #add(open: OpenHandle): number {
    do this.#lastHandle = (this.#lastHandle % HANDLES_MAX) + 1;
    while (this.#open.has(this.#lastHandle));
    this.#open.set(this.#lastHandle, open);
    return this.#lastHandle;
  }

  #handle(handle: number): OpenHandle {
    const open = this.#open.get(handle);
    if (open === undefined) throw new FsError('EBADF', `handle ${handle}`);
    return open;
  }

  #make(
    done: Done<void>,
    path: string,
    make: (ctx: VfsContext, at: { readonly parent: Ino; readonly name: Buffer }) => unknown,
  ): void {
    this.#answer(done, async (ctx) => {
      await make(ctx, await this.#paths.entry(ctx, path));
    });
  }

  #change(done: Done<void>, path: string, change: Partial<SetattrRequest>): void {
    this.#answer(done, async (ctx) => {
      const { ino } = await this.#paths.attr(ctx, path);
      await this.#deps.fs.setattr(ctx, ino, { ...UNCHANGED, ...change });
    });
  }

  /**
   * fuse-native 2.2.6 hands over the access time in the place of the modification time as well. The current time (touch) is right for both; explicit times are refused,
   * as one of them would be wrong.
   */
  #touch(done: Done<void>, path: string, atimeMs: number): void {
    if (Math.abs(Date.now() - atimeMs) < NOW_MS) this.#change(done, path, { atime: 'now', mtime: 'now' });
    else done(-ERRNO.EOPNOTSUPP);
  }

  #answer<T>(done: Done<T>, work: (ctx: VfsContext) => Promise<T>): void {
    work(this.#deps.context()).then(
      (result) => done(0, result),
      (error: unknown) => done(-this.#errno(error)),
    );
  }

  /** Reads and writes answer with the number of bytes in place of an error. */
  #transfer(done: (result: number) => void, work: (ctx: VfsContext) => Promise<number>): void {
    work(this.#deps.context()).then(done, (error: unknown) => done(-this.#errno(error)));
  }

  #errno(error: unknown): number {
    if (!isFsError(error)) this.#deps.logger.error('operation failed', { error: errorMessage(error) });
    return errnoOf(error);
  }
}

/** The driver's numbers are 32 bits wide: large filesystems are told in larger blocks. */
function statfsOf(found: StatfsReply): Readonly<Record<string, number>> {
  let scale = 1;
  while (found.blocks / scale > U32_MAX) scale *= 2;
  const [blocks, bfree, bavail] = [found.blocks, found.bfree, found.bavail].map((count) => Math.floor(count / scale));
  const bsize = found.frsize * scale;
  const [files, ffree] = [found.files, found.ffree].map((count) => Math.min(count, U32_MAX));
  const sizes = { bsize, frsize: bsize, namemax: found.namelen };
  return {
    ...sizes,
    blocks: blocks!,
    bfree: bfree!,
    bavail: bavail!,
    files: files!,
    ffree: ffree!,
    favail: ffree!,
    fsid: 0,
    flag: 0,
  };
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined; // not UTF-8: the driver has no way to name it
  }
}

function statOf(attr: InodeAttr): FuseNativeStat {
  const { mode, uid, gid, size, nlink, rdev } = attr;
  return {
    ...{ mode, uid, gid, size, nlink, rdev, dev: 0 },
    ino: attr.ino === ROOT_INO ? 1 : attr.ino % 2 ** 32,
    blksize: 4096,
    blocks: Math.ceil(attr.allocatedBytes / 512),
    atime: new Date(attr.atime.sec * 1000 + attr.atime.nsec / 1e6),
    mtime: new Date(attr.mtime.sec * 1000 + attr.mtime.nsec / 1e6),
    ctime: new Date(attr.ctime.sec * 1000 + attr.ctime.nsec / 1e6),
  };
}
