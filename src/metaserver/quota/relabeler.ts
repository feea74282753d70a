import type { Ino } from '../../model/ids.js';
import { isDirectory } from '../../model/inode.js';
import type { OpTransaction } from '../operations/op-transaction.js';
import { childQuota, moveCharge, readEntries } from '../operations/quotas.js';
import type { QuotaRecord } from '../records/quota-record.js';
import type { SlotServices } from '../slot-services.js';

/** Buckets of names that one step visits: a few milliseconds of the executor. */
const STEP_ROWS = 64;

/**
 * Charges everything below a directory to the quota that it is in now: its own when it has one, else the one around it. Each step is one transaction. What is made meanwhile is charged
 * rightly from the start, as its directory is: a directory is charged before its entries are looked at; what is renamed is charged to where it goes (`moveIntoQuota`).
 */
export class Relabeler {
  readonly #slot: SlotServices;
  readonly #root: Ino;
  readonly #stopped: () => boolean;

  constructor(slot: SlotServices, root: Ino, stopped: () => boolean) {
    this.#slot = slot;
    this.#root = root;
    this.#stopped = stopped;
  }

  async run(): Promise<void> {
    for (;;) {
      const state = await this.#slot.execute(async (op) => (await this.#quota(op))?.state);
      if (state !== 'counting' && state !== 'dissolving') return;
      await this.#walk();
      if (this.#stopped() || (await this.#slot.execute((op) => this.#finish(op, state)))) return;
    }
  }

  async #walk(): Promise<void> {
    const directories: Ino[] = [this.#root];
    for (let dir = directories.pop(); dir !== undefined; dir = directories.pop()) {
      for (let start: string | undefined = ''; start !== undefined && !this.#stopped();) {
        const at: Ino = dir;
        const from: string = start;
        const step: { next: string | undefined; found: readonly Ino[] } = await this.#slot.execute((op) =>
          this.#step(op, at, from),
        );
        directories.push(...step.found);
        start = step.next;
      }
    }
  }

  async #step(op: OpTransaction, dir: Ino, from: string): Promise<{ next: string | undefined; found: Ino[] }> {
    const nothing = { next: undefined, found: [] };
    const root = await op.inode(this.#root);
    const directory = await op.inode(dir);
    if (root === undefined || directory === undefined) return nothing;
    const to = childQuota(root);
    // it was moved away, or is another quota's: not ours any more
    if (dir !== this.#root && (directory.attr.quota !== to || directory.quotaRoot)) return nothing;
    const range = op.scope.keys.bucketsFrom(dir, 0);
    const { records, next } = await readEntries(op, { ...range, start: from === '' ? range.start : from }, STEP_ROWS);
    const found: Ino[] = [];
    for (const record of records) {
      await moveCharge(op, record, to);
      if (isDirectory(record.attr.mode) && !record.quotaRoot && record.entries > 0) found.push(record.attr.ino);
    }
    return { next, found };
  }

  /** False when the quota has got another state meanwhile, so that everything has to be visited once more. */
  async #finish(op: OpTransaction, visitedAs: QuotaRecord['state']): Promise<boolean> {
    const { tables, keys } = this.#slot;
    const key = keys.quota(this.#root);
    const quota = await this.#quota(op);
    if (quota === undefined || quota.state === 'gone') return true;
    if (quota.state !== visitedAs) return false;
    const settled: QuotaRecord = { ...quota, state: visitedAs === 'counting' ? 'active' : 'gone' };
    if (settled.state === 'gone' && quota.usedInodes === 0 && quota.reservedBytes === 0)
      op.tx.delete(tables.quotas, key);
    else op.tx.put(tables.quotas, key, settled);
    return true;
  }

  #quota(op: OpTransaction): Promise<QuotaRecord | undefined> {
    return Promise.resolve(op.tx.get(this.#slot.tables.quotas, this.#slot.keys.quota(this.#root)));
  }
}
