import { open, type Database, type RootDatabase } from 'lmdb';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { must } from '../common/assert.js';
import { keyFromString } from './key-string.js';
import type { KvEntry } from './kv-engine.js';
import type { LayerView } from './overlay-layer.js';
import type { BaseReader } from './overlay-reader.js';

type Transaction = ReturnType<Database['useReadTransaction']>;

const PAGE_BYTES = 4096;
/** Changes that are handed to LMDB in one turn: about a millisecond of the main thread. */
const SLICE_ENTRIES = 1000;
/** Behind every key as a string. */
const KEY_END = '\u0100';
const APPLIED_KEY = Buffer.from('applied');
/** No key is empty: what starts at the empty one starts here. */
const FIRST_KEY = Buffer.from([0]);

/**
 * The tree of the embedded engine: an LMDB file that is changed by whole layers, behind the log. A layer may take several transactions: readers have
 * it above the tree until it is there, and after a crash the log is applied again, for `appliedSequence` is written last.
 */
export class LmdbTree implements BaseReader {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #entries: Database<Buffer, Buffer>;
  readonly #meta: Database<Buffer, Buffer>;
  #usedBytes = 0;

  constructor(path: string, mapBytes: number) {
    const binary = { keyEncoding: 'binary', encoding: 'binary' } as const;
    this.#root = open<Buffer, Buffer>({
      path,
      ...binary,
      noSubdir: true,
      pageSize: PAGE_BYTES,
      mapSize: mapBytes,
      // a commit resolves when it is on disk
      overlappingSync: false,
      maxDbs: 4,
      maxReaders: 1024,
    });
    this.#entries = this.#root.openDB<Buffer, Buffer>({ name: 'entries', ...binary });
    this.#meta = this.#root.openDB<Buffer, Buffer>({ name: 'meta', ...binary });
    this.#measure();
  }

  /** The last batch of the log that the tree holds. */
  get appliedSequence(): number {
    return this.#meta.get(APPLIED_KEY)?.readUIntLE(0, 6) ?? 0;
  }

  /** Bytes of pages in use; free ones inside the file are not counted. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get(key: Uint8Array): Buffer | undefined {
    return this.#entries.get(asBuffer(key));
  }

  range(start: Uint8Array, end: Uint8Array, reverse: boolean, limit: number | undefined): Iterable<KvEntry> {
    return this.#range(start, end, reverse, limit);
  }

  /** A reader of this moment's tree. */
  snapshot(): BaseReader & Disposable {
    const transaction = this.#entries.useReadTransaction();
    let open = true;
    return {
      get: (key) => this.#entries.get(asBuffer(key), { transaction }),
      range: (start, end, reverse, limit) => this.#range(start, end, reverse, limit, transaction),
      [Symbol.dispose]: () => {
        if (open) transaction.done();
        open = false;
      },
    };
  }

  /** Applies a layer; it is on disk, and reads see it, when it resolves. */
  async apply(layer: LayerView, lastSequence: number): Promise<void> {
    const batches: Promise<unknown>[] = [];
    await this.#clear(layer, batches);
    let slice: [Buffer, Uint8Array | null][] = [];
    const write = (last: boolean): void => {
      const changes = slice;
      slice = [];
      batches.push(
        this.#root.batch(() => {
          for (const [key, value] of changes) {
            if (value === null) void this.#entries.remove(key);
            else void this.#entries.put(key, asBuffer(value));
          }
          if (last) void this.#meta.put(APPLIED_KEY, encodeSequence(lastSequence));
        }),
      );
    };
    for (const cursor = layer.entries.cursor('', KEY_END, false); cursor.key !== undefined; cursor.next()) {
      slice.push([keyFromString(cursor.key), cursor.value ?? null]);
      if (slice.length === SLICE_ENTRIES) {
        write(false);
        await nextTurn();
      }
    }
    write(true);
    await Promise.all(batches);
    this.#entries.resetReadTxn();
    this.#measure();
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** Removes what the layer's range deletes cover; what it does not wait for goes to `batches`. */
  async #clear(layer: LayerView, batches: Promise<unknown>[]): Promise<void> {
    for (const range = layer.cleared.cursor('', KEY_END, false); range.key !== undefined; range.next()) {
      const end = keyFromString(must(range.value, 'end of a range'));
      for (let start = keyFromString(range.key); ;) {
        const keys = [...this.#entries.getKeys({ start: firstKey(start), end, limit: SLICE_ENTRIES })];
        if (keys.length === 0) break;
        const removed = this.#root.batch(() => {
          for (const key of keys) void this.#entries.remove(key);
        });
        if (keys.length < SLICE_ENTRIES) {
          batches.push(removed);
          break;
        }
        await removed;
        start = Buffer.concat([must(keys.at(-1), 'key'), FIRST_KEY]);
      }
    }
  }

  #range(
    start: Uint8Array,
    end: Uint8Array,
    reverse: boolean,
    limit: number | undefined,
    transaction?: Transaction,
  ): Iterable<KvEntry> {
    const low = firstKey(start);
    const high = asBuffer(end);
    if (high.length === 0 || Buffer.compare(low, high) >= 0) return [];
    return this.#entries.getRange({
      ...(reverse
        ? { start: high, exclusiveStart: true, end: low, inclusiveEnd: true, reverse }
        : { start: low, end: high }),
      ...(limit === undefined ? {} : { limit }),
      ...(transaction === undefined ? {} : { transaction }),
    });
  }

  #measure(): void {
    const stats = this.#entries.getStats() as Record<
      'treeBranchPageCount' | 'treeLeafPageCount' | 'overflowPages',
      number
    >;
    this.#usedBytes = (stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages) * PAGE_BYTES;
  }
}

function encodeSequence(sequence: number): Buffer {
  const bytes = Buffer.allocUnsafe(6);
  bytes.writeUIntLE(sequence, 0, 6);
  return bytes;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function firstKey(key: Uint8Array): Buffer {
  return key.length === 0 ? FIRST_KEY : asBuffer(key);
}
