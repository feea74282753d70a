import type { Ino } from '../model/ids.js';

interface Listing {
  readonly change: number;
  readonly names: Map<string, Ino>;
  nextCookie: number;
}

/** Listings followed at a time. */
const LISTINGS_MAX = 16;

/** Follows listings page by page, to tell when one has shown all of a directory: from the first cookie to the end without a gap and under one change number. */
export class ListingTracker {
  readonly #namesMax: number;
  readonly #listings = new Map<Ino, Listing>();

  constructor(options: { readonly namesMax: number }) {
    this.#namesMax = options.namesMax;
  }

  /** A page has arrived. Returns all names when it completes a listing under one change number. */
  page(
    dir: Ino,
    change: number,
    afterCookie: number,
    page: { readonly names: readonly (readonly [string, Ino])[]; readonly lastCookie: number; readonly end: boolean },
  ): Map<string, Ino> | undefined {
    let listing = this.#listings.get(dir);
    if (afterCookie === 0) listing = { change, names: new Map(), nextCookie: 0 };
    if (listing === undefined || listing.nextCookie !== afterCookie) return undefined;
    this.#listings.delete(dir);
    if (listing.change !== change || listing.names.size + page.names.length > this.#namesMax) return undefined;
    for (const [name, ino] of page.names) listing.names.set(name, ino);
    if (page.end) return listing.names;
    listing.nextCookie = page.lastCookie;
    this.#listings.set(dir, listing);
    for (const oldest of this.#listings.keys()) {
      if (this.#listings.size <= LISTINGS_MAX) break;
      this.#listings.delete(oldest);
    }
    return undefined;
  }
}
