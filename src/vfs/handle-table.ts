import type { Fh, Ino } from '../model/ids.js';

const READ = 1;
const WRITE = 2;
const APPEND = 4;
const DIRECTORY = 8;
const SERIAL_UNIT = 16;

/** What a handle number says by itself, so that it means something to a process that did not make it. */
export interface HandleMode {
  readonly read: boolean;
  readonly write: boolean;
  readonly append: boolean;
  readonly directory: boolean;
}

export const mayReadBy = (fh: Fh): boolean => (fh & (READ | DIRECTORY)) === READ;
export const mayWriteBy = (fh: Fh): boolean => (fh & (WRITE | DIRECTORY)) === WRITE;
export const isDirectoryHandle = (fh: Fh): boolean => (fh & DIRECTORY) !== 0;

/** The mode bits of a handle number. */
export function handleMode(fh: Fh): HandleMode {
  return {
    read: (fh & READ) !== 0,
    write: (fh & WRITE) !== 0,
    append: (fh & APPEND) !== 0,
    directory: (fh & DIRECTORY) !== 0,
  };
}

/**
 * The open handles of the mount: their numbers, which carry the access mode in the low bits beside a serial, and what is remembered per handle
 * (`S`). Counts the handles of each inode. Bounded by the kernel's limit on open files.
 */
export class HandleTable<S> {
  // Mutable state
  #serial = 0;
  readonly #states = new Map<Fh, { readonly ino: Ino; readonly state: S }>();
  /** INVARIANT: the number of entries of #states with that ino; no zeros. */
  readonly #opens = new Map<Ino, number>();

  get size(): number {
    return this.#states.size;
  }

  /** A number never given before. */
  number(mode: HandleMode): Fh {
    this.#serial++;
    const bits =
      (mode.read ? READ : 0) | (mode.write ? WRITE : 0) | (mode.append ? APPEND : 0) | (mode.directory ? DIRECTORY : 0);
    return (this.#serial * SERIAL_UNIT + bits) as Fh;
  }

  add(fh: Fh, ino: Ino, state: S): void {
    this.#states.set(fh, { ino, state });
    this.#opens.set(ino, (this.#opens.get(ino) ?? 0) + 1);
  }

  get(fh: Fh): S | undefined {
    return this.#states.get(fh)?.state;
  }

  /** How many handles are open on the inode. */
  opens(ino: Ino): number {
    return this.#opens.get(ino) ?? 0;
  }

  /** Forgets the handle; false when it was not there. */
  remove(fh: Fh): boolean {
    const entry = this.#states.get(fh);
    if (entry === undefined) return false;
    this.#states.delete(fh);
    const opens = this.opens(entry.ino) - 1;
    if (opens === 0) this.#opens.delete(entry.ino);
    else this.#opens.set(entry.ino, opens);
    return true;
  }
}
