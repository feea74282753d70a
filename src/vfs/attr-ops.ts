import { FsError } from '../common/fs-error.js';
import { mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { SetAttr } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import {
  FILE_SIZE_MAX_BYTES,
  type InodeAttr,
  isDirectory,
  isRegular,
  isSymlink,
  NAME_MAX_BYTES,
  S_ISGID,
  S_ISUID,
} from '../model/inode.js';
import { chmodMode, type Identity, mayAccess, mayChown, MAY_WRITE, ownsOrCapable } from '../model/permission.js';
import { mayWriteBy } from './handle-table.js';
import type { SetattrRequest, StatfsReply } from './requests.js';
import { staleWhenGone } from './stale-when-gone.js';
import type { VfsContext } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';

const PERMISSION_BITS = 0o7777;
const STATFS_BLOCK_BYTES = 4096;
/** What a filesystem without a limit shows as its size: room for any installer, and no overflow in anybody's 64-bit arithmetic. */
const UNLIMITED_BYTES = 2 ** 50;
const UNLIMITED_INODES = 2 ** 32;

/** The operations on attributes: getattr, setattr, access, readlink, statfs. */
export class AttrOps {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  getattr(ctx: VfsContext, ino: Ino): MaybePromise<InodeAttr> {
    const core = this.#core;
    return mapMaybe(
      staleWhenGone(() => core.removed.getattr(core.inner(ino), ctx.signal)),
      (attr) => core.present(attr),
    );
  }

  setattr(ctx: VfsContext, outer: Ino, request: SetattrRequest): MaybePromise<InodeAttr> {
    const core = this.#core;
    core.requireWritable();
    const ino = core.inner(outer);
    return mapMaybe(core.attr(ctx, ino), (attr) => {
      const change = this.#change(core.identify(ctx), attr, request);
      if (change === undefined) return core.present(attr);
      const done = isRegular(attr.mode) ? core.data.setattr(ctx, ino, change) : core.meta.setattr(ctx, ino, change);
      return done.then((changed) => core.present(changed));
    });
  }

  access(ctx: VfsContext, outer: Ino, mask: number): MaybePromise<void> {
    const core = this.#core;
    return mapMaybe(core.attr(ctx, core.inner(outer)), (attr) => {
      if ((mask & MAY_WRITE) !== 0 && !isSpecial(attr)) core.requireWritable();
      core.require(core.identify(ctx), attr, mask);
    });
  }

  readlink(ctx: VfsContext, ino: Ino): MaybePromise<Uint8Array> {
    return this.#core.meta.readlink(this.#core.inner(ino), ctx.signal);
  }

  statfs(ctx: VfsContext): MaybePromise<StatfsReply> {
    return mapMaybe(this.#core.meta.statfs(ctx.signal), (usage) => {
      const totalBytes = usage.capacityBytes > 0 ? usage.capacityBytes : Math.max(UNLIMITED_BYTES, 2 * usage.usedBytes);
      const inodes = usage.inodesMax > 0 ? usage.inodesMax : Math.max(UNLIMITED_INODES, 2 * usage.usedInodes);
      const blocks = Math.floor(totalBytes / STATFS_BLOCK_BYTES);
      const bfree = Math.max(0, blocks - Math.ceil(usage.usedBytes / STATFS_BLOCK_BYTES));
      return {
        blocks,
        bfree,
        bavail: bfree,
        files: inodes,
        ffree: Math.max(0, inodes - usage.usedInodes),
        bsize: STATFS_BLOCK_BYTES,
        namelen: NAME_MAX_BYTES,
        frsize: STATFS_BLOCK_BYTES,
      };
    });
  }

  /** The change that the request comes to after the permission rules; undefined = nothing at all. */
  #change(who: Identity, attr: InodeAttr, request: SetattrRequest): SetAttr | undefined {
    checkChown(who, attr, request);
    checkTimes(who, attr, request);
    this.#checkSize(who, attr, request);
    const { uid, gid, size, atime, mtime, ctime } = request;
    const owned = uid !== undefined || gid !== undefined;
    const empty =
      !owned &&
      request.mode === undefined &&
      size === undefined &&
      atime === undefined &&
      mtime === undefined &&
      ctime === undefined;
    // A request without content on a regular file is the kernel's way to ask for the removal of setuid and setgid (fuse.md section 3).
    const asked =
      request.killPriv || (owned && !isDirectory(attr.mode)) || (size !== undefined && who.uid !== 0) || empty;
    const killPriv = asked && !isDirectory(attr.mode) && hasPrivileges(attr);
    if (empty && !killPriv) return undefined;
    const mode = request.mode === undefined ? undefined : checkedMode(who, attr, request.mode, gid);
    return { mode, uid, gid, size, atime, mtime, ctime, killPriv };
  }

  #checkSize(who: Identity, attr: InodeAttr, request: SetattrRequest): void {
    if (request.size === undefined) return;
    if (isDirectory(attr.mode)) throw new FsError('EISDIR', 'truncate of a directory');
    if (!isRegular(attr.mode)) throw new FsError('EINVAL', 'truncate of something that is no regular file');
    if (request.size > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG', `a size of ${request.size} bytes`);
    if (request.fh === undefined) this.#core.require(who, attr, MAY_WRITE);
    else if (!mayWriteBy(request.fh)) throw new FsError('EINVAL', 'truncate by a handle that is not open for writing');
  }
}

const isSpecial = (attr: InodeAttr): boolean =>
  !isRegular(attr.mode) && !isDirectory(attr.mode) && !isSymlink(attr.mode);

const hasPrivileges = (attr: InodeAttr): boolean => (attr.mode & (S_ISUID | S_ISGID)) !== 0 || attr.hasXattrs;

function checkedMode(who: Identity, attr: InodeAttr, mode: number, newGid: number | undefined): number {
  if (isSymlink(attr.mode)) throw new FsError('EOPNOTSUPP', 'chmod of a symbolic link');
  if (!ownsOrCapable(who, attr)) throw new FsError('EPERM', `chmod of inode ${attr.ino} by uid ${who.uid}`);
  return chmodMode(who, newGid ?? attr.gid, mode & PERMISSION_BITS);
}

function checkChown(who: Identity, attr: InodeAttr, request: SetattrRequest): void {
  if (request.uid === undefined && request.gid === undefined) return;
  if (mayChown(who, attr, request.uid, request.gid)) return;
  throw new FsError('EPERM', `chown of inode ${attr.ino} by uid ${who.uid}`);
}

/** utimensat(2): explicit times are the owner's right, the current time also a writer's. With a size they come with the truncation. */
function checkTimes(who: Identity, attr: InodeAttr, request: SetattrRequest): void {
  const { atime, mtime } = request;
  if ((atime === undefined && mtime === undefined) || ownsOrCapable(who, attr)) return;
  const explicit = typeof atime === 'object' || typeof mtime === 'object';
  if (explicit) throw new FsError('EPERM', `setting times of inode ${attr.ino} by uid ${who.uid}`);
  if (request.size === undefined && request.fh === undefined && !mayAccess(who, attr, MAY_WRITE)) {
    throw new FsError('EACCES', `touching inode ${attr.ino} by uid ${who.uid}`);
  }
}
