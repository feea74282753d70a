import type { KeyRange } from './keys.js';
import type { OpScope, OpTransaction } from './operations/op-transaction.js';
import type { Table } from './store/table.js';

/** What a slot gives its parts (`sessions/`). */
export interface SlotServices extends OpScope {
  /** Runs `run` in the executor, on behalf of the server; resolves when it is durable. */
  execute<Result>(run: (op: OpTransaction) => Promise<Result>): Promise<Result>;
  /** A change that nobody waits for; its failure leaves things as they were and is logged. */
  inBackground(run: (op: OpTransaction) => Promise<void>): void;
  /** Visits stored rows. REQUIRES: nothing of the range is in the overlay. */
  scan<Value>(table: Table<Value>, range: KeyRange, visit: (key: string, value: Value) => void): Promise<void>;
}
