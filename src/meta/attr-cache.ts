import { LRUCache } from 'lru-cache';
import type { Ino } from '../model/ids.js';
import { compareTime, type InodeAttr } from '../model/inode.js';
import type { CachePolicy } from './cache-policy.js';

interface Entry {
  attr: InodeAttr;
  until: number;
}

/**
 * The newest attributes that have arrived of each inode, ordered by change number: a late reply never replaces a newer one, whatever the order of arrival.
 * Kept beyond the time they may be served, as {@link newest} is asked for without regard to age.
 */
export class AttrCache {
  readonly #policy: CachePolicy;
  readonly #entries: LRUCache<Ino, Entry>;

  constructor(policy: CachePolicy, options: { readonly inodesMax: number }) {
    this.#policy = policy;
    this.#entries = new LRUCache({ max: options.inodesMax });
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What may be served now. */
  get(ino: Ino, now: number): InodeAttr | undefined {
    const entry = this.#entries.get(ino);
    return entry !== undefined && now < entry.until ? entry.attr : undefined;
  }

  /** The newest, however old. */
  newest(ino: Ino): InodeAttr | undefined {
    return this.#entries.peek(ino)?.attr;
  }

  /** A reply carries these attributes. */
  learn(attr: InodeAttr): void {
    const entry = this.#entries.get(attr.ino);
    const until = this.#policy.confirmedUntil('attr');
    if (entry === undefined) this.#entries.set(attr.ino, { attr, until });
    else if (isNewer(attr, entry.attr)) {
      entry.attr = attr;
      entry.until = until;
    }
  }

  /** They may have changed in a way that no reply shows: not served any more. */
  expire(ino: Ino): void {
    const entry = this.#entries.peek(ino);
    if (entry !== undefined) entry.until = 0;
  }

  /** The inode is gone. */
  drop(ino: Ino): void {
    this.#entries.delete(ino);
  }
}

/** An access moves the atime and no change number: of the same change, later access times are newer. */
function isNewer(attr: InodeAttr, known: InodeAttr): boolean {
  return attr.change > known.change || (attr.change === known.change && compareTime(attr.atime, known.atime) >= 0);
}
