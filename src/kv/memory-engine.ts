import type { MaybePromise } from '../common/maybe-promise.js';
import { batchBytes, checkBatch, checkGuards } from './batch-check.js';
import { CommitQueue } from './commit-queue.js';
import { keyFromString, keyToString } from './key-string.js';
import type { KvBatch, KvCommitOptions, KvEngine, KvEntry, KvProperties, KvReader, RangeOptions } from './kv-engine.js';
import { RESERVE_BYTES } from './kv-engine.js';
import { KvError } from './kv-error.js';
import { SortedMap } from './sorted-map.js';

export interface MemoryEngineDeps {
  /** Stands in for the disk: what a durable commit waits for, and how it fails. Without it commits are durable at once. */
  readonly sync?: () => MaybePromise<void>;
}

export interface MemoryEngineOptions {
  /** Bytes of keys and values that it may hold. */
  readonly limitBytes?: number;
  readonly flushIntervalMs?: number;
}

/** Bytes that an entry is counted for beside its key and value. */
const ENTRY_BYTES = 64;

/**
 * An engine in memory, for tests and tools: the same order, visibility and failures as one with a disk. Commits change `#issued`, which guards see;
 * reads see `#visible`, a snapshot of it taken when the group's sync began and published when that ended.
 */
export class MemoryEngine implements KvEngine {
  readonly properties: KvProperties = {
    name: 'memory',
    keyBytesMax: 1024,
    valueBytesMax: 16 << 20,
    batchBytesMax: 32 << 20,
  };
  readonly #sync: () => MaybePromise<void>;
  readonly #limitBytes: number;
  readonly #queue: CommitQueue<State>;
  #issued: State = { map: new SortedMap(), bytes: 0 };
  #visible: State = { map: new SortedMap(), bytes: 0 };

  constructor(deps: MemoryEngineDeps = {}, opts: MemoryEngineOptions = {}) {
    this.#sync = deps.sync ?? (() => undefined);
    this.#limitBytes = opts.limitBytes ?? 1 << 30;
    this.#queue = new CommitQueue(
      {
        issue: (batch, reserve) => this.#issue(batch, reserve),
        room: () => undefined,
        write: () => ({ map: this.#issued.map.snapshot(), bytes: this.#issued.bytes }),
        sync: () => this.#sync(),
        publish: (state) => {
          this.#visible = state;
        },
        discard: () => {
          this.#issued = { map: this.#visible.map.snapshot(), bytes: this.#visible.bytes };
        },
      },
      { flushIntervalMs: opts.flushIntervalMs ?? 100, waitersMax: 65_536 },
    );
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return get(this.#visible.map, key);
  }

  getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
    return keys.map((key) => get(this.#visible.map, key));
  }

  range(start: Uint8Array, end: Uint8Array, options: RangeOptions): KvEntry[] {
    return range(this.#visible.map, start, end, options);
  }

  snapshot(): KvReader & Disposable {
    const map = this.#visible.map.snapshot();
    return {
      get: (key) => get(map, key),
      getMany: (keys) => keys.map((key) => get(map, key)),
      range: (start, end, options) => range(map, start, end, options),
      [Symbol.dispose]: () => undefined,
    };
  }

  commit(batch: KvBatch, options?: KvCommitOptions): Promise<void> {
    return this.#queue.commit(batch, options);
  }

  barrier(): Promise<void> {
    return this.#queue.barrier();
  }

  space(): { readonly usedBytes: number; readonly limitBytes: number } {
    return { usedBytes: this.#visible.bytes, limitBytes: this.#limitBytes };
  }

  close(): Promise<void> {
    return this.#queue.close();
  }

  #issue(batch: KvBatch, reserve: boolean): void {
    checkBatch(batch, this.properties);
    const state = this.#issued;
    checkGuards(batch.guards, {
      get: (key) => state.map.get(keyToString(key)),
      isEmpty: (start, end) => state.map.cursor(keyToString(start), keyToString(end), false).key === undefined,
    });
    const growth = batch.puts.length === 0 ? 0 : batchBytes(batch) + ENTRY_BYTES * batch.puts.length;
    const limitBytes = this.#limitBytes + (reserve ? RESERVE_BYTES : 0);
    if (growth > 0 && state.bytes + growth > limitBytes) {
      throw new KvError('no-space', `the database is full: ${state.bytes} of ${this.#limitBytes} bytes are used`);
    }
    for (const { start, end } of batch.deleteRanges) {
      for (const key of state.map.keysIn(keyToString(start), keyToString(end))) remove(state, key);
    }
    for (const key of batch.deletes) remove(state, keyToString(key));
    for (const { key, value } of batch.puts) {
      const old = state.map.set(keyToString(key), Uint8Array.prototype.slice.call(value));
      state.bytes += value.length - (old === undefined ? -(key.length + ENTRY_BYTES) : old.length);
    }
  }
}

interface State {
  readonly map: SortedMap<Uint8Array>;
  bytes: number;
}

function remove(state: State, key: string): void {
  const old = state.map.delete(key);
  if (old !== undefined) state.bytes -= key.length + old.length + ENTRY_BYTES;
}

function get(map: SortedMap<Uint8Array>, key: Uint8Array): Uint8Array | undefined {
  const value = map.get(keyToString(key));
  // the caller owns what it gets
  return value === undefined ? undefined : Buffer.from(value);
}

function range(map: SortedMap<Uint8Array>, start: Uint8Array, end: Uint8Array, options: RangeOptions): KvEntry[] {
  const entries: KvEntry[] = [];
  const cursor = map.cursor(keyToString(start), keyToString(end), options.reverse ?? false);
  while (cursor.key !== undefined && entries.length < options.limit) {
    entries.push({ key: keyFromString(cursor.key), value: Buffer.from(cursor.value!) });
    cursor.next();
  }
  return entries;
}
