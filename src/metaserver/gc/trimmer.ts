import type { Clock } from '../../common/clock.js';
import type { Closable } from '../../common/closable.js';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { Ino } from '../../model/ids.js';
import { firstOfKey } from '../keys.js';
import { cutRows, freeRows } from '../operations/content.js';
import type { OpTransaction } from '../operations/op-transaction.js';
import type { BlockRecord } from '../records/block-record.js';
import type { FoundRows } from '../store/transaction.js';
import type { Slot } from '../slot.js';

export interface TrimmerDeps {
  readonly slot: Slot;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface TrimmerOptions {
  readonly intervalMs: number;
}

/** Rows that one step cuts: a few milliseconds of the executor. */
const STEP_ROWS = 128;
const FILES_PER_ROUND = 64;

/**
 * Cuts and frees block rows of large files in bounded steps, in the background: a truncation or the removal of a file with many blocks only notes what is to be done (a trim row).
 * Restart-safe: a step is one transaction, and the note goes with the last one.
 */
export class Trimmer implements Closable {
  readonly #deps: TrimmerDeps;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  constructor(deps: TrimmerDeps, opts: TrimmerOptions) {
    this.#deps = deps;
    this.#loop = this.#run(opts.intervalMs);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(intervalMs: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.round();
      } catch (error) {
        if (!signal.aborted) this.#deps.logger.warn('trimming failed', { error: errorMessage(error) });
      }
      await this.#deps.clock.sleep(intervalMs, signal).catch(() => undefined);
    }
  }

  /** Does all that is noted now. */
  async round(): Promise<void> {
    const { slot } = this.#deps;
    for (;;) {
      const inos = await slot.execute(async (op) => {
        const found = await op.tx.range(slot.tables.trims, slot.keys.trims(), FILES_PER_ROUND);
        return found.rows.map(({ key }) => firstOfKey(key) as Ino);
      });
      if (inos.length === 0) return;
      for (const ino of inos) await this.#trim(ino);
    }
  }

  async #trim(ino: Ino): Promise<void> {
    const { slot } = this.#deps;
    const range = slot.keys.blocksFrom(ino, 0);
    let start: string | undefined = range.start;
    let epoch: number | undefined;
    while (!this.#stop.signal.aborted) {
      const from: string = start;
      const step = await slot.execute(async (op) => {
        const epochNow = (await op.inode(ino))?.trims.at(-1)?.epoch;
        // truncated again meanwhile: what was passed has to be looked at again
        const at: string = epochNow === (epoch ?? epochNow) ? from : range.start;
        const found: FoundRows<BlockRecord> = await op.tx.range(
          slot.tables.blocks,
          { start: at, end: range.end },
          STEP_ROWS,
        );
        return { next: await trimStep(op, ino, found), epoch: epochNow };
      });
      if (step.next === undefined) return;
      start = step.next;
      epoch = step.epoch;
    }
  }
}

/** Returns where to go on; undefined = it is done. */
async function trimStep(op: OpTransaction, ino: Ino, found: FoundRows<BlockRecord>): Promise<string | undefined> {
  const { tables, keys } = op.scope;
  const record = await op.inode(ino);
  let { next } = found;
  if (record === undefined) {
    next = (await freeRows(op, found.rows)) ?? next;
    if (next === undefined) await dropXattrs(op, ino);
  } else if (record.trims.length > 0) {
    const { record: cut, stoppedAt } = await cutRows(op, record, found.rows, Infinity);
    next = stoppedAt ?? next;
    const stored = next === undefined ? { ...cut, trims: [] } : cut;
    if (stored !== record) op.putInode(stored);
  }
  if (next === undefined) op.tx.delete(tables.trims, keys.trim(ino));
  return next;
}

/** At most some thousands: their size on one inode is limited. */
async function dropXattrs(op: OpTransaction, ino: Ino): Promise<void> {
  const { tables, keys } = op.scope;
  const range = keys.xattrs(ino);
  let start: string | undefined = range.start;
  while (start !== undefined) {
    const found: FoundRows<Uint8Array> = await op.tx.range(tables.xattrs, { start, end: range.end }, 1024);
    for (const { key } of found.rows) op.tx.delete(tables.xattrs, key);
    start = found.next;
  }
}
