import { must } from '../common/assert.js';

/** Most entries of a chunk before it is split: small enough to copy in well under a microsecond. */
const CHUNK_ENTRIES_MAX = 256;

interface Chunk<V> {
  /** The map that may change this chunk in place; others copy it first. */
  owner: symbol;
  readonly keys: string[];
  readonly values: V[];
}

/**
 * An ordered map from strings to values, in sorted chunks. `snapshot` takes constant time: both maps share the chunks, and whichever changes one copies it
 * first. The memory engine and the overlay of the embedded engine stand on it.
 */
export class SortedMap<V> {
  /** INVARIANT: no chunk is empty; keys ascend within and across chunks. */
  #chunks: Chunk<V>[] = [];
  /** True when another map uses the same `#chunks` array. */
  #chunksShared = false;
  #owner = Symbol('owner');
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk.keys, key);
    return chunk.keys[at] === key ? chunk.values[at] : undefined;
  }

  /** Sets the value and returns the one that it replaces. */
  set(key: string, value: V): V | undefined {
    if (this.#chunks.length === 0) {
      this.#ownChunks().push({ owner: this.#owner, keys: [key], values: [value] });
      this.#size = 1;
      return undefined;
    }
    const index = this.#chunkOf(key);
    const chunk = this.#own(index);
    const at = lowerBound(chunk.keys, key);
    if (chunk.keys[at] === key) {
      const old = chunk.values[at];
      chunk.values[at] = value;
      return old;
    }
    if (at === chunk.keys.length) {
      chunk.keys.push(key);
      chunk.values.push(value);
    } else {
      chunk.keys.splice(at, 0, key);
      chunk.values.splice(at, 0, value);
    }
    this.#size++;
    if (chunk.keys.length > CHUNK_ENTRIES_MAX) this.#split(index, chunk);
    return undefined;
  }

  /** Removes the key and returns the value that it had. */
  delete(key: string): V | undefined {
    const index = this.#chunkOf(key);
    const shared = this.#chunks[index];
    if (shared === undefined) return undefined;
    const at = lowerBound(shared.keys, key);
    if (shared.keys[at] !== key) return undefined;
    const chunk = this.#own(index);
    const old = chunk.values[at];
    chunk.keys.splice(at, 1);
    chunk.values.splice(at, 1);
    if (chunk.keys.length === 0) this.#ownChunks().splice(index, 1);
    this.#size--;
    return old;
  }

  /** The entry with the greatest key that is not above `key`. */
  floor(key: string): { readonly key: string; readonly value: V } | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    if (chunk === undefined) return undefined;
    const above = lowerBound(chunk.keys, key);
    const at = chunk.keys[above] === key ? above : above - 1;
    return at < 0 ? undefined : { key: must(chunk.keys[at], 'key'), value: chunk.values[at] as V };
  }

  /** Keys with start ≤ key < end. */
  keysIn(start: string, end: string): string[] {
    const keys: string[] = [];
    for (const cursor = this.cursor(start, end, false); cursor.key !== undefined; cursor.next()) keys.push(cursor.key);
    return keys;
  }

  /** Walks the entries with start ≤ key < end. The map must not change meanwhile; a snapshot of it does not. */
  cursor(start: string, end: string, reverse: boolean): SortedMapCursor<V> {
    return new SortedMapCursor(this.#chunks, start, end, reverse);
  }

  /** A map with the same entries; changing either leaves the other alone. */
  snapshot(): SortedMap<V> {
    const copy = new SortedMap<V>();
    copy.#chunks = this.#chunks;
    copy.#chunksShared = this.#chunksShared = true;
    copy.#size = this.#size;
    this.#owner = Symbol('owner');
    return copy;
  }

  /** The chunk that holds the key, or where it belongs. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#chunks[middle] as Chunk<V>).keys[0]! <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #own(index: number): Chunk<V> {
    const chunk = must(this.#chunks[index], 'chunk');
    if (chunk.owner === this.#owner) return chunk;
    const copy = { owner: this.#owner, keys: chunk.keys.slice(), values: chunk.values.slice() };
    this.#ownChunks()[index] = copy;
    return copy;
  }

  #ownChunks(): Chunk<V>[] {
    if (this.#chunksShared) {
      this.#chunks = this.#chunks.slice();
      this.#chunksShared = false;
    }
    return this.#chunks;
  }

  #split(index: number, chunk: Chunk<V>): void {
    // keys that only ever grow fill their chunks; others leave room on both sides
    const last = index === this.#chunks.length - 1;
    const at = last ? CHUNK_ENTRIES_MAX - 16 : CHUNK_ENTRIES_MAX >>> 1;
    const upper = { owner: this.#owner, keys: chunk.keys.splice(at), values: chunk.values.splice(at) };
    this.#ownChunks().splice(index + 1, 0, upper);
  }
}

/** A position in a {@link SortedMap}: `key` is undefined at the end. */
export class SortedMapCursor<V> {
  key: string | undefined;
  value: V | undefined;
  readonly #chunks: readonly Chunk<V>[];
  readonly #bound: string;
  readonly #reverse: boolean;
  #index = 0;
  #at = 0;

  constructor(chunks: readonly Chunk<V>[], start: string, end: string, reverse: boolean) {
    this.#chunks = chunks;
    this.#reverse = reverse;
    this.#bound = reverse ? start : end;
    this.#seek(reverse ? end : start);
    if (reverse) this.next();
    else this.#load();
  }

  next(): void {
    if (this.#reverse) {
      if (--this.#at < 0 && --this.#index >= 0) this.#at = this.#chunks[this.#index]!.keys.length - 1;
    } else this.#at++;
    this.#load();
  }

  /** Goes to the first position whose key is not below `key`. */
  #seek(key: string): void {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#chunks[middle]!.keys[0]! <= key) low = middle;
      else high = middle - 1;
    }
    this.#index = low;
    const chunk = this.#chunks[low];
    this.#at = chunk === undefined ? 0 : lowerBound(chunk.keys, key);
  }

  #load(): void {
    let chunk = this.#chunks[this.#index];
    if (chunk !== undefined && this.#at >= chunk.keys.length) {
      chunk = this.#chunks[++this.#index];
      this.#at = 0;
    }
    const key = chunk?.keys[this.#at];
    if (key === undefined || (this.#reverse ? key < this.#bound : key >= this.#bound)) {
      this.key = this.value = undefined;
      return;
    }
    this.key = key;
    this.value = chunk?.values[this.#at];
  }
}

/** Index of the first key that is not below `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  // keys often grow: look at the end first
  if (high > 0 && keys[high - 1]! < key) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
