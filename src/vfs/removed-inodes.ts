import { isFsError } from '../common/fs-error.js';
import { isPromise, type MaybePromise } from '../common/maybe-promise.js';
import type { Metadata } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';

const REMOVED_MAX = 4096;

/**
 * The last attributes of inodes that this mount has removed and the driver still refers to without having them open: a working directory, a descriptor of O_PATH. fstat(2) goes on
 * answering for those (with no link left), though the server knows nothing of them any more.
 */
export class RemovedInodes {
  readonly #meta: Pick<Metadata, 'getattr' | 'knownAttr'>;
  /** INVARIANT: at most REMOVED_MAX entries, oldest first; none is on the server: inode numbers do not come back. */
  readonly #attrs = new Map<Ino, InodeAttr>();

  constructor(meta: Pick<Metadata, 'getattr' | 'knownAttr'>) {
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
      this.#attrs.set(ino, known);
      if (this.#attrs.size > REMOVED_MAX) this.#attrs.delete(this.#attrs.keys().next().value!);
      return known;
    });
  }

  /** The driver refers to it no more. */
  forget(ino: Ino): void {
    if (this.#attrs.size > 0) this.#attrs.delete(ino);
  }
}
