import { keyFromString, keyToString } from './key-string.js';
import type { KvEntry, RangeOptions } from './kv-engine.js';
import { clearedRange, lookup, type LayerView } from './overlay-layer.js';
import type { SortedMapCursor } from './sorted-map.js';

/** The tree below the layers. */
export interface BaseReader {
  get(key: Uint8Array): Uint8Array | undefined;
  range(start: Uint8Array, end: Uint8Array, reverse: boolean, limit: number | undefined): Iterable<KvEntry>;
}

/** Reads of layers (oldest first) over a tree: the newest layer that says something of a key holds. */
export class OverlayReader {
  readonly #layers: readonly LayerView[];
  readonly #base: BaseReader;

  constructor(layers: readonly LayerView[], base: BaseReader) {
    this.#layers = layers.filter((layer) => layer.entries.size > 0 || layer.cleared.size > 0);
    this.#base = base;
  }

  /** The value; the caller must not change it (see {@link OverlayReader.copy}). */
  peek(key: Uint8Array): Uint8Array | undefined {
    if (this.#layers.length > 0) {
      const text = keyToString(key);
      for (let i = this.#layers.length - 1; i >= 0; i--) {
        const value = lookup(this.#layers[i]!, text);
        if (value !== undefined) return value ?? undefined;
      }
    }
    return this.#base.get(key);
  }

  /** The value as bytes of the caller's own. */
  get(key: Uint8Array): Uint8Array | undefined {
    if (this.#layers.length > 0) {
      const text = keyToString(key);
      for (let i = this.#layers.length - 1; i >= 0; i--) {
        const value = lookup(this.#layers[i]!, text);
        if (value !== undefined) return value === null ? undefined : Buffer.from(value);
      }
    }
    return this.#base.get(key);
  }

  isEmpty(start: Uint8Array, end: Uint8Array): boolean {
    return this.range(start, end, { limit: 1 }).length === 0;
  }

  range(start: Uint8Array, end: Uint8Array, options: RangeOptions): KvEntry[] {
    const reverse = options.reverse ?? false;
    if (options.limit <= 0 || Buffer.compare(start, end) >= 0) return [];
    const from = keyToString(start);
    const to = keyToString(end);
    const layers = this.#layers.filter((layer) => touches(layer, from, to));
    if (layers.length === 0) return [...this.#base.range(start, end, reverse, options.limit)];
    const merge = new Merge(layers, this.#base, from, to, reverse);
    const entries: KvEntry[] = [];
    try {
      while (entries.length < options.limit) {
        const entry = merge.next();
        if (entry === undefined) break;
        entries.push(entry);
      }
    } finally {
      merge.close();
    }
    return entries;
  }
}

function touches(layer: LayerView, from: string, to: string): boolean {
  return (
    layer.entries.cursor(from, to, false).key !== undefined ||
    clearedRange(layer, from) !== undefined ||
    layer.cleared.cursor(from, to, false).key !== undefined
  );
}

/** Walks several layers and the tree at once, in key order. */
class Merge {
  readonly #layers: readonly LayerView[];
  readonly #cursors: readonly SortedMapCursor<Uint8Array | null>[];
  readonly #base: BaseReader;
  readonly #reverse: boolean;
  #from: string;
  #to: string;
  #iterator!: Iterator<KvEntry>;
  /** The tree's next entry. */
  #entry: KvEntry | undefined;
  #key: string | undefined;

  constructor(layers: readonly LayerView[], base: BaseReader, from: string, to: string, reverse: boolean) {
    this.#layers = layers;
    this.#base = base;
    this.#reverse = reverse;
    this.#from = from;
    this.#to = to;
    this.#cursors = layers.map((layer) => layer.entries.cursor(from, to, reverse));
    this.#seek();
  }

  next(): KvEntry | undefined {
    for (;;) {
      // on equal keys the newest layer holds
      let best = this.#key;
      let source = -1;
      for (let i = 0; i < this.#cursors.length; i++) {
        const { key } = this.#cursors[i]!;
        if (key !== undefined && (best === undefined || key === best || key < best !== this.#reverse)) {
          best = key;
          source = i;
        }
      }
      if (best === undefined) return undefined;
      const key = best;
      const entry = this.#key === key ? this.#entry : undefined;
      const value = source < 0 ? undefined : this.#cursors[source]!.value;
      for (const cursor of this.#cursors) if (cursor.key === key) cursor.next();
      const cleared = this.#clearedAbove(source, key);
      if (entry !== undefined) {
        if (source < 0 && cleared !== undefined) {
          // the tree may hold many entries of a deleted range
          if (this.#reverse) this.#to = cleared.start;
          else this.#from = cleared.end;
          this.#iterator.return?.();
          this.#seek();
          continue;
        }
        this.#advance();
        if (source < 0) return entry;
      }
      if (value != null && cleared === undefined) return { key: keyFromString(key), value: Buffer.from(value) };
    }
  }

  close(): void {
    this.#iterator.return?.();
  }

  #clearedAbove(source: number, key: string): { readonly start: string; readonly end: string } | undefined {
    for (let i = this.#layers.length - 1; i > source; i--) {
      const range = clearedRange(this.#layers[i]!, key);
      if (range !== undefined) return range;
    }
    return undefined;
  }

  #seek(): void {
    const range =
      this.#from < this.#to
        ? this.#base.range(keyFromString(this.#from), keyFromString(this.#to), this.#reverse, undefined)
        : [];
    this.#iterator = range[Symbol.iterator]();
    this.#advance();
  }

  #advance(): void {
    const next = this.#iterator.next();
    this.#entry = next.done === true ? undefined : next.value;
    this.#key = this.#entry === undefined ? undefined : keyToString(this.#entry.key);
  }
}
