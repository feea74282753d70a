import { LRUCache } from 'lru-cache';
import { NO_INO, type Ino } from '../model/ids.js';
import { isDirectory, type InodeAttr } from '../model/inode.js';
import type { DirPage } from '../model/operation.js';
import { AttrCache } from './attr-cache.js';
import type { CachePolicy } from './cache-policy.js';
import { CompleteDirs } from './complete-dirs.js';
import { ListingTracker } from './listing-tracker.js';
import { dentryKey, OwnOps, type OwnOp } from './own-ops.js';

export interface NamespaceCacheOptions {
  readonly inodesMax: number;
  readonly dentriesMax: number;
  /** Names held of directories that are known completely. */
  readonly completeNamesMax: number;
}

interface Dentry {
  /** {@link NO_INO}: there is no such entry. */
  readonly ino: Ino;
  readonly until: number;
}

/** A name's bytes as a string, one character each. */
export function nameKey(name: Uint8Array): string {
  return (Buffer.isBuffer(name) ? name : Buffer.from(name.buffer, name.byteOffset, name.byteLength)).toString('latin1');
}

/**
 * What this client knows of the tree: attributes, single entries (negative ones too) and directories known completely. Fed with every reply, in the order of arrival, and
 * with every change of our own at its reply; a question that ran beside a change of ours is not cached, and a name with a change in flight is not answered.
 *
 * Every answer has been confirmed by the server within the policy's time; answers follow the client's own changes at once.
 */
export class NamespaceCache {
  readonly attrs: AttrCache;
  readonly #policy: CachePolicy;
  readonly #dentries: LRUCache<string, Dentry>;
  readonly #complete: CompleteDirs;
  readonly #listings: ListingTracker;
  readonly #own = new OwnOps();

  constructor(policy: CachePolicy, options: NamespaceCacheOptions) {
    this.#policy = policy;
    this.attrs = new AttrCache(policy, options);
    this.#dentries = new LRUCache({ max: options.dentriesMax });
    this.#complete = new CompleteDirs({ namesMax: options.completeNamesMax });
    this.#listings = new ListingTracker({ namesMax: options.completeNamesMax });
  }

  get dentryCount(): number {
    return this.#dentries.size;
  }

  get completeWeight(): number {
    return this.#complete.weight;
  }

  /** Pass it with what a question asked for now brings. */
  get moment(): number {
    return this.#own.moment;
  }

  isQuietSince(ino: Ino, moment: number): boolean {
    return this.#own.isQuietSince(ino, moment);
  }

  /** The entry's attributes, `'absent'`, or undefined when the server must be asked. */
  lookup(parent: Ino, name: string): InodeAttr | 'absent' | undefined {
    const key = dentryKey(parent, name);
    if (this.#own.isNameInFlight(key)) return undefined;
    const now = this.#policy.now();
    let found = this.#complete.find(parent, name, now);
    if (found === undefined) {
      const dentry = this.#dentries.get(key);
      if (dentry === undefined || now >= dentry.until) return undefined;
      found = dentry.ino === NO_INO ? 'absent' : dentry.ino;
    }
    return found === 'absent' ? found : this.attrs.get(found, now);
  }

  /** An entry confirmed to exist, with attributes that are not, in a directory where removals are going on; undefined in any other case. */
  removable(parent: Ino, name: string): InodeAttr | undefined {
    if (!this.#complete.isBeingEmptied(parent) || this.#own.isNameInFlight(dentryKey(parent, name))) return undefined;
    const now = this.#policy.now();
    const found = this.#complete.find(parent, name, now);
    if (found === undefined || found === 'absent' || this.attrs.get(found, now) !== undefined) return undefined;
    return this.attrs.newest(found);
  }

  getattr(ino: Ino): InodeAttr | undefined {
    return this.attrs.get(ino, this.#policy.now());
  }

  /** A change of ours is about to be sent: the inodes whose change number it may move (parents of names included), and the names it may change. */
  begin(inodes: readonly Ino[], names: readonly string[]): OwnOp {
    return this.#own.begin(inodes, names);
  }

  /** Its reply is there; `moved`: it succeeded, and may have moved the change numbers by one. */
  end(op: OwnOp, attrs: readonly InodeAttr[], moved: boolean): void {
    this.#own.end(op);
    for (const attr of attrs) this.#learn(attr, moved);
  }

  /** A reply to a question carries these attributes. */
  learn(attrs: readonly InodeAttr[]): void {
    for (const attr of attrs) this.#learn(attr, false);
  }

  #learn(attr: InodeAttr, own: boolean): void {
    this.attrs.learn(attr);
    if (!isDirectory(attr.mode)) return;
    const until = this.#policy.confirmedUntil('entry');
    this.#complete.seen(attr.ino, attr.change, own, this.#own.inFlightOn(attr.ino), until);
  }

  /** A lookup asked for at `moment` has found an inode, or nothing ({@link NO_INO}). */
  looked(parent: Ino, name: string, ino: Ino, moment: number): void {
    if (!this.#own.isQuietSince(parent, moment)) return;
    if (this.#complete.has(parent)) this.#complete.check(parent, name, ino);
    this.#setDentry(parent, name, ino);
  }

  /** Our change has made an entry. */
  linked(parent: Ino, name: string, ino: Ino): void {
    this.#complete.add(parent, name, ino);
    this.#setDentry(parent, name, ino);
  }

  /** Our change has removed an entry. */
  unlinked(parent: Ino, name: string): void {
    this.#complete.remove(parent, name);
    this.#setDentry(parent, name, NO_INO);
  }

  /** We have made a directory: nothing is in it. */
  madeDirectory(attr: InodeAttr): void {
    this.#complete.start(attr.ino, attr.change, new Map(), this.#policy.confirmedUntil('entry'));
  }

  /** Nothing is known about a name any more, nor that its directory is known completely. */
  forget(parent: Ino, name: string): void {
    this.#complete.drop(parent);
    this.#dentries.delete(dentryKey(parent, name));
  }

  /** What a name is thought to be, however old: {@link NO_INO} when thought absent, undefined when unknown. */
  thought(parent: Ino, name: string): Ino | undefined {
    const found = this.#complete.find(parent, name, 0);
    if (found !== undefined) return found === 'absent' ? NO_INO : found;
    return this.#dentries.peek(dentryKey(parent, name))?.ino;
  }

  /** What was a directory has no name any more. */
  removedDirectory(ino: Ino): void {
    this.#complete.drop(ino);
  }

  /** The inode is gone from the server. */
  gone(ino: Ino): void {
    this.attrs.drop(ino);
    this.#complete.drop(ino);
  }

  /** A listing's page, asked for at `moment`; `dirAttr` is of the same moment as the page on the server. */
  listed(dir: Ino, afterCookie: number, page: DirPage, dirAttr: InodeAttr | undefined, moment: number): void {
    for (const entry of page.entries) if (entry.attr !== undefined) this.#learn(entry.attr, false);
    if (!this.#own.isQuietSince(dir, moment)) return;
    const names = page.entries.map(({ name, ino }): readonly [string, Ino] => [nameKey(name), ino]);
    const isKnown = this.#complete.has(dir);
    for (const [name, ino] of names) {
      if (isKnown) this.#complete.check(dir, name, ino);
      if (!this.#complete.has(dir)) this.#setDentry(dir, name, ino);
    }
    // A newer state of the directory has been seen than the one that the page shows: it is not the whole truth any more.
    const newest = this.attrs.newest(dir);
    if (dirAttr === undefined || (newest !== undefined && newest.change > dirAttr.change)) return;
    const lastCookie = page.entries.at(-1)?.cookie ?? afterCookie;
    const all = this.#listings.page(dir, dirAttr.change, afterCookie, { names, lastCookie, end: page.end });
    if (all !== undefined && !this.#complete.has(dir)) {
      this.#complete.start(dir, dirAttr.change, all, this.#policy.confirmedUntil('entry'));
    }
  }

  #setDentry(parent: Ino, name: string, ino: Ino): void {
    const key = dentryKey(parent, name);
    if (this.#complete.has(parent)) this.#dentries.delete(key);
    else this.#dentries.set(key, { ino, until: this.#policy.confirmedUntil('entry') });
  }
}
