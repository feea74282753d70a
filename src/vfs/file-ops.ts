import { FsError } from '../common/fs-error.js';
import { interruptible } from '../common/interruptible.js';
import { isPromise, mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { WriteOptions } from '../data/file-data.js';
import type { ExtentMap } from '../meta/metadata.js';
import type { Fh, Ino } from '../model/ids.js';
import { FILE_SIZE_MAX_BYTES, type InodeAttr, isDirectory, isRegular, S_IFREG } from '../model/inode.js';
import { MAY_EXEC, MAY_READ, MAY_WRITE, ownsOrCapable } from '../model/permission.js';
import type { Caller } from './caller.js';
import { type HandleMode, mayReadBy, mayWriteBy } from './handle-table.js';
import { checkNewName } from './names.js';
import type { LockOps } from './lock-ops.js';
import { keepSgid } from './namespace-ops.js';
import {
  dropCapability,
  dropPrivileges,
  hasBareSgid,
  hasPrivilegeBits,
  isKilledByWrite,
  killedBy,
} from './privileges.js';
import {
  type CreateReply,
  type CreateRequest,
  O_ACCMODE,
  O_APPEND,
  O_EXCL,
  O_EXEC,
  O_NOATIME,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  type OpenReply,
  type OpenRequest,
  type WriteRequest,
} from './requests.js';
import { type VfsContext, withStep } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';
import { staleWhenGone } from './stale-when-gone.js';

const NO_NAME = new Uint8Array(0);
const NOTHING: readonly Uint8Array[] = [];

/**
 * The operations on open files: create, open, read, write, flush, fsync, release.
 *
 * Permission is checked at open; afterwards only the handle's access mode counts, as an open descriptor may be handed to anybody.
 * O_TRUNC is a truncation through the data path, behind the open in the same frame: the data path orders it with writes in flight.
 */
export class FileOps {
  readonly #core: VfsCore;
  readonly #locks: LockOps;

  constructor(core: VfsCore, locks: LockOps) {
    this.#core = core;
    this.#locks = locks;
  }

  async create(ctx: VfsContext, request: CreateRequest): Promise<CreateReply> {
    const core = this.#core;
    core.requireWritable();
    checkNewName(request.name);
    const parent = core.inner(request.parent);
    const who = core.identify(ctx);
    const handle = modeOf(request.flags);
    const fh = core.files.number(handle);
    const mode = S_IFREG | (request.mode & 0o7777);
    const permitted = core.permitChange(ctx, who, parent, () => keepSgid(core, ctx, who, parent, mode));
    const mayKeepSgid = isPromise(permitted) ? await permitted : permitted;
    const { attr, created } = await core.meta.create(ctx, parent, request.name, {
      mode,
      umask: request.umask,
      uid: who.uid,
      gid: who.gid,
      mayKeepSgid,
      open: { fh, write: handle.write, truncate: false },
      exclusive: (request.flags & O_EXCL) !== 0,
    });
    if (created) return { ...this.#opened(attr, fh, request.flags, undefined), created };
    return { ...(await this.#openExisting(ctx, who, request, attr, fh)), created };
  }

  /** O_TMPFILE: O_EXCL says that the file is never to get a name. */
  async tmpfile(ctx: VfsContext, request: CreateRequest): Promise<CreateReply> {
    const core = this.#core;
    core.requireWritable();
    const parent = core.inner(request.parent);
    const who = core.identify(ctx);
    const handle = modeOf(request.flags);
    const fh = core.files.number(handle);
    const mode = S_IFREG | (request.mode & 0o7777);
    const mayKeepSgid = await core.permitChange(ctx, who, parent, () => keepSgid(core, ctx, who, parent, mode));
    const { attr } = await core.meta.create(ctx, parent, NO_NAME, {
      mode,
      umask: request.umask,
      uid: who.uid,
      gid: who.gid,
      mayKeepSgid,
      open: { fh, write: handle.write, truncate: false },
      exclusive: (request.flags & O_EXCL) !== 0,
      unnamed: true,
    });
    return { ...this.#opened(attr, fh, request.flags, undefined), created: true };
  }

  open(ctx: VfsContext, request: OpenRequest): MaybePromise<OpenReply> {
    return staleWhenGone(() => this.#open(ctx, request));
  }

  #open(ctx: VfsContext, request: OpenRequest): MaybePromise<OpenReply> {
    const core = this.#core;
    const ino = core.inner(request.ino);
    const handle = modeOf(request.flags);
    const truncate = (request.flags & O_TRUNC) !== 0;
    if (handle.write || truncate) core.requireWritable();
    const who = core.identify(ctx);
    return core.permit(ctx, who, ino, maskOf(request.flags), async () => {
      if ((request.flags & O_NOATIME) !== 0) this.#requireOwner(who, await core.attr(ctx, ino));
      const fh = core.files.number(handle);
      const opening = core.meta.open(ctx, ino, { fh, write: handle.write, truncate: false });
      if (!truncate) {
        const { attr, extents } = await opening;
        return this.#openedAnew(attr, fh, request.flags, extents);
      }
      const [opened, truncated] = await Promise.allSettled([opening, this.#truncate(ctx, who, ino, request.killPriv)]);
      if (opened.status === 'rejected') throw opened.reason;
      if (truncated.status === 'rejected') {
        core.meta.release(ino, fh);
        throw truncated.reason;
      }
      return this.#opened(truncated.value, fh, request.flags, undefined);
    });
  }

  read(ctx: VfsContext, ino: Ino, fh: Fh, offset: number, length: number): MaybePromise<readonly Uint8Array[]> {
    // The kernel reads by handles that are open for writing only, to fill pages that are written in part.
    if (!mayReadBy(fh) && !mayWriteBy(fh)) throw new FsError('EBADF', 'read by a handle that is not open for reading');
    if (length === 0) return NOTHING;
    const core = this.#core;
    const inner = core.inner(ino);
    if (mayReadBy(fh) && core.files.get(fh)?.keepsAtime !== true) core.accessed(inner);
    return core.data.read(inner, offset, length, ctx.signal);
  }

  write(ctx: VfsContext, request: WriteRequest): MaybePromise<number> {
    const core = this.#core;
    const { fh, offset, data } = request;
    if (!mayWriteBy(fh)) throw new FsError('EBADF', 'write by a handle that is not open for writing');
    if (offset + data.length > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG', `a write up to ${offset + data.length}`);
    if (data.length === 0) return 0;
    const ino = core.inner(request.ino);
    const kills = isKilledByWrite(core, ctx, ino, request.killPriv);
    const options = new ContextWriteOptions(ctx, request, kills);
    const drops = kills && core.driverCache !== undefined && hasPrivilegeBits(core, ino);
    const write = (): MaybePromise<number> => core.data.write(ino, offset, data, options);
    let before: MaybePromise<void> = undefined;
    if (kills && hasBareSgid(core, ino)) before = dropPrivileges(core, ctx, ino, 1);
    else if (options.append) before = dropCapability(core, ctx, ino);
    const written = mapMaybe(before, write);
    // The reply has no room for the new mode, and the kernel would show the old one until it asks again.
    if (!drops) return written;
    return mapMaybe(written, async (bytes) => {
      await core.driverCache?.invalidateAttr(request.ino);
      return bytes;
    });
  }

  flush(ctx: VfsContext, outer: Ino, fh: Fh, lockOwner: bigint | undefined): MaybePromise<void> {
    const ino = this.#core.inner(outer);
    const dropped = lockOwner === undefined ? undefined : this.#locks.flushed(ino, lockOwner);
    if (dropped === undefined) return this.#flush(ctx, ino, fh);
    return this.#afterDrop(dropped, ctx, ino, fh);
  }

  /** The locks go in any case; who is killed while they do need not wait for it. */
  async #afterDrop(dropped: Promise<void>, ctx: VfsContext, ino: Ino, fh: Fh): Promise<void> {
    await interruptible(dropped, ctx.signal);
    await this.#flush(ctx, ino, fh);
  }

  #flush(ctx: VfsContext, ino: Ino, fh: Fh): MaybePromise<void> {
    if (!mayWriteBy(fh)) return;
    const core = this.#core;
    // Nobody can open an unlinked file any more: what is written to it need not be in the store before close returns.
    if (core.meta.knownAttr(ino)?.nlink === 0) return this.#reportError(ino, fh);
    return this.#finish(ino, fh, () => core.data.flush(ino, ctx.signal));
  }

  fsync(ctx: VfsContext, outer: Ino, fh: Fh): MaybePromise<void> {
    const ino = this.#core.inner(outer);
    return this.#finish(ino, fh, () => this.#core.data.fsync(ino, ctx.signal));
  }

  release(outer: Ino, fh: Fh): void {
    const core = this.#core;
    const ino = core.inner(outer);
    this.#locks.released(ino, fh);
    const known = core.files.remove(fh);
    core.meta.release(ino, fh);
    if (!known) return;
    core.data.released(ino);
    if (core.meta.knownAttr(ino)?.nlink === 0) core.discardIfGone(ino);
  }

  /** What open(2) still has to check and do after a create found the file there. */
  async #openExisting(
    ctx: VfsContext,
    who: Caller,
    request: CreateRequest,
    attr: InodeAttr,
    fh: Fh,
  ): Promise<OpenReply> {
    const core = this.#core;
    try {
      if (!isRegular(attr.mode)) throw new FsError(isDirectory(attr.mode) ? 'EISDIR' : 'EEXIST', 'create over no file');
      await core.permitBy(ctx, who, core.data.overlay(attr), maskOf(request.flags), () => undefined);
      if ((request.flags & O_TRUNC) === 0) return await this.#openedAnew(attr, fh, request.flags, undefined);
      const truncated = await this.#truncate(ctx, who, attr.ino, request.killPriv);
      return this.#opened(truncated, fh, request.flags, undefined);
    } catch (error) {
      core.meta.release(attr.ino, fh);
      throw error;
    }
  }

  #requireOwner(who: Caller, attr: InodeAttr): void {
    if (this.#core.allows(who, () => ownsOrCapable(who, attr))) return;
    throw new FsError('EPERM', `O_NOATIME on inode ${attr.ino} by uid ${who.uid}`);
  }

  async #truncate(ctx: VfsContext, who: Caller, ino: Ino, asked: boolean): Promise<InodeAttr> {
    const core = this.#core;
    const kill = killedBy(who, core.meta.knownAttr(ino), asked);
    const drops = kill.killPriv === true && hasPrivilegeBits(core, ino);
    const attr = await core.data.setattr(withStep(ctx, 1), ino, { size: 0, mtime: 'now', ...kill });
    if (drops) await core.driverCache?.invalidateAttr(core.outer(ino));
    return attr;
  }

  /** Of a file that was there before: an open's reply carries no attributes, and a read is cut to the size that the kernel remembers (fuse_cache_read_iter). */
  async #openedAnew(attr: InodeAttr, fh: Fh, flags: number, extents: ExtentMap | undefined): Promise<OpenReply> {
    const core = this.#core;
    if (core.versions.isForeign(attr)) await core.driverCache?.invalidateAttr(core.outer(attr.ino));
    return this.#opened(attr, fh, flags, extents);
  }

  #opened(attr: InodeAttr, fh: Fh, flags: number, extents: ExtentMap | undefined): OpenReply {
    const core = this.#core;
    core.data.opened(attr, extents);
    const keepsAtime = (flags & O_NOATIME) !== 0;
    core.files.add(fh, attr.ino, { errorMark: core.data.errorMark(attr.ino), keepsAtime });
    // An appending writer's pages would lie at the end of file that the kernel remembers, which another mount may have moved.
    const direct = (flags & O_APPEND) !== 0 && (flags & O_ACCMODE) === O_WRONLY;
    const keepCache = core.versions.opened(attr);
    // What the kernel has it reads without asking: then the open counts as the read.
    if (keepCache && mayReadBy(fh) && !keepsAtime && attr.size > 0) core.accessed(attr.ino);
    return { fh, attr: core.present(attr), keepCache, direct };
  }

  /** Runs the flush or fsync, then reports the handle's error: once, whether `work` failed with it or an earlier upload did. */
  #finish(ino: Ino, fh: Fh, work: () => MaybePromise<void>): MaybePromise<void> {
    let done: MaybePromise<void>;
    try {
      done = work();
    } catch (error) {
      this.#reportError(ino, fh);
      throw error;
    }
    if (!isPromise(done)) return this.#reportError(ino, fh);
    return done.then(
      () => this.#reportError(ino, fh),
      (error: unknown) => {
        this.#reportError(ino, fh);
        throw error;
      },
    );
  }

  /** Throws the error since the handle's mark, and moves the mark past it. */
  #reportError(ino: Ino, fh: Fh): void {
    const handle = this.#core.files.get(fh);
    if (handle === undefined) return;
    const taken = this.#core.data.takeError(ino, handle.errorMark);
    if (taken === undefined) return;
    handle.errorMark = taken.mark;
    throw taken.error;
  }
}

/** The write options of a request; the abort signal is made only if the data path asks for it. */
class ContextWriteOptions implements WriteOptions {
  readonly append: boolean;
  readonly fromPageCache: boolean;
  readonly killPriv: boolean;
  readonly #ctx: VfsContext;

  constructor(ctx: VfsContext, request: WriteRequest, killPriv: boolean) {
    this.append = request.append && !request.fromPageCache;
    this.fromPageCache = request.fromPageCache;
    this.killPriv = killPriv;
    this.#ctx = ctx;
  }

  get signal(): AbortSignal | undefined {
    return this.#ctx.signal;
  }
}

function modeOf(flags: number): HandleMode {
  const access = flags & O_ACCMODE;
  return {
    read: access !== O_WRONLY,
    write: access !== O_RDONLY,
    append: (flags & O_APPEND) !== 0,
    directory: false,
  };
}

/** What open(2) needs of the file; execution needs no right to read. */
function maskOf(flags: number): number {
  const access = flags & O_ACCMODE;
  const read = access !== O_WRONLY ? ((flags & O_EXEC) !== 0 ? MAY_EXEC : MAY_READ) : 0;
  return read | (access !== O_RDONLY || (flags & O_TRUNC) !== 0 ? MAY_WRITE : 0);
}
