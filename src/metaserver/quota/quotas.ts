import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { NO_INO, ROOT_INO, type Ino } from '../../model/ids.js';
import { isDirectory, NAME_MAX_BYTES } from '../../model/inode.js';
import type { Quota, QuotaLimits } from '../../model/quota.js';
import { RpcError } from '../../wire/rpc-error.js';
import { firstOfKey } from '../keys.js';
import type { OpTransaction } from '../operations/op-transaction.js';
import type { Bucket } from '../records/bucket-record.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { QuotaRecord } from '../records/quota-record.js';
import type { SlotServices } from '../slot-services.js';
import type { FoundRows } from '../store/transaction.js';
import { Relabeler } from './relabeler.js';

/** Buckets of names that one turn of the executor looks through. */
const NAMES_PER_STEP = 512;
const NO_LIMITS = { bytesMax: 0, inodesMax: 0 };

/**
 * The quotas of a filesystem as administrators set them: by the path of a directory. A quota on a directory that holds something, and the end of one, concern every inode below: those are
 * visited in the background, in bounded steps, while the filesystem is used; after a restart the visit starts over.
 */
export class Quotas {
  readonly #slot: SlotServices;
  readonly #logger: Logger;
  /** One visit at a time: what waits is in the rows. */
  #visits: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(deps: { readonly slot: SlotServices; readonly logger: Logger }) {
    this.#slot = deps.slot;
    this.#logger = deps.logger;
  }

  /** At start: goes on with what was not finished. REQUIRES: nothing is in the overlay. */
  async start(): Promise<void> {
    const { tables, keys } = this.#slot;
    await this.#slot.scan(tables.quotas, keys.quotas(), (key, { state }) => {
      if (state === 'counting' || state === 'dissolving') this.#visit(firstOfKey(key) as Ino);
    });
  }

  /** Makes or changes a quota; limits that are not given stay as they are. Answers at once: see {@link Quota.counting}. */
  async set(path: Uint8Array, limits: Partial<QuotaLimits>): Promise<Quota> {
    const { tables, keys } = this.#slot;
    const made = await this.#slot.execute(async (op) => {
      const record = await resolve(op, path);
      const key = keys.quota(record.attr.ino);
      const before = await op.tx.get(tables.quotas, key);
      // what is still charged to one that is gone counts in the new one as well: both are charged to the same around it
      const mayRevive = before?.state === 'gone' && before.outer === record.attr.quota;
      if (before?.state === 'dissolving' || (before?.state === 'gone' && !mayRevive)) {
        throw new RpcError('refused', 'the quota is being deleted: try again later');
      }
      if (before !== undefined && !mayRevive) {
        const changed = { ...before, ...limits };
        op.tx.put(tables.quotas, key, changed);
        return { ino: record.attr.ino, quota: changed };
      }
      const usage = { usedBytes: 0, usedInodes: 0, reservedBytes: 0, outer: record.attr.quota };
      const quota: QuotaRecord = {
        ...NO_LIMITS,
        ...usage,
        ...before,
        ...limits,
        state: record.entries > 0 ? 'counting' : 'active',
      };
      op.tx.put(tables.quotas, key, quota);
      op.putInode({ ...op.changed(record, {}, record.attr.ctime), quotaRoot: true });
      return { ino: record.attr.ino, quota };
    });
    if (made.quota.state === 'counting') this.#visit(made.ino);
    return toQuota(made.ino, path, made.quota);
  }

  /** `not-found` when the directory has none. */
  get(path: Uint8Array): Promise<Quota> {
    return this.#slot.execute(async (op) => {
      const { attr } = await resolve(op, path);
      return toQuota(attr.ino, path, await this.#mustQuota(op, attr.ino));
    });
  }

  async list(): Promise<readonly Quota[]> {
    const { tables, keys } = this.#slot;
    const found: Quota[] = [];
    const range = keys.quotas();
    for (let start: string | undefined = range.start; start !== undefined;) {
      const from: string = start;
      const page: FoundRows<QuotaRecord> = await this.#slot.execute(async (op) =>
        op.tx.range(tables.quotas, { start: from, end: range.end }, 256),
      );
      start = page.next;
      for (const { key, value } of page.rows) {
        if (value.state !== 'active' && value.state !== 'counting') continue;
        const ino = firstOfKey(key) as Ino;
        found.push(toQuota(ino, await pathOf(this.#slot, ino), value));
      }
    }
    return found;
  }

  /** Lifts the limits at once; what was charged to the quota is handed on in the background. */
  async delete(path: Uint8Array): Promise<void> {
    const { tables, keys } = this.#slot;
    const ino = await this.#slot.execute(async (op) => {
      const record = await resolve(op, path);
      const quota = await this.#mustQuota(op, record.attr.ino);
      const dissolving: QuotaRecord = { ...quota, ...NO_LIMITS, state: 'dissolving' };
      op.tx.put(tables.quotas, keys.quota(record.attr.ino), dissolving);
      op.putInode({ ...op.changed(record, {}, record.attr.ctime), quotaRoot: false });
      return record.attr.ino;
    });
    this.#visit(ino);
  }

  /** Resolves when no visit is under way. */
  settled(): Promise<void> {
    return this.#visits;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#visits;
  }

  async #mustQuota(op: OpTransaction, ino: Ino): Promise<QuotaRecord> {
    const quota = await op.tx.get(this.#slot.tables.quotas, this.#slot.keys.quota(ino));
    if (quota === undefined || (quota.state !== 'active' && quota.state !== 'counting')) {
      throw new RpcError('not-found', 'the directory has no quota');
    }
    return quota;
  }

  #visit(ino: Ino): void {
    this.#visits = this.#visits.then(async () => {
      try {
        await new Relabeler(this.#slot, ino, () => this.#closed).run();
      } catch (error) {
        // the row says what is left to do: the next start does it
        if (!this.#closed) this.#logger.warn('a quota is not counted yet', { ino, error: errorMessage(error) });
      }
    });
  }
}

function toQuota(ino: Ino, path: Uint8Array, quota: QuotaRecord): Quota {
  const { bytesMax, inodesMax, usedBytes, usedInodes, state } = quota;
  return { ino, path, bytesMax, inodesMax, usedBytes, usedInodes, counting: state === 'counting' };
}

/** The directory at a path from the root; symbolic links are not followed. */
async function resolve(op: OpTransaction, path: Uint8Array): Promise<InodeRecord> {
  let record = await op.mustInode(ROOT_INO);
  for (const part of Buffer.from(path).toString('latin1').split('/')) {
    if (part === '' || part === '.') continue;
    const name = Buffer.from(part, 'latin1');
    if (part === '..' || name.length > NAME_MAX_BYTES) throw new RpcError('invalid', 'not a path of a directory');
    const entry = isDirectory(record.attr.mode) ? await op.entry(record.attr.ino, name) : undefined;
    if (entry === undefined) throw new RpcError('not-found', `no such directory: ${Buffer.from(path).toString()}`);
    record = await op.mustInode(entry.ino);
  }
  if (!isDirectory(record.attr.mode)) throw new RpcError('invalid', 'quotas are for directories');
  return record;
}

/** Where a directory is now. A name is found by looking through its parent, in bounded steps: what is renamed meanwhile may be shown with parts of both its paths. */
async function pathOf(slot: SlotServices, ino: Ino): Promise<Buffer> {
  const names: Buffer[] = [];
  for (let at = ino; at !== ROOT_INO;) {
    const child = at;
    const parent = await slot.execute(async (op) => (await op.inode(child))?.attr.parent ?? NO_INO);
    if (parent === NO_INO) return Buffer.from('(removed)');
    names.unshift(await nameOf(slot, parent, child));
    at = parent;
  }
  return Buffer.concat(
    names.flatMap((name) => [Buffer.from('/'), name]).concat(names.length === 0 ? [Buffer.from('/')] : []),
  );
}

async function nameOf(slot: SlotServices, parent: Ino, ino: Ino): Promise<Buffer> {
  const { tables, keys } = slot;
  const range = keys.bucketsFrom(parent, 0);
  for (let start: string | undefined = range.start; start !== undefined;) {
    const from: string = start;
    const page: FoundRows<Bucket> = await slot.execute(async (op) =>
      op.tx.range(tables.buckets, { start: from, end: range.end }, NAMES_PER_STEP),
    );
    start = page.next;
    for (const { value } of page.rows) {
      const entry = value.find((candidate) => candidate.ino === ino);
      if (entry !== undefined) return Buffer.from(entry.name);
    }
  }
  return Buffer.from('?');
}
