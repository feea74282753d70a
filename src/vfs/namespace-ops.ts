import { FsError } from '../common/fs-error.js';
import { isPromise, mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import { areRenameFlags, type NameRef, RENAME_EXCHANGE } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import {
  type InodeAttr,
  isDirectory,
  isRegular,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  SYMLINK_MAX_BYTES,
} from '../model/inode.js';
import { isHeldBySticky, isStickyFor, mayKeepSgid, MAY_WRITE } from '../model/permission.js';
import type { Caller } from './caller.js';
import { checkNameLength, checkNewName, isDot, isDotDot } from './names.js';
import type { MakeRequest, MknodRequest, RenameRequest, SymlinkRequest } from './requests.js';
import type { VfsContext } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';

const PERMISSION_BITS = 0o7777;

/** The operations on names: lookup, making and removing entries, link, rename. */
export class NamespaceOps {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  lookup(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<InodeAttr | undefined> {
    checkNameLength(name);
    const core = this.#core;
    const parent = core.inner(outer);
    if (isDot(name)) return mapMaybe(core.meta.getattr(parent, ctx.signal), (attr) => core.present(attr));
    if (isDotDot(name)) return this.#lookupParent(ctx, parent);
    return core.permitSearch(ctx, core.identify(ctx), parent, () =>
      mapMaybe(core.meta.lookup(parent, name, ctx.signal), (attr) =>
        attr === undefined ? undefined : core.present(attr),
      ),
    );
  }

  lookupRemovable(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<InodeAttr> | undefined {
    const core = this.#core;
    const parent = core.inner(outer);
    const attr = core.meta.removable(parent, name);
    if (attr === undefined) return undefined;
    return core.permitSearch(ctx, core.identify(ctx), parent, () => core.present(attr));
  }

  mknod(ctx: VfsContext, request: MknodRequest): MaybePromise<InodeAttr> {
    const type = (request.mode & S_IFMT) === 0 ? S_IFREG : request.mode & S_IFMT;
    switch (type) {
      case S_IFREG:
      case S_IFIFO:
      case S_IFSOCK:
        return this.#make(ctx, request, type, { rdev: 0 });
      case S_IFCHR:
      case S_IFBLK: {
        // a whiteout of overlayfs (0/0) is no device, and everybody's
        if (type === S_IFBLK || request.rdev !== 0) this.#requireMknod(this.#core.identify(ctx));
        return this.#make(ctx, request, type, { rdev: request.rdev });
      }
      default:
        throw new FsError('EINVAL', `mknod of type ${type.toString(8)}`);
    }
  }

  mkdir(ctx: VfsContext, request: MakeRequest): MaybePromise<InodeAttr> {
    return this.#make(ctx, request, S_IFDIR, {});
  }

  symlink(ctx: VfsContext, request: SymlinkRequest): MaybePromise<InodeAttr> {
    const { target } = request;
    if (target.length === 0) throw new FsError('ENOENT', 'a symbolic link to nothing');
    if (target.length > SYMLINK_MAX_BYTES) throw new FsError('ENAMETOOLONG', `a target of ${target.length} bytes`);
    return this.#make(ctx, { ...request, mode: 0o777 }, S_IFLNK, { target });
  }

  link(ctx: VfsContext, outer: Ino, newParent: Ino, newName: Uint8Array): MaybePromise<InodeAttr> {
    const core = this.#core;
    core.requireWritable();
    checkNewName(newName);
    const ino = core.inner(outer);
    const parent = core.inner(newParent);
    return core.permitChange(ctx, core.identify(ctx), parent, () =>
      core.meta.link(ctx, ino, parent, newName).then((attr) => core.present(attr)),
    );
  }

  unlink(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<void> {
    return this.#remove(ctx, { parent: this.#core.inner(outer), name }, (victim) => {
      // EISDIR, as unlink(2) of Linux says it, is the server's answer; the victim is known here for the sake of its data.
      const known = this.#knownEntry(ctx, victim);
      return this.#core.meta.unlink(ctx, victim.parent, victim.name).then(() => this.#dropData(known));
    });
  }

  rmdir(ctx: VfsContext, outer: Ino, name: Uint8Array): MaybePromise<void> {
    if (isDot(name)) throw new FsError('EINVAL', 'rmdir of .');
    if (isDotDot(name)) throw new FsError('ENOTEMPTY', 'rmdir of ..');
    return this.#remove(ctx, { parent: this.#core.inner(outer), name }, (victim) =>
      this.#core.meta.rmdir(ctx, victim.parent, victim.name),
    );
  }

  rename(ctx: VfsContext, request: RenameRequest): MaybePromise<void> {
    const core = this.#core;
    core.requireWritable();
    const { flags } = request;
    if (!areRenameFlags(flags)) throw new FsError('EINVAL', `rename flags ${flags}`);
    checkNewName(request.name);
    checkNewName(request.newName);
    const from: NameRef = { parent: core.inner(request.parent), name: request.name };
    const to: NameRef = { parent: core.inner(request.newParent), name: request.newName };
    const who = core.identify(ctx);
    return core.permitChange(ctx, who, from.parent, () =>
      core.permitChange(ctx, who, to.parent, () =>
        mapMaybe(this.#permitMoves(ctx, who, from, to, flags), () => {
          const replaced = flags !== RENAME_EXCHANGE ? this.#knownEntry(ctx, to) : undefined;
          return core.meta.rename(ctx, from, to, flags, who).then(() => this.#dropData(replaced));
        }),
      ),
    );
  }

  #lookupParent(ctx: VfsContext, directory: Ino): MaybePromise<InodeAttr | undefined> {
    const { meta, opts } = this.#core;
    return mapMaybe(meta.getattr(directory, ctx.signal), (attr) => {
      if (!isDirectory(attr.mode)) throw new FsError('ENOTDIR', '.. of something that is no directory');
      const parent = directory === opts.rootIno ? directory : attr.parent;
      return mapMaybe(meta.getattr(parent, ctx.signal), (got) => this.#core.present(got));
    });
  }

  #make(
    ctx: VfsContext,
    request: MakeRequest,
    type: number,
    extra: { readonly rdev?: number; readonly target?: Uint8Array },
  ): MaybePromise<InodeAttr> {
    const core = this.#core;
    core.requireWritable();
    checkNewName(request.name);
    const parent = core.inner(request.parent);
    const who = core.identify(ctx);
    const mode = type | (request.mode & PERMISSION_BITS);
    return core.permitChange(ctx, who, parent, () =>
      mapMaybe(keepSgid(core, ctx, who, parent, mode), async (keep) => {
        const { umask } = request;
        const spec = { mode, umask, uid: who.uid, gid: who.gid, mayKeepSgid: keep, exclusive: true, ...extra };
        const { attr } = await core.meta.create(ctx, parent, request.name, spec);
        return core.present(attr);
      }),
    );
  }

  #remove(ctx: VfsContext, victim: NameRef, remove: (victim: NameRef) => Promise<void>): MaybePromise<void> {
    const core = this.#core;
    core.requireWritable();
    checkNameLength(victim.name);
    const who = core.identify(ctx);
    return core.permitChange(ctx, who, victim.parent, () =>
      mapMaybe(this.#permitSticky(ctx, who, victim), () => remove(victim)),
    );
  }

  /** What renaming asks beyond writing both directories: sticky bits, and writing a directory whose `..` changes. */
  #permitMoves(ctx: VfsContext, who: Caller, from: NameRef, to: NameRef, flags: number): MaybePromise<void> {
    return mapMaybe(this.#permitSticky(ctx, who, from), () =>
      mapMaybe(this.#permitSticky(ctx, who, to), () => {
        if (from.parent === to.parent) return;
        return mapMaybe(this.#permitReparent(ctx, who, from), () =>
          flags === RENAME_EXCHANGE ? this.#permitReparent(ctx, who, to) : undefined,
        );
      }),
    );
  }

  #permitSticky(ctx: VfsContext, who: Caller, victim: NameRef): MaybePromise<void> {
    const core = this.#core;
    if (who.uid === 0 && who.capable('CAP_FOWNER') === true) return;
    return mapMaybe(core.attr(ctx, victim.parent), (directory) => {
      if (!isStickyFor(who, directory)) return;
      return mapMaybe(core.meta.lookup(victim.parent, victim.name, ctx.signal), (attr) => {
        if (attr === undefined || this.#core.allows(who, () => !isHeldBySticky(who, directory, attr))) return;
        throw new FsError('EPERM', `the sticky bit of directory ${directory.ino} keeps uid ${who.uid} out`);
      });
    });
  }

  #permitReparent(ctx: VfsContext, who: Caller, moved: NameRef): MaybePromise<void> {
    const core = this.#core;
    if (who.uid === 0 && who.capable('CAP_DAC_OVERRIDE') === true) return;
    return mapMaybe(core.meta.lookup(moved.parent, moved.name, ctx.signal), (attr) => {
      if (attr === undefined || !isDirectory(attr.mode)) return;
      return core.permitBy(ctx, who, attr, MAY_WRITE, () => undefined);
    });
  }

  #requireMknod(who: Caller): void {
    if (this.#core.allows(who, () => who.capable('CAP_MKNOD') ?? who.kernelChecked)) return;
    throw new FsError('EPERM', 'making a device node');
  }

  /** With delayed uploads, what is about to lose a name: its data may not be needed. Asks nothing that the caller would wait for. */
  #knownEntry(ctx: VfsContext, entry: NameRef): InodeAttr | undefined {
    if (!this.#core.opts.writeback) return undefined;
    const found = this.#core.meta.lookup(entry.parent, entry.name, ctx.signal);
    if (!isPromise(found)) return found;
    found.catch(() => undefined); // only an optimization hangs on it; the operation itself reports what is wrong
    return undefined;
  }

  /** Dirty data of a file whose last name is gone need not be uploaded, once nobody has it open. */
  #dropData(victim: InodeAttr | undefined): void {
    if (victim === undefined || !isRegular(victim.mode) || this.#core.data.overlay(victim) === victim) return;
    this.#core.discardIfGone(victim.ino);
  }
}

/** Whether a file made with S_ISGID that its group may execute keeps the bit; the parent's attributes are needed only then. */
export function keepSgid(
  core: VfsCore,
  ctx: VfsContext,
  who: Caller,
  parent: Ino,
  mode: number,
): MaybePromise<boolean> {
  if (isDirectory(mode) || (mode & 0o2010) !== 0o2010) return true;
  return mapMaybe(core.attr(ctx, parent), (attr) => core.allows(who, () => mayKeepSgid(who, attr, mode)));
}
