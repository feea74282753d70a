import { isPromise, type MaybePromise } from '../../common/maybe-promise.js';
import type { KvReader } from '../../kv/kv-engine.js';
import type { KeyRange } from '../keys.js';
import type { Table } from './table.js';

/** A row as a range read found it. */
export interface FoundRow<Value> {
  readonly key: string;
  readonly value: Value;
}

export interface FoundRows<Value> {
  readonly rows: readonly FoundRow<Value>[];
  /** Where to go on; undefined = there is no more. */
  readonly next: string | undefined;
}

/** A change that a transaction makes when it is applied. */
export interface Write {
  readonly table: Table<never>;
  readonly value: unknown;
  readonly fresh: boolean;
}

/**
 * One operation's view of the rows and its changes, which reach the overlay only when the operation has succeeded: one that throws changed nothing.
 * It notes the newest batch that it read from and that is not durable, so that the reply can wait for it.
 */
export class Transaction {
  readonly #engine: KvReader;
  readonly writes = new Map<string, Write>();
  readonly deleteRanges: KeyRange[] = [];
  /** Run when the changes are applied: they keep what is derived in memory in step. */
  readonly effects: (() => void)[] = [];
  /** The newest batch it read from that is not durable; 0 = none. */
  sawSeq = 0;
  /** Nobody waits for the changes to be durable: they may ride with a later batch (opens, releases, acks, background work). */
  soft = false;

  constructor(engine: KvReader) {
    this.#engine = engine;
  }

  get changed(): boolean {
    return this.writes.size > 0 || this.deleteRanges.length > 0 || this.effects.length > 0;
  }

  /** About the bytes that the changes take in a batch. */
  get bytes(): number {
    let bytes = 0;
    for (const [key, { table, value }] of this.writes) bytes += table.sizeOf(key, value as never);
    for (const { start, end } of this.deleteRanges) bytes += start.length + end.length;
    return bytes;
  }

  get<Value>(table: Table<Value>, key: string): MaybePromise<Value | undefined> {
    if (this.writes.size > 0) {
      const own = this.writes.get(key);
      if (own !== undefined) return own.value as Value | undefined;
    }
    const pending = table.pending(key);
    if (pending === undefined) return table.durable(key);
    if (pending.seq > this.sawSeq) this.sawSeq = pending.seq;
    return pending.value;
  }

  async getMany<Value>(table: Table<Value>, keys: readonly string[]): Promise<(Value | undefined)[]> {
    const values: (Value | undefined)[] = new Array<Value | undefined>(keys.length);
    const durable: number[] = [];
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      if (this.writes.has(key) || table.pending(key) !== undefined)
        values[i] = this.get(table, key) as Value | undefined;
      else durable.push(i);
    }
    const found = await table.durableMany(durable.map((i) => keys[i]!));
    durable.forEach((i, at) => (values[i] = found[at]));
    return values;
  }

  /** Rows of the range, at most about `limit`. */
  range<Value>(table: Table<Value>, range: KeyRange, limit: number): MaybePromise<FoundRows<Value>> {
    const { start, end } = range;
    const found = this.#engine.range(Buffer.from(start, 'latin1'), Buffer.from(end, 'latin1'), { limit });
    const merge = (entries: readonly { key: Uint8Array; value: Uint8Array }[]): FoundRows<Value> => {
      const rows = entries.map(({ key, value }) => ({ key: Buffer.from(key).toString('latin1'), value }));
      // beyond the last row of a cut read the overlay must wait for the next one
      const next = rows.length < limit ? undefined : `${rows.at(-1)!.key}\0`;
      return { rows: this.#overlay(table, rows, start, next ?? end), next };
    };
    return isPromise(found) ? found.then(merge) : merge(found);
  }

  put<Value>(table: Table<Value>, key: string, value: Value, fresh = false): void {
    this.writes.set(key, { table: table as unknown as Table<never>, value, fresh });
  }

  delete<Value>(table: Table<Value>, key: string): void {
    this.writes.set(key, { table: table as unknown as Table<never>, value: undefined, fresh: false });
  }

  /** Deletes rows of a table without cache, none of which is in the overlay. */
  deleteRange(range: KeyRange): void {
    this.deleteRanges.push(range);
  }

  /** Keeps derived state in step: runs when, and only when, the changes are applied. */
  onApply(effect: () => void): void {
    this.effects.push(effect);
  }

  #overlay<Value>(
    table: Table<Value>,
    stored: readonly FoundRow<Uint8Array>[],
    start: string,
    end: string,
  ): FoundRow<Value>[] {
    const changed = table.pendingRows === 0 ? [] : table.pendingIn(start, end);
    for (const [key, write] of this.writes) {
      if ((write.table as unknown) === table && key >= start && key < end) changed.push(key);
    }
    if (changed.length === 0) return stored.map(({ key, value }) => ({ key, value: table.decode(value) }));
    const rows = new Map<string, Value>();
    const hidden = new Set(changed);
    for (const { key, value } of stored) if (!hidden.has(key)) rows.set(key, table.decode(value));
    for (const key of hidden) {
      const value = this.get(table, key) as Value | undefined;
      if (value !== undefined) rows.set(key, value);
    }
    return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => ({ key, value }));
  }
}
