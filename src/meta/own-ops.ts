import type { Ino } from '../model/ids.js';

/** Directories whose last change is remembered one by one. */
const REMEMBERED_MAX = 4096;

/** A mutating operation of ours between its call and its reply: the inodes whose change number it may move, and the names it may change. */
export interface OwnOp {
  readonly inodes: readonly Ino[];
  /** {@link dentryKey}s. */
  readonly names: readonly string[];
}

/** A name in a directory as one map key: `name` holds the bytes as latin1, which keeps each of them. */
export const dentryKey = (parent: Ino, name: string): string => `${parent}/${name}`;

/**
 * Keeps caches in order with our own changes: which operations are in flight, and whether a reply that arrives now was asked for before a change of ours was answered.
 * Such a reply may show the state before the change, and must not be cached.
 */
export class OwnOps {
  readonly #inodes = new Map<Ino, number>();
  readonly #names = new Map<string, number>();
  /** Inode → the moment of the last answered change; forgotten ones are covered by {@link #floor}. */
  readonly #changed = new Map<Ino, number>();
  #floor = 0;
  #moment = 0;

  /** The moment of now: moves with every answered change. Ask for it when a question is sent. */
  get moment(): number {
    return this.#moment;
  }

  begin(inodes: readonly Ino[], names: readonly string[]): OwnOp {
    for (const ino of inodes) increment(this.#inodes, ino);
    for (const name of names) increment(this.#names, name);
    return { inodes, names };
  }

  /** The reply is there. */
  end({ inodes, names }: OwnOp): void {
    this.#moment++;
    for (const ino of inodes) {
      decrement(this.#inodes, ino);
      this.#changed.delete(ino);
      this.#changed.set(ino, this.#moment);
    }
    for (const name of names) decrement(this.#names, name);
    if (this.#changed.size <= REMEMBERED_MAX) return;
    for (const [ino, moment] of this.#changed) {
      this.#changed.delete(ino);
      this.#floor = moment;
      if (this.#changed.size <= REMEMBERED_MAX) break;
    }
  }

  inFlightOn(ino: Ino): number {
    return this.#inodes.get(ino) ?? 0;
  }

  isNameInFlight(key: string): boolean {
    return this.#names.has(key);
  }

  /** True when no change of ours on the inode was answered since `moment`, nor is one in flight. */
  isQuietSince(ino: Ino, moment: number): boolean {
    return !this.#inodes.has(ino) && (this.#changed.get(ino) ?? this.#floor) <= moment;
  }
}

function increment<K>(map: Map<K, number>, key: K): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

function decrement<K>(map: Map<K, number>, key: K): void {
  const count = map.get(key) ?? 0;
  if (count <= 1) map.delete(key);
  else map.set(key, count - 1);
}
