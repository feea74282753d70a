import { FsError } from '../common/fs-error.js';
import { isPromise, mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { Ino } from '../model/ids.js';
import { type InodeAttr, isDirectory, isRegular, S_ISVTX, XATTR_VALUE_MAX_BYTES } from '../model/inode.js';
import { type Identity, MAY_READ, MAY_WRITE, ownsOrCapable } from '../model/permission.js';
import type { SetxattrRequest } from './requests.js';
import type { VfsContext } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';
import { type XattrNamespace, xattrNamespace } from './xattr-rules.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
/** Thrown for every probe of an attribute that is not there: made once, as a stack trace for each would cost more than the answer. */
const NO_DATA = new FsError('ENODATA');
const NO_XATTRS = new FsError('EOPNOTSUPP', 'mounted with noxattr');
const NO_NAMES: readonly Uint8Array[] = [];

/**
 * The operations on extended attributes, xattr(7): `user.*` on regular files and directories under the file's permissions, `trusted.*` for
 * CAP_SYS_ADMIN, `security.*` to be set by it. ACLs (`system.*`) are not kept.
 */
export class XattrOps {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  getxattr(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<Uint8Array> {
    const core = this.#core;
    this.#requireXattrs();
    const namespace = xattrNamespace(name);
    const ino = core.inner(outer);
    const attr = core.meta.getattr(ino, ctx.signal);
    if (isPromise(attr)) return attr.then((got) => this.#get(ctx, got, namespace, name));
    return this.#get(ctx, attr, namespace, name);
  }

  listxattr(ctx: VfsContext, outer: Ino): MaybePromise<readonly Uint8Array[]> {
    const core = this.#core;
    this.#requireXattrs();
    const ino = core.inner(outer);
    return mapMaybe(core.meta.getattr(ino, ctx.signal), (attr) => {
      if (!attr.hasXattrs) return NO_NAMES;
      return mapMaybe(core.meta.listxattr(ino, ctx.signal), (names) => {
        if (isAdmin(core.identify(ctx))) return names;
        return names.filter((name) => xattrNamespace(name) !== 'trusted');
      });
    });
  }

  setxattr(ctx: VfsContext, request: SetxattrRequest): MaybePromise<void> {
    const { name, value, flags } = request;
    if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0 || flags === (XATTR_CREATE | XATTR_REPLACE)) {
      throw new FsError('EINVAL', `setxattr flags ${flags}`);
    }
    if (value.length > XATTR_VALUE_MAX_BYTES) throw new FsError('E2BIG', `an attribute of ${value.length} bytes`);
    return this.#change(ctx, request.ino, name, (ino) => this.#core.meta.setxattr(ctx, ino, name, value, flags));
  }

  removexattr(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<void> {
    return this.#change(ctx, outer, name, (ino) => this.#core.meta.removexattr(ctx, ino, name));
  }

  #get(ctx: VfsContext, attr: InodeAttr, namespace: XattrNamespace, name: Uint8Array): MaybePromise<Uint8Array> {
    if (!attr.hasXattrs) throw NO_DATA;
    const core = this.#core;
    const who = core.identify(ctx);
    if (namespace === 'trusted' && !isAdmin(who)) throw NO_DATA;
    if (namespace === 'user') {
      if (!isRegular(attr.mode) && !isDirectory(attr.mode)) throw NO_DATA;
      core.require(who, attr, MAY_READ);
    }
    return mapMaybe(core.meta.getxattr(attr.ino, name, ctx.signal), (value) => {
      if (value === undefined) throw NO_DATA;
      return value;
    });
  }

  #change(ctx: VfsContext, outer: Ino, name: Uint8Array, change: (ino: Ino) => Promise<void>): MaybePromise<void> {
    const core = this.#core;
    core.requireWritable();
    this.#requireXattrs();
    const namespace = xattrNamespace(name);
    const ino = core.inner(outer);
    return mapMaybe(core.attr(ctx, ino), (attr) => {
      this.#permitChange(core.identify(ctx), attr, namespace);
      return change(ino);
    });
  }

  #permitChange(who: Identity, attr: InodeAttr, namespace: XattrNamespace): void {
    if (namespace !== 'user') {
      // security.capability needs CAP_SETFCAP instead; the kernel asks for it before it passes the request on.
      if (!isAdmin(who) && !(namespace === 'security' && who.kernelChecked)) {
        throw new FsError('EPERM', `setting ${namespace}.* by uid ${who.uid}`);
      }
      return;
    }
    if (!isRegular(attr.mode) && !isDirectory(attr.mode)) throw new FsError('EPERM', 'user.* on a special file');
    if (isDirectory(attr.mode) && (attr.mode & S_ISVTX) !== 0 && !ownsOrCapable(who, attr)) {
      throw new FsError('EPERM', 'user.* on a sticky directory by another than its owner');
    }
    this.#core.require(who, attr, MAY_WRITE);
  }

  #requireXattrs(): void {
    if (!this.#core.opts.xattrs) throw NO_XATTRS;
  }
}

const isAdmin = (who: Identity): boolean => who.capable('CAP_SYS_ADMIN') ?? who.kernelChecked;
