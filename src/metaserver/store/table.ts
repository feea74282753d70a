import { isPromise, type MaybePromise } from '../../common/maybe-promise.js';
import type { KvReader } from '../../kv/kv-engine.js';
import { SMALL_RECORD_BYTES, type RecordCodec } from '../records/record-codec.js';
import type { RecordWriter } from '../records/record-writer.js';
import { GenerationCache } from './generation-cache.js';

export interface TableOptions<Value> {
  /** Most weight of clean rows to keep decoded; 0 = none. */
  readonly cacheWeightMax: number;
  /** Weight of a row in that; 1 unless said. */
  readonly weigh?: (value: Value) => number;
}

/** The newest value of a row that is not durable yet; undefined = deleted. */
interface PendingRow<Value> {
  readonly value: Value | undefined;
  /** The batch that holds it. */
  readonly seq: number;
  /** The row does not exist outside this batch: deleting it again leaves nothing to do. */
  readonly fresh: boolean;
}

/** What a row turned out to be, and the batch that has to be durable before anyone may be told; 0 = it is. */
export interface SeenRow<Value> {
  readonly value: Value | undefined;
  readonly seq: number;
}

/** Stands in the cache for a row that is known not to exist. */
const ABSENT = Symbol('absent');

/**
 * One kind of rows, decoded: the newest values that are not durable yet (the overlay) over a bounded cache over the engine.
 * Only the executor uses it, one operation at a time, so that nothing changes between a look and a use.
 */
export class Table<Value> {
  readonly #engine: KvReader;
  readonly #codec: RecordCodec<Value>;
  readonly #cache: GenerationCache<Value | typeof ABSENT> | undefined;
  /** INVARIANT: a row is here exactly while a batch that changes it is not durable; its seq is the newest such batch. */
  readonly #pending = new Map<string, PendingRow<Value>>();

  constructor(engine: KvReader, codec: RecordCodec<Value>, opts: TableOptions<Value>) {
    this.#engine = engine;
    this.#codec = codec;
    const weigh = opts.weigh;
    this.#cache =
      opts.cacheWeightMax === 0
        ? undefined
        : new GenerationCache(opts.cacheWeightMax, (value) =>
            weigh === undefined || value === ABSENT ? 1 : weigh(value),
          );
  }

  get pendingRows(): number {
    return this.#pending.size;
  }

  get cachedRows(): number {
    return this.#cache?.size ?? 0;
  }

  /** The overlay's view of a row; undefined = not there. */
  pending(key: string): SeenRow<Value> | undefined {
    return this.#pending.size === 0 ? undefined : this.#pending.get(key);
  }

  /** The durable value. REQUIRES: the row is not pending. */
  durable(key: string): MaybePromise<Value | undefined> {
    const cached = this.#cache?.get(key);
    if (cached !== undefined) return cached === ABSENT ? undefined : cached;
    const found = this.#engine.get(Buffer.from(key, 'latin1'));
    return isPromise(found) ? found.then((bytes) => this.#found(key, bytes)) : this.#found(key, found);
  }

  /** Durable values of many rows, in order. REQUIRES: none of them is pending. */
  async durableMany(keys: readonly string[]): Promise<(Value | undefined)[]> {
    const values: (Value | undefined)[] = new Array<Value | undefined>(keys.length);
    const missing: number[] = [];
    for (let i = 0; i < keys.length; i++) {
      const cached = this.#cache?.get(keys[i]!);
      if (cached === undefined) missing.push(i);
      else values[i] = cached === ABSENT ? undefined : cached;
    }
    if (missing.length > 0) {
      const found = await this.#engine.getMany(missing.map((i) => Buffer.from(keys[i]!, 'latin1')));
      missing.forEach((i, at) => (values[i] = this.#found(keys[i]!, found[at])));
    }
    return values;
  }

  decode(bytes: Uint8Array): Value {
    return this.#codec.decode(bytes);
  }

  /** About the bytes that a write of the row takes in a batch. */
  sizeOf(key: string, value: Value | undefined): number {
    if (value === undefined) return key.length;
    return key.length + (this.#codec.sizeOf?.(value) ?? SMALL_RECORD_BYTES);
  }

  /** Keys of the overlay with start ≤ key < end. */
  pendingIn(start: string, end: string): string[] {
    const keys: string[] = [];
    for (const key of this.#pending.keys()) if (key >= start && key < end) keys.push(key);
    return keys;
  }

  /** Takes a write of batch `seq`; false when the row now needs no write at all. */
  apply(key: string, value: Value | undefined, seq: number, fresh: boolean): boolean {
    const before = this.#pending.get(key);
    if (before?.seq === seq && before.fresh) {
      if (value === undefined) {
        this.#pending.delete(key);
        return false;
      }
      this.#pending.set(key, { value, seq, fresh: true });
      return true;
    }
    this.#pending.set(key, { value, seq, fresh: fresh && before === undefined });
    return true;
  }

  /** The encoded row of the overlay; undefined = to be deleted. */
  encoded(key: string, writer: RecordWriter): Buffer | undefined {
    const row = this.#pending.get(key);
    if (row?.value === undefined) return undefined;
    this.#codec.encode(row.value, writer.begin());
    return writer.finish();
  }

  /** Batch `seq`, which changed the row, is durable. */
  publish(key: string, seq: number): void {
    const row = this.#pending.get(key);
    // a newer batch changed it again
    if (row?.seq !== seq) return;
    this.#pending.delete(key);
    this.#cache?.set(key, row.value ?? ABSENT);
  }

  /** Forgets everything that is not in the engine, and what was cached. */
  clear(): void {
    this.#pending.clear();
    this.#cache?.clear();
  }

  #found(key: string, bytes: Uint8Array | undefined): Value | undefined {
    const value = bytes === undefined ? undefined : this.#codec.decode(bytes);
    this.#cache?.set(key, value ?? ABSENT);
    return value;
  }
}
