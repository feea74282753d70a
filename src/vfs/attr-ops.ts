import { FsError } from '../common/fs-error.js';
import { mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { SetAttr } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import type { Acl } from '../model/acl.js';
import {
  FILE_SIZE_MAX_BYTES,
  type InodeAttr,
  isDirectory,
  isRegular,
  isSymlink,
  NAME_MAX_BYTES,
  S_ISGID,
} from '../model/inode.js';
import { type Identity, mayAccess, mayChown, mayHaveSgid, MAY_WRITE, ownsOrCapable } from '../model/permission.js';
import type { Caller } from './caller.js';
import { mayWriteBy } from './handle-table.js';
import { killedBy } from './privileges.js';
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
    return mapMaybe(core.attr(ctx, ino), (attr) =>
      mapMaybe(core.acl(ctx, attr), (acl) => {
        const change = this.#change(core.identify(ctx), attr, acl, request);
        const set = (): Promise<InodeAttr> =>
          isRegular(attr.mode)
            ? core.data.setattr(ctx, ino, change)
            : core.removed.setattr(attr, change, () => core.meta.setattr(ctx, ino, change));
        const done = change.atime === undefined ? set() : mapMaybe(core.times.forget(ino), set);
        return mapMaybe(done, (changed) => core.present(changed));
      }),
    );
  }

  access(ctx: VfsContext, outer: Ino, mask: number): MaybePromise<void> {
    const core = this.#core;
    return mapMaybe(core.attr(ctx, core.inner(outer)), (attr) => {
      if ((mask & MAY_WRITE) !== 0 && !isSpecial(attr)) core.requireWritable();
      return core.permitBy(ctx, core.identify(ctx), attr, mask, () => undefined);
    });
  }

  readlink(ctx: VfsContext, ino: Ino): MaybePromise<Uint8Array> {
    const inner = this.#core.inner(ino);
    this.#core.accessed(inner);
    return this.#core.meta.readlink(inner, ctx.signal);
  }

  statfs(ctx: VfsContext, ino: Ino): MaybePromise<StatfsReply> {
    return mapMaybe(this.#core.meta.statfs(this.#core.inner(ino), ctx.signal), (usage) => {
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

  /** The change that the request comes to after the permission rules. */
  #change(who: Caller, attr: InodeAttr, acl: Acl | undefined, request: SetattrRequest): SetAttr {
    const { uid, gid, size, atime, mtime, ctime } = request;
    this.#checkChown(who, attr, request);
    this.#checkTimes(who, attr, acl, request);
    this.#checkSize(who, attr, acl, request);
    const mode = request.mode === undefined ? undefined : this.#checkedMode(who, attr, request.mode, gid);
    return { mode, uid, gid, size, atime, mtime, ctime, ...this.#killedWith(who, attr, acl, request) };
  }

  #checkSize(who: Caller, attr: InodeAttr, acl: Acl | undefined, request: SetattrRequest): void {
    if (request.size === undefined) return;
    if (isDirectory(attr.mode)) throw new FsError('EISDIR', 'truncate of a directory');
    if (!isRegular(attr.mode)) throw new FsError('EINVAL', 'truncate of something that is no regular file');
    if (request.size > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG', `a size of ${request.size} bytes`);
    if (request.fh === undefined) this.#core.require(who, attr, MAY_WRITE, acl);
    else if (!mayWriteBy(request.fh)) throw new FsError('EINVAL', 'truncate by a handle that is not open for writing');
  }

  #checkedMode(who: Caller, attr: InodeAttr, mode: number, newGid: number | undefined): number {
    if (isSymlink(attr.mode)) throw new FsError('EOPNOTSUPP', 'chmod of a symbolic link');
    if (!this.#core.allows(who, () => ownsOrCapable(who, attr))) {
      throw new FsError('EPERM', `chmod of inode ${attr.ino} by uid ${who.uid}`);
    }
    const asked = mode & PERMISSION_BITS;
    if ((asked & S_ISGID) === 0 || this.#core.allows(who, () => mayHaveSgid(who, newGid ?? attr.gid))) return asked;
    return asked & ~S_ISGID;
  }

  #checkChown(who: Caller, attr: InodeAttr, request: SetattrRequest): void {
    if (request.uid === undefined && request.gid === undefined) return;
    if (this.#core.allows(who, () => mayChown(who, attr, request.uid, request.gid))) return;
    throw new FsError('EPERM', `chown of inode ${attr.ino} by uid ${who.uid}`);
  }

  /** utimensat(2): setting both times to the current one is a writer's right too, all else the owner's. With a size they come with the truncation. */
  #checkTimes(who: Caller, attr: InodeAttr, acl: Acl | undefined, request: SetattrRequest): void {
    const { atime, mtime } = request;
    if (atime === undefined && mtime === undefined) return;
    if (this.#core.allows(who, () => ownsOrCapable(who, attr))) return;
    const byContent = request.size !== undefined || request.fh !== undefined;
    const explicit = typeof atime === 'object' || typeof mtime === 'object';
    if (explicit || (!byContent && (atime === undefined || mtime === undefined))) {
      throw new FsError('EPERM', `setting times of inode ${attr.ino} by uid ${who.uid}`);
    }
    if (!byContent && !this.#core.allows(who, () => mayAccess(who, attr, MAY_WRITE, acl))) {
      throw new FsError('EACCES', `touching inode ${attr.ino} by uid ${who.uid}`);
    }
  }

  /**
   * The privileges that go with the change: at truncation those of a caller without CAP_FSETID, at chown(2) everybody's, but a directory's. A request without content is
   * chown(-1, -1), which nobody has checked, or the kernel's way to ask for their removal before a write (fuse.md section 3), which must not fail: whoever may neither chmod nor
   * write the file takes nothing by it. Who writes by a descriptor that was handed over takes it with the write itself. The ctime moves in any case.
   */
  #killedWith(who: Caller, attr: InodeAttr, acl: Acl | undefined, request: SetattrRequest): Kill {
    if (isDirectory(attr.mode)) return {};
    const { uid, gid, mode, size, atime, mtime, ctime } = request;
    const asked = request.killPriv || uid !== undefined || gid !== undefined;
    if (asked || size !== undefined) return killedBy(who, attr, asked);
    const empty = [mode, atime, mtime, ctime].every((value) => value === undefined);
    if (!empty) return {};
    const sure = unfavoured(who);
    const mayKill = (): boolean => ownsOrCapable(sure, attr) || mayAccess(sure, attr, MAY_WRITE, acl);
    return this.#core.allows(who, mayKill) ? killedBy(who, attr, true) : {};
  }
}

type Kill = Pick<SetAttr, 'killPriv' | 'killSgid'>;

/** The caller, with what cannot be known of it counted against it: the kernel has not checked. */
const unfavoured = (who: Caller): Identity => ({
  uid: who.uid,
  gid: who.gid,
  kernelChecked: false,
  inGroup: (gid) => who.inGroup(gid),
  capable: (capability) => who.capable(capability),
});

const isSpecial = (attr: InodeAttr): boolean =>
  !isRegular(attr.mode) && !isDirectory(attr.mode) && !isSymlink(attr.mode);
