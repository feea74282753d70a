import { backoffMs } from '../../common/backoff.js';
import type { Clock } from '../../common/clock.js';
import type { Closable } from '../../common/closable.js';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { isObjectError } from '../../object/object-error.js';
import { chunkKey } from '../../model/chunk-key.js';
import type { ChunkId } from '../../model/ids.js';
import type { ObjectStore } from '../../object/object-store.js';
import { deletionOfKey } from '../keys.js';
import type { Deletion } from '../records/deletion-record.js';
import type { Slot } from '../slot.js';

export interface DeleterDeps {
  readonly slot: Slot;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The filesystem's store; its requests fail while there are no credentials. */
  readonly store: ObjectStore;
}

export interface DeleterOptions {
  readonly intervalMs: number;
}

interface DueDeletion {
  readonly key: string;
  readonly chunkId: ChunkId;
  readonly deletion: Deletion;
}

/** What became of the deletions that were due. */
interface Outcome {
  readonly deleted: DueDeletion[];
  readonly failed: DueDeletion[];
  /** Why the last request that failed did; undefined = none did. */
  error: Error | undefined;
}

const BATCH = 500;
const BACKOFF = { firstMs: 1_000, maxMs: 60_000 };
/** Requests that may fail for one batch, while the objects that they fail for are looked for by halving. */
const FAILURES_MAX = 20;
/** When an object that could not be deleted is due again. */
const DEFER = { firstMs: 60_000, maxMs: 900_000 };
/** Deferred objects whose attempts are remembered; others count as tried once. */
const DEFERRED_MAX = 10_000;
/** The store, not an object, is what fails: there is nothing to look for. */
const STORE_FAILS = ['bad-credentials', 'no-bucket', 'clock-skew', 'throttled', 'aborted'] as const;
/** How long a deleted chunk's row stays, so that a commit that comes very late and names it is refused. */
const ROW_KEPT_MS = 3_600_000;

/**
 * Deletes the objects of dead chunks, from the durable queue and when they are due. What fails is tried again with back-off, for as long as it takes: an object leaves the queue when
 * the store says that it is gone. Chunks are dead for ever, so deleting twice harms nothing. An object that cannot be deleted while others can is due again later, and does not
 * hold up those behind it.
 */
export class Deleter implements Closable {
  readonly #deps: DeleterDeps;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  /** Why the last round failed; undefined = it did not. */
  #problem: string | undefined;
  /** Attempts at objects that could not be deleted while others could, and why the last of them failed. */
  readonly #deferred = new Map<ChunkId, number>();
  #deferredWhy = '';

  constructor(deps: DeleterDeps, opts: DeleterOptions) {
    this.#deps = deps;
    this.#loop = this.#run(opts.intervalMs);
  }

  get problem(): string | undefined {
    const count = this.#deferred.size;
    if (count === 0) return this.#problem;
    const deferred = `${count}${count < DEFERRED_MAX ? '' : ' or more'} could not be deleted and are tried again later: ${this.#deferredWhy}`;
    return this.#problem === undefined ? deferred : `${this.#problem}; ${deferred}`;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(intervalMs: number): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      let wait = intervalMs;
      try {
        await this.round();
        this.#problem = undefined;
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        wait = Math.max(intervalMs, backoffMs(failures++, BACKOFF));
        this.#problem = errorMessage(error);
        this.#deps.logger.warn('objects could not be deleted; they stay queued', { error: this.#problem });
      }
      await this.#deps.clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  /** Deletes all that is due now. Throws when the store fails; objects that cannot be deleted are due later. */
  async round(): Promise<void> {
    for (;;) {
      const due = await this.#due();
      if (due.length === 0) return;
      const outcome: Outcome = {
        deleted: due.filter(({ deletion }) => deletion === 'row'),
        failed: [],
        error: undefined,
      };
      const rows = outcome.deleted.length;
      const objects = due.filter(({ deletion }) => deletion === 'object');
      const failures = { left: FAILURES_MAX };
      if (objects.length > 0) await this.#delete(objects, outcome, failures);
      const deleted = outcome.deleted.length - rows;
      const { error } = outcome;
      // nothing can be deleted now, and that may pass: it is not these objects that are at fault
      const outage = error !== undefined && deleted === 0 && !(isObjectError(error) && !error.retryable);
      if (outage) outcome.failed.length = 0;
      await this.#done(outcome, deleted);
      if (error !== undefined && (outage || (deleted === 0 && failures.left <= 0) || isStoreFailure(error)))
        throw error;
    }
  }

  /** Deletes what can be deleted: halves what fails, down to the objects that it fails for. Those it leaves out are tried in a later round. */
  async #delete(due: readonly DueDeletion[], outcome: Outcome, failures: { left: number }): Promise<void> {
    const { slot, store } = this.#deps;
    try {
      const keys = due.map(({ chunkId }) => chunkKey(slot.info.id, chunkId));
      await store.delete(keys, this.#stop.signal);
      outcome.deleted.push(...due);
      return;
    } catch (error) {
      if (this.#stop.signal.aborted) throw error;
      outcome.error = error instanceof Error ? error : new Error(errorMessage(error));
      this.#problem = errorMessage(error);
      failures.left--;
      if (isStoreFailure(error)) failures.left = 0;
      else if (due.length === 1) outcome.failed.push(due[0]!);
    }
    if (due.length === 1) return;
    const half = due.length >>> 1;
    for (const part of [due.slice(0, half), due.slice(half)]) {
      if (failures.left > 0) await this.#delete(part, outcome, failures);
    }
  }

  async #due(): Promise<DueDeletion[]> {
    const { slot } = this.#deps;
    const nowMs = Number(slot.nowNs() / 1_000_000n);
    return slot.execute(async (op) => {
      const found = await op.tx.range(slot.tables.deletions, slot.keys.deletionsUntil(nowMs), BATCH);
      return found.rows.map(({ key, value }) => ({ key, chunkId: deletionOfKey(key).chunkId, deletion: value }));
    });
  }

  async #done({ deleted, failed, error }: Outcome, objects: number): Promise<void> {
    const { slot } = this.#deps;
    const nowMs = Number(slot.nowNs() / 1_000_000n);
    const forgetMs = nowMs + ROW_KEPT_MS;
    await slot.execute(async (op) => {
      const { deletions, chunks } = slot.tables;
      for (const { key, chunkId, deletion } of deleted) {
        op.tx.delete(deletions, key);
        if (deletion === 'row') op.tx.delete(chunks, slot.keys.chunk(chunkId));
        else op.tx.put(deletions, slot.keys.deletion(forgetMs, chunkId), 'row');
      }
      for (const { key, chunkId } of failed) {
        const dueMs = nowMs + Math.ceil(backoffMs(this.#deferred.get(chunkId) ?? 0, DEFER));
        op.tx.delete(deletions, key);
        op.tx.put(deletions, slot.keys.deletion(dueMs, chunkId), 'object');
      }
      if (objects > 0) await op.addCounters({ deletesQueued: -objects });
    });
    for (const { chunkId } of deleted) this.#deferred.delete(chunkId);
    for (const { chunkId } of failed) {
      const attempts = this.#deferred.get(chunkId) ?? 0;
      if (attempts > 0 || this.#deferred.size < DEFERRED_MAX) this.#deferred.set(chunkId, attempts + 1);
      this.#deferredWhy = errorMessage(error);
    }
    if (failed.length > 0) {
      this.#deps.logger.warn('objects could not be deleted; they are tried again later', {
        count: failed.length,
        error: this.#deferredWhy,
      });
    }
  }
}

function isStoreFailure(error: unknown): boolean {
  return isObjectError(error, ...STORE_FAILS);
}
