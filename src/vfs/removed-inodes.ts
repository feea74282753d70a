import { isFsError } from '../common/fs-error.js';
import { isPromise, type MaybePromise } from '../common/maybe-promise.js';
import type { Metadata, SetAttr } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import { S_IFMT, type InodeAttr, type Timespec } from '../model/inode.js';

const REMOVED_MAX = 4096;

/**
 * The last attributes of inodes that this mount has removed and the driver still refers to without having them open at the server: a directory, a descriptor of O_PATH. fstat(2), fchmod(2)
 * and the like go on working for those (with no link left), though the server knows nothing of them any more.
 */
export class RemovedInodes {
  readonly #meta: Pick<Metadata, 'getattr' | 'knownAttr' | 'now'>;
  /** INVARIANT: at most REMOVED_MAX entries, oldest first; none is on the server: inode numbers do not come back. */
  readonly #attrs = new Map<Ino, InodeAttr>();

  constructor(meta: Pick<Metadata, 'getattr' | 'knownAttr' | 'now'>) {
    this.#meta = meta;
  }

  /** As {@link Metadata.getattr}, but for what this mount removed. */
  getattr(ino: Ino, signal: AbortSignal | undefined): MaybePromise<InodeAttr> {
    const removed = this.#attrs.size === 0 ? undefined : this.#attrs.get(ino);
    if (removed !== undefined) return removed;
    // the reply that says that it is gone takes them out of the cache
    const known = this.#meta.knownAttr(ino);
    const attr = this.#meta.getattr(ino, signal);
    if (!isPromise(attr) || known?.nlink !== 0) return attr;
    return attr.catch((error: unknown) => {
      if (!isFsError(error, 'ENOENT')) throw error;
      return this.#keep(known);
    });
  }

  /** `set`, a {@link Metadata.setattr} of an inode with these attributes, or the same change here when this mount removed it. */
  async setattr(attr: InodeAttr, change: SetAttr, set: () => MaybePromise<InodeAttr>): Promise<InodeAttr> {
    if (!this.#attrs.has(attr.ino)) {
      try {
        return await set();
      } catch (error) {
        if (attr.nlink !== 0 || !isFsError(error, 'ENOENT')) throw error;
      }
    }
    return this.#keep(changed(attr, change, this.#meta.now()));
  }

  /** The driver refers to it no more. */
  forget(ino: Ino): void {
    if (this.#attrs.size > 0) this.#attrs.delete(ino);
  }

  #keep(attr: InodeAttr): InodeAttr {
    this.#attrs.set(attr.ino, attr);
    if (this.#attrs.size > REMOVED_MAX) this.#attrs.delete(this.#attrs.keys().next().value!);
    return attr;
  }
}

function changed(attr: InodeAttr, change: SetAttr, now: Timespec): InodeAttr {
  const time = (value: Timespec | 'now' | undefined, old: Timespec): Timespec =>
    value === 'now' ? now : (value ?? old);
  return {
    ...attr,
    mode: change.mode === undefined ? attr.mode : (attr.mode & S_IFMT) | change.mode,
    uid: change.uid ?? attr.uid,
    gid: change.gid ?? attr.gid,
    atime: time(change.atime, attr.atime),
    mtime: time(change.mtime, attr.mtime),
    ctime: time(change.ctime, now),
  };
}
