import { NO_INO, type Ino } from '../model/ids.js';

interface CompleteDir {
  /** Every name in the directory; {@link NO_INO} where the inode is not known. */
  readonly names: Map<string, Ino>;
  /** The directory's change number that `names` belongs to. */
  change: number;
  /** Until when it may be served. */
  until: number;
  /** Our last change of its names was a removal. */
  removing: boolean;
}

/** A directory costs as much as this many names. */
const DIR_WEIGHT = 4;

/**
 * Directories of which every entry is known, so that a name that is not among them does not exist: made by this session, or listed from end to end without a change.
 *
 * What is known stays true while the directory's change number moves exactly as our own operations move it, by one each: a number that nobody here explains is
 * somebody else's change, and ends it. An unsure case ends it, too: the price is a question to the server.
 * Bounded by the number of names held; the directory used least recently goes first.
 */
export class CompleteDirs {
  readonly #namesMax: number;
  /** In the order of use, least recently first. INVARIANT: `#weight` = sum over it of names + DIR_WEIGHT. */
  readonly #dirs = new Map<Ino, CompleteDir>();
  #weight = 0;

  constructor(options: { readonly namesMax: number }) {
    this.#namesMax = options.namesMax;
  }

  /** Names held, directories counted as {@link DIR_WEIGHT}. */
  get weight(): number {
    return this.#weight;
  }

  has(dir: Ino): boolean {
    return this.#dirs.has(dir);
  }

  /** From now on all of the directory is known. Takes `names` over. */
  start(dir: Ino, change: number, names: Map<string, Ino>, until: number): void {
    this.drop(dir);
    this.#dirs.set(dir, { names, change, until, removing: false });
    this.#weight += names.size + DIR_WEIGHT;
    this.#evict();
  }

  /** The inode of a name, `'absent'`, or undefined when this may not answer (a name whose inode is unknown included). */
  find(dir: Ino, name: string, now: number): Ino | 'absent' | undefined {
    const known = this.#dirs.get(dir);
    if (known === undefined || now >= known.until) return undefined;
    this.#dirs.delete(dir);
    this.#dirs.set(dir, known);
    const ino = known.names.get(name);
    if (ino === undefined) return 'absent';
    return ino === NO_INO ? undefined : ino;
  }

  /** Our last change of its names took one away: what is looked up next is probably about to go, too. */
  isBeingEmptied(dir: Ino): boolean {
    return this.#dirs.get(dir)?.removing ?? false;
  }

  /**
   * A reply shows the directory's change number. `own`: it is the reply to an operation of ours that may have moved it; `inFlight`: how many others of ours may move it
   * whose replies are still to come.
   */
  seen(dir: Ino, change: number, own: boolean, inFlight: number, until: number): void {
    const known = this.#dirs.get(dir);
    if (known === undefined) return;
    const isOurs = change === known.change || (own && change === known.change + 1);
    if (isOurs) {
      known.change = change;
      known.until = until;
    } else if (own || change > known.change + inFlight) this.drop(dir);
    // Else older than what is known, or perhaps ours already: says nothing.
  }

  /** An operation of ours has put a name there. */
  add(dir: Ino, name: string, ino: Ino): void {
    const known = this.#dirs.get(dir);
    if (known === undefined) return;
    if (!known.names.has(name)) this.#weight++;
    known.names.set(name, ino);
    known.removing = false;
    this.#evict();
  }

  /** An operation of ours has removed a name. */
  remove(dir: Ino, name: string): void {
    const known = this.#dirs.get(dir);
    if (known === undefined) return;
    if (known.names.delete(name)) this.#weight--;
    known.removing = true;
  }

  /** The server has said what a name is ({@link NO_INO}: nothing); when that is not what is known here, somebody else was there. */
  check(dir: Ino, name: string, ino: Ino): void {
    const known = this.#dirs.get(dir);
    if (known === undefined) return;
    const held = known.names.get(name);
    if (held === NO_INO && ino !== NO_INO) known.names.set(name, ino);
    else if ((held ?? NO_INO) !== ino) this.drop(dir);
  }

  drop(dir: Ino): void {
    const known = this.#dirs.get(dir);
    if (known === undefined) return;
    this.#dirs.delete(dir);
    this.#weight -= known.names.size + DIR_WEIGHT;
  }

  #evict(): void {
    for (const dir of this.#dirs.keys()) {
      if (this.#weight <= this.#namesMax) return;
      this.drop(dir);
    }
  }
}
