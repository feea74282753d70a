import { FsError, isFsError } from '../common/fs-error.js';
import { isPromise, mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { Ino } from '../model/ids.js';
import {
  type InodeAttr,
  isDirectory,
  isRegular,
  isSymlink,
  S_ISGID,
  S_ISVTX,
  XATTR_VALUE_MAX_BYTES,
} from '../model/inode.js';
import { XATTR_CREATE, XATTR_KILL_SGID, XATTR_REPLACE } from '../model/operation.js';
import { mayHaveSgid, MAY_READ, MAY_WRITE, ownsOrCapable } from '../model/permission.js';
import type { Caller } from './caller.js';
import type { SetxattrRequest } from './requests.js';
import type { VfsContext } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';
import { type XattrNamespace, xattrNamespace } from './xattr-rules.js';

/** Thrown for every probe of an attribute that is not there: made once, as a stack trace for each would cost more than the answer. */
const NO_DATA = new FsError('ENODATA');
const NO_XATTRS = new FsError('EOPNOTSUPP', 'mounted with noxattr');
const NO_ACLS = new FsError('EOPNOTSUPP', 'mounted without acl');
const NO_NAMES: readonly Uint8Array[] = [];

/**
 * The operations on extended attributes, xattr(7): `user.*` on regular files and directories under the file's permissions, `trusted.*` for
 * CAP_SYS_ADMIN, `security.*` to be set by it, ACLs (`system.posix_acl_*`) for the owner where the mount serves them.
 */
export class XattrOps {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  getxattr(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<Uint8Array> {
    const core = this.#core;
    this.#requireXattrs();
    const namespace = this.#namespace(name);
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
        const admin = this.#isAdmin(core.identify(ctx));
        return names.filter((name) => {
          const namespace = xattrNamespace(name);
          return namespace === 'trusted' ? admin : namespace !== 'acl' || core.opts.acl;
        });
      });
    });
  }

  setxattr(ctx: VfsContext, request: SetxattrRequest): MaybePromise<void> {
    const { name, value, flags } = request;
    if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) throw new FsError('EINVAL', `setxattr flags ${flags}`);
    if (value.length > XATTR_VALUE_MAX_BYTES) throw new FsError('E2BIG', `an attribute of ${value.length} bytes`);
    return this.#change(ctx, request.ino, name, (attr, who, namespace) => {
      const killSgid = namespace === 'acl' && (attr.mode & S_ISGID) !== 0;
      const kill = killSgid && (request.killSgid === true || !this.#core.allows(who, () => mayHaveSgid(who, attr.gid)));
      return this.#core.meta.setxattr(ctx, attr.ino, name, value, flags | (kill ? XATTR_KILL_SGID : 0));
    });
  }

  removexattr(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<void> {
    return this.#change(ctx, outer, name, async ({ ino }, _who, namespace) => {
      try {
        await this.#core.meta.removexattr(ctx, ino, name);
      } catch (error) {
        // To have no ACL is what was asked for (set_posix_acl in the kernel).
        if (namespace !== 'acl' || !isFsError(error, 'ENODATA')) throw error;
      }
    });
  }

  #get(ctx: VfsContext, attr: InodeAttr, namespace: XattrNamespace, name: Uint8Array): MaybePromise<Uint8Array> {
    if (!attr.hasXattrs && namespace !== 'user') throw NO_DATA;
    const core = this.#core;
    const get = (): MaybePromise<Uint8Array> =>
      mapMaybe(core.meta.getxattr(attr.ino, name, ctx.signal), (value) => {
        if (value === undefined) throw NO_DATA;
        return value;
      });
    switch (namespace) {
      case 'user':
        if (!isRegular(attr.mode) && !isDirectory(attr.mode)) throw NO_DATA;
        return core.permitBy(ctx, core.identify(ctx), attr, MAY_READ, get);
      case 'trusted':
        if (!this.#isAdmin(core.identify(ctx))) throw NO_DATA;
        return get();
      case 'security':
      case 'acl':
        return get();
    }
  }

  #change(
    ctx: VfsContext,
    outer: Ino,
    name: Uint8Array,
    change: (attr: InodeAttr, who: Caller, namespace: XattrNamespace) => Promise<void>,
  ): MaybePromise<void> {
    const core = this.#core;
    core.requireWritable();
    this.#requireXattrs();
    const namespace = this.#namespace(name);
    const who = core.identify(ctx);
    return mapMaybe(core.attr(ctx, core.inner(outer)), (attr) =>
      this.#permitChange(ctx, who, attr, namespace, () => change(attr, who, namespace)),
    );
  }

  #permitChange(
    ctx: VfsContext,
    who: Caller,
    attr: InodeAttr,
    namespace: XattrNamespace,
    next: () => Promise<void>,
  ): MaybePromise<void> {
    const core = this.#core;
    const owns = (): boolean => core.allows(who, () => ownsOrCapable(who, attr));
    const refuse = (what: string): never => {
      throw new FsError('EPERM', `${what} by uid ${who.uid}`);
    };
    switch (namespace) {
      case 'trusted':
        return this.#isAdmin(who) ? next() : refuse('setting trusted.*');
      case 'security':
        // security.capability needs CAP_SETFCAP instead, and goes with any write: the kernel asks before it passes the request on.
        return this.#isAdmin(who) || who.kernelChecked ? next() : refuse('setting security.*');
      case 'acl':
        if (isSymlink(attr.mode)) throw new FsError('EOPNOTSUPP', 'an ACL of a symbolic link');
        return owns() ? next() : refuse(`changing the ACL of inode ${attr.ino}`);
      case 'user':
        if (!isRegular(attr.mode) && !isDirectory(attr.mode)) return refuse('user.* on a special file');
        if (isDirectory(attr.mode) && (attr.mode & S_ISVTX) !== 0 && !owns())
          return refuse('user.* on a sticky directory');
        return core.permitBy(ctx, who, attr, MAY_WRITE, next);
    }
  }

  #isAdmin(who: Caller): boolean {
    return this.#core.allows(who, () => who.capable('CAP_SYS_ADMIN') ?? who.kernelChecked);
  }

  #namespace(name: Uint8Array): XattrNamespace {
    const namespace = xattrNamespace(name);
    if (namespace === 'acl' && !this.#core.opts.acl) throw NO_ACLS;
    return namespace;
  }

  #requireXattrs(): void {
    if (!this.#core.opts.xattrs) throw NO_XATTRS;
  }
}
