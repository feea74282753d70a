import { LRUCache } from 'lru-cache';

interface Entry<V> {
  readonly value: V;
  readonly change: number;
  readonly bytes: number;
}

/** Values that belong to one version of an inode (its change number): extended attributes. Bounded by bytes. A value is served only beside attributes of its own version. */
export class ValueCache<V extends object | string> {
  readonly #entries: LRUCache<string, Entry<V>>;

  constructor(options: { readonly bytesMax: number }) {
    this.#entries = new LRUCache({ maxSize: options.bytesMax, sizeCalculation: ({ bytes }) => bytes });
  }

  get(key: string, change: number): V | undefined {
    const entry = this.#entries.get(key);
    return entry?.change === change ? entry.value : undefined;
  }

  set(key: string, change: number, value: V, valueBytes: number): void {
    this.#entries.set(key, { value, change, bytes: key.length + valueBytes + 64 });
  }
}
