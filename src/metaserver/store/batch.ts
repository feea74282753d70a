import type { KvBatch } from '../../kv/kv-engine.js';
import type { KeyRange } from '../keys.js';
import type { RecordWriter } from '../records/record-writer.js';
import type { Table } from './table.js';
import type { Transaction } from './transaction.js';

/** What an operation's stored reply takes, about: the attributes of one to three inodes. */
const REPLY_BYTES = 384;

/**
 * The changes of the operations that become durable together. It is built while the batch before it is being committed; the rows' newest values are in the tables.
 * Who must not answer before it is durable waits here.
 */
export class Batch {
  readonly seq: number;
  /** Somebody waits for it: commit it as soon as the engine is free. */
  hard = false;
  readonly #dirty = new Map<string, Table<never>>();
  readonly #deleteRanges: KeyRange[] = [];
  #bytes = 0;
  readonly #waiters: ((error: Error | undefined) => void)[] = [];

  constructor(seq: number) {
    this.seq = seq;
  }

  get rows(): number {
    return this.#dirty.size;
  }

  /** About the bytes that the engine will be given, its replies included: a row that is changed again counts again. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#dirty.size === 0 && this.#deleteRanges.length === 0;
  }

  /** Takes over what an operation changed: about `bytes`. */
  add(tx: Transaction, bytes: number): void {
    this.#bytes += bytes + REPLY_BYTES;
    for (const [key, { table, value, fresh }] of tx.writes) {
      if (table.apply(key, value as never, this.seq, fresh)) this.#dirty.set(key, table);
      else this.#dirty.delete(key);
    }
    for (const range of tx.deleteRanges) this.#deleteRanges.push(range);
  }

  /** Calls back when the batch is durable (undefined) or has failed. */
  wait(waiter: (error: Error | undefined) => void): void {
    this.#waiters.push(waiter);
  }

  /** The batch as the engine takes it. REQUIRES: no later batch has changed any row yet. */
  seal(writer: RecordWriter): KvBatch {
    const puts: { key: Uint8Array; value: Uint8Array }[] = [];
    const deletes: Uint8Array[] = [];
    for (const [key, table] of this.#dirty) {
      const bytes = Buffer.from(key, 'latin1');
      const value = table.encoded(key, writer);
      if (value === undefined) deletes.push(bytes);
      else puts.push({ key: bytes, value });
    }
    const deleteRanges = this.#deleteRanges.map(({ start, end }) => ({
      start: Buffer.from(start, 'latin1'),
      end: Buffer.from(end, 'latin1'),
    }));
    return { puts, deletes, deleteRanges, guards: [] };
  }

  /** It is durable: its rows leave the overlay, and the waiters go on. */
  publish(): void {
    for (const [key, table] of this.#dirty) table.publish(key, this.seq);
    this.#settle(undefined);
  }

  /** It failed; the tables are cleared by the executor. */
  fail(error: Error): void {
    this.#settle(error);
  }

  #settle(error: Error | undefined): void {
    for (const waiter of this.#waiters) waiter(error);
    this.#waiters.length = 0;
  }
}
