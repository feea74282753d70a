import type { Clock } from '../common/clock.js';
import { FsError, isFsError } from '../common/fs-error.js';
import { isPromise, mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { FileData } from '../data/file-data.js';
import type { Metadata } from '../meta/metadata.js';
import { type Acl, ACL_ACCESS, decodeAcl } from '../model/acl.js';
import { type Ino, ROOT_INO } from '../model/ids.js';
import { type InodeAttr, isDirectory } from '../model/inode.js';
import { mayAccess, MAY_EXEC, MAY_READ, MAY_WRITE } from '../model/permission.js';
import type { Caller, Callers } from './caller.js';
import { AccessTimes, type AccessTimesOptions } from './access-times.js';
import type { DriverCache } from './driver-cache.js';
import { HandleTable } from './handle-table.js';
import { OpenVersions } from './open-versions.js';
import { RemovedInodes } from './removed-inodes.js';
import type { VfsContext } from './vfs-context.js';

export interface VfsOptions {
  readonly readOnly: boolean;
  /** The directory that is the mount's root; it appears as inode 1. */
  readonly rootIno: Ino;
  /** Extended attributes are served. */
  readonly xattrs: boolean;
  /** ACLs may be read and changed. Those that other mounts have set hold in any case. */
  readonly acl: boolean;
  /** close(2) does not wait for uploads. */
  readonly writeback: boolean;
  /** When reading moves access times; a read-only mount moves none. */
  readonly atime: AccessTimesOptions;
}

export interface VfsDeps {
  readonly meta: Metadata;
  readonly data: FileData;
  readonly callers: Callers;
  /** Undefined = the driver caches nothing. */
  readonly driverCache?: DriverCache | undefined;
}

/** What is remembered of an open file. */
export interface OpenFile {
  /** Errors before this mark have been reported, or are not this handle's (`FileData.errorMark`). */
  errorMark: number;
  /** O_NOATIME: reads by it leave the access time alone. */
  readonly keepsAtime: boolean;
}

const READ_ONLY = new FsError('EROFS', 'mounted read-only');

/**
 * What the operation groups of the VFS share: the layers below, the handles of files, the view of inodes that the driver gets (uncommitted data laid over, the
 * root as inode 1), and the permission checks on paths.
 *
 * A check needs attributes, and the ACL where there is one; they come from the metadata client's cache where it may serve them. Whoever has CAP_DAC_OVERRIDE is not
 * checked, so nothing is asked for root.
 */
export class VfsCore {
  // Dependencies
  readonly meta: Metadata;
  readonly data: FileData;
  readonly driverCache: DriverCache | undefined;
  readonly #callers: Callers;
  // Constants
  readonly opts: VfsOptions;
  readonly #subdir: boolean;
  // Mutable state
  readonly files = new HandleTable<OpenFile>();
  readonly versions: OpenVersions;
  readonly removed: RemovedInodes;
  readonly times: AccessTimes;

  constructor(deps: VfsDeps & { readonly clock: Clock }, opts: VfsOptions) {
    this.meta = deps.meta;
    this.data = deps.data;
    this.driverCache = deps.driverCache;
    this.#callers = deps.callers;
    this.opts = opts;
    this.#subdir = opts.rootIno !== ROOT_INO;
    this.versions = new OpenVersions(deps.meta.sessionId);
    this.removed = new RemovedInodes(deps.meta);
    this.times = new AccessTimes(deps, opts.readOnly ? { ...opts.atime, policy: 'noatime' } : opts.atime);
  }

  /** The inode that the driver means. */
  inner(ino: Ino): Ino {
    return ino === ROOT_INO ? this.opts.rootIno : ino;
  }

  /** The inode number that the driver knows. */
  outer(ino: Ino): Ino {
    return ino === this.opts.rootIno ? ROOT_INO : ino;
  }

  /**
   * Attributes as the driver gets them: never older than what an operation answered before (the kernel would cut its page cache to the older size),
   * with uncommitted data laid over.
   */
  present(attr: InodeAttr): InodeAttr {
    const known = this.meta.knownAttr(attr.ino);
    const newest = known !== undefined && known.change > attr.change ? known : attr;
    const shown = this.times.show(this.data.overlay(newest));
    return this.#subdir && shown.ino === this.opts.rootIno ? { ...shown, ino: ROOT_INO } : shown;
  }

  /** The inode's attributes without translation of the root. */
  attr(ctx: VfsContext, ino: Ino): MaybePromise<InodeAttr> {
    const attr = this.removed.getattr(ino, ctx.signal);
    return mapMaybe(attr, (got) => this.times.show(this.data.overlay(got)));
  }

  /** The inode's access ACL; undefined = its mode says it all. */
  acl(ctx: VfsContext, attr: InodeAttr): MaybePromise<Acl | undefined> {
    if (attr.aclChange === 0) return undefined;
    return mapMaybe(this.meta.getxattr(attr.ino, ACL_ACCESS, ctx.signal), (value) =>
      value === undefined ? undefined : decodeAcl(value),
    );
  }

  identify(ctx: VfsContext): Caller {
    return this.#callers.identify(ctx);
  }

  /** The inode was read, as far as the driver asks: a read from the kernel's pages is not seen here. */
  accessed(ino: Ino): void {
    const known = this.meta.knownAttr(ino);
    if (known !== undefined) this.times.accessed(this.data.overlay(known));
  }

  requireWritable(): void {
    if (this.opts.readOnly) throw READ_ONLY;
  }

  /** A rule's answer; what would be denied is asked again of a caller who may have been looked at a while ago. */
  allows(who: Caller, rule: () => boolean): boolean {
    return rule() || (who.refresh() && rule());
  }

  /** Checks that the caller may use the inode so (MAY_*), then runs `next`. */
  permit<T>(ctx: VfsContext, who: Caller, ino: Ino, mask: number, next: () => MaybePromise<T>): MaybePromise<T> {
    if (who.uid === 0 && who.capable('CAP_DAC_OVERRIDE') === true && (mask & MAY_EXEC) === 0) return next();
    return mapMaybe(this.attr(ctx, ino), (attr) => this.permitBy(ctx, who, attr, mask, next));
  }

  /** As {@link permit}, by attributes that are at hand. */
  permitBy<T>(
    ctx: VfsContext,
    who: Caller,
    attr: InodeAttr,
    mask: number,
    next: () => MaybePromise<T>,
  ): MaybePromise<T> {
    return mapMaybe(this.acl(ctx, attr), (acl) => {
      this.require(who, attr, mask, acl);
      return next();
    });
  }

  /** As {@link permit}: the caller may make and remove entries in the directory. */
  permitChange<T>(ctx: VfsContext, who: Caller, parent: Ino, next: () => MaybePromise<T>): MaybePromise<T> {
    if (who.uid === 0 && who.capable('CAP_DAC_OVERRIDE') === true) return next();
    return this.permit(ctx, who, parent, MAY_WRITE | MAY_EXEC, next);
  }

  /** As {@link permit}: the caller may look names up in the directory. */
  permitSearch<T>(ctx: VfsContext, who: Caller, parent: Ino, next: () => MaybePromise<T>): MaybePromise<T> {
    if (who.uid === 0 && who.capable('CAP_DAC_OVERRIDE') === true) return next();
    return this.permit(ctx, who, parent, MAY_EXEC, next);
  }

  /** Drops the dirty data of an inode that has lost its last name, if the server says that nobody has it open either. Not waited for. */
  discardIfGone(ino: Ino): void {
    if (this.files.opens(ino) > 0) return;
    const gone = (error: unknown): void => {
      // Any other failure leaves the data to the uploader, which meets the same answer.
      if (isFsError(error, 'ENOENT') && this.files.opens(ino) === 0) this.data.discard(ino);
    };
    try {
      const attr = this.meta.getattr(ino);
      if (isPromise(attr)) attr.catch(gone);
    } catch (error) {
      gone(error);
    }
  }

  /** Throws EACCES unless the attributes and the access ACL allow the mask. */
  require(who: Caller, attr: InodeAttr, mask: number, acl: Acl | undefined): void {
    if (this.allows(who, () => mayAccess(who, attr, mask, acl))) return;
    const wanted = [mask & MAY_READ && 'read', mask & MAY_WRITE && 'write', mask & MAY_EXEC && 'search or execute'];
    const kind = isDirectory(attr.mode) ? 'directory' : 'file';
    throw new FsError('EACCES', `uid ${who.uid} may not ${wanted.filter(Boolean).join(', ')} ${kind} ${attr.ino}`);
  }
}
