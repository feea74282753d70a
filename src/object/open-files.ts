import { closeSync } from 'node:fs';
import { LRUCache } from 'lru-cache';

/** A file that is open for reading. */
export interface OpenFile {
  readonly fd: number;
  /** All of it was brought into the page cache, or is on its way. */
  warmed: boolean;
}

interface Entry extends OpenFile {
  /** Reads under way. */
  users: number;
  /** Not in the cache any more: the last user closes it. */
  dropped: boolean;
}

export interface OpenFilesOptions {
  readonly filesMax: number;
  /** A file that nobody reads is closed after so long. */
  readonly idleMs: number;
}

/** Keeps the files that were read last open, by key. A file leaves when it is the least recently used of too many, idle, or dropped; it is closed when its last read ends. */
export class OpenFiles {
  readonly #files: LRUCache<string, Entry>;

  constructor(opts: OpenFilesOptions) {
    this.#files = new LRUCache({
      max: opts.filesMax,
      ttl: opts.idleMs,
      ttlAutopurge: true,
      updateAgeOnGet: true,
      dispose: (entry) => {
        entry.dropped = true;
        if (entry.users === 0) closeSync(entry.fd);
      },
    });
  }

  get size(): number {
    return this.#files.size;
  }

  /** The open file, in use until it is given back; undefined when it is not open. */
  take(key: string): OpenFile | undefined {
    const entry = this.#files.get(key);
    if (entry !== undefined) entry.users++;
    return entry;
  }

  /** Keeps a file that was just opened; it is in use until it is given back. */
  add(key: string, fd: number): OpenFile {
    const entry: Entry = { fd, warmed: false, users: 1, dropped: false };
    this.#files.set(key, entry);
    return entry;
  }

  giveBack(file: OpenFile): void {
    const entry = file as Entry;
    entry.users--;
    if (entry.dropped && entry.users === 0) closeSync(entry.fd);
  }

  drop(key: string): void {
    this.#files.delete(key);
  }

  clear(): void {
    this.#files.clear();
  }
}
