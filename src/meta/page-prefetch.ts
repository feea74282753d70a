import type { DirPage } from '../model/operation.js';
import type { Ino } from '../model/ids.js';

interface Prefetched {
  readonly afterCookie: number;
  readonly withAttrs: boolean;
  readonly moment: number;
  readonly sentAt: number;
  readonly page: Promise<DirPage>;
}

/** Directories read at a time that get a page ahead. */
const PAGES_MAX = 16;

/**
 * The next page of each directory that is being read, asked for while the kernel still digests the one before: listing overlaps with the round trip. One page ahead, for few
 * directories. A page is given out once, and only if it is young and no change of ours to the directory was answered since it was asked for: what we removed must not come back.
 */
export class PagePrefetch {
  readonly #pages = new Map<Ino, Prefetched>();

  put(dir: Ino, prefetched: Prefetched): void {
    this.#pages.delete(dir);
    this.#pages.set(dir, prefetched);
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= PAGES_MAX) break;
      this.#pages.delete(oldest);
    }
    // Whoever takes the page sees its error; nobody may.
    prefetched.page.catch(() => {
      if (this.#pages.get(dir) === prefetched) this.#pages.delete(dir);
    });
  }

  /** The page, if it is the one that is wanted and `isFresh` finds it usable. */
  take(
    dir: Ino,
    afterCookie: number,
    withAttrs: boolean,
    isFresh: (prefetched: { readonly moment: number; readonly sentAt: number }) => boolean,
  ): Promise<DirPage> | undefined {
    const prefetched = this.#pages.get(dir);
    if (prefetched === undefined) return undefined;
    this.#pages.delete(dir);
    const isWanted = prefetched.afterCookie === afterCookie && prefetched.withAttrs === withAttrs;
    return isWanted && isFresh(prefetched) ? prefetched.page : undefined;
  }
}
