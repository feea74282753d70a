import type { Clock } from '../common/clock.js';
import { interruptible } from '../common/interruptible.js';
import { isPromise, type MaybePromise } from '../common/maybe-promise.js';
import type { DirPage, Metadata } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';

export interface Page extends DirPage {
  /** The cookie it was asked for with. */
  readonly after: number;
  readonly withAttrs: boolean;
  /** When it was asked for, and the directory's change number known then. */
  readonly atMs: number;
  readonly change: number | undefined;
}

interface NextPage {
  readonly after: number;
  readonly withAttrs: boolean;
  page: MaybePromise<Page>;
}

/** How long a page's attributes may wait to be read; with the attribute time-out as the other bound. */
const PAGE_AGE_MAX_MS = 1000;

/**
 * The listing of one open directory: holds the page that is being read and asks for the next one while it is. All state is a cache: a cookie
 * alone says where to go on, as it is stable. Bounded at two pages.
 */
export class DirListing {
  // Dependencies
  readonly #meta: Metadata;
  readonly #clock: Clock;
  // Constants
  readonly #ino: Ino;
  readonly #ageMaxMs: number;
  // Mutable state
  #page: Page | undefined;
  /** The page behind #page: there, or on its way; undefined = not asked for. */
  #next: NextPage | undefined;

  constructor(deps: { readonly meta: Metadata; readonly clock: Clock }, ino: Ino) {
    this.#meta = deps.meta;
    this.#clock = deps.clock;
    this.#ino = ino;
    this.#ageMaxMs = Math.min(PAGE_AGE_MAX_MS, deps.meta.attrTimeoutSec * 1000);
  }

  /** rewinddir(3): entries made since must be seen. */
  rewind(): void {
    this.#page = undefined;
    this.#next = undefined;
  }

  /** True when {@link page} would not have to wait. */
  isReady(after: number, withAttrs: boolean): boolean {
    if (this.#page !== undefined && this.#serves(this.#page, after, withAttrs)) return true;
    const next = this.#next?.page;
    return next !== undefined && !isPromise(next) && this.#serves(next, after, withAttrs);
  }

  /**
   * A page that holds the entry behind the cookie `after`, if there is one. A page that had to be waited for is the answer however old it is by then: to ask
   * once more might go on for ever. {@link isFresh} says whether its attributes may still be shown.
   */
  page(after: number, withAttrs: boolean, signal?: AbortSignal): MaybePromise<Page> {
    if (this.#page !== undefined && this.#serves(this.#page, after, withAttrs)) return this.#page;
    const next = this.#next;
    if (next?.after === after && next.withAttrs === withAttrs) {
      if (isPromise(next.page)) return interruptible(next.page, signal).then((page) => this.#turnTo(page));
      if (this.#serves(next.page, after, withAttrs)) return this.#turnTo(next.page);
    }
    return this.#fetch(after, withAttrs, signal).then((page) => this.#turnTo(page));
  }

  /** Index of the first entry behind the cookie. */
  indexAfter(page: DirPage & { readonly after: number }, after: number): number {
    if (page.after === after) return 0;
    let low = 0;
    let high = page.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (page.entries[middle]!.cookie <= after) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #serves(page: Page, after: number, withAttrs: boolean): boolean {
    // Entries with attributes become names in the kernel's cache: one that this mount has removed since must not come back.
    if (withAttrs && (!page.withAttrs || !this.isFresh(page))) return false;
    const last = page.entries.at(-1)?.cookie ?? page.after;
    return after >= page.after && (after < last || page.end);
  }

  /** False when the attributes of a page are too old, or the directory was changed since it was asked for. */
  isFresh(page: Page): boolean {
    if (this.#clock.monotonicMs() - page.atMs > this.#ageMaxMs) return false;
    return this.#meta.knownAttr(this.#ino)?.change === page.change;
  }

  #turnTo(page: Page): Page {
    this.#page = page;
    this.#next = undefined;
    const last = page.entries.at(-1);
    if (!page.end && last !== undefined) this.#prefetch(last.cookie, page.withAttrs);
    return page;
  }

  #prefetch(after: number, withAttrs: boolean): void {
    const coming = this.#fetch(after, withAttrs);
    const next: NextPage = { after, withAttrs, page: coming };
    this.#next = next;
    coming.then(
      (page) => {
        next.page = page;
      },
      () => {
        if (this.#next === next) this.#next = undefined; // whoever needs it asks again and hears the error
      },
    );
  }

  async #fetch(after: number, withAttrs: boolean, signal?: AbortSignal): Promise<Page> {
    const atMs = this.#clock.monotonicMs();
    const change = this.#meta.knownAttr(this.#ino)?.change;
    const { entries, end } = await this.#meta.readdir(this.#ino, after, withAttrs, signal);
    return { entries, end, after, withAttrs, atMs, change };
  }
}
