import { backoffMs } from '../../common/backoff.js';
import type { Clock } from '../../common/clock.js';
import type { Closable } from '../../common/closable.js';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
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

const BATCH = 500;
const BACKOFF = { firstMs: 1_000, maxMs: 60_000 };
/** How long a deleted chunk's row stays, so that a commit that comes very late and names it is refused. */
const ROW_KEPT_MS = 3_600_000;

/**
 * Deletes the objects of dead chunks, from the durable queue and when they are due. What fails is tried again with back-off, for as long as it takes: an object leaves the queue when
 * the store says that it is gone. Chunks are dead for ever, so deleting twice harms nothing.
 */
export class Deleter implements Closable {
  readonly #deps: DeleterDeps;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  /** Why the last attempt failed; undefined = it did not. */
  #problem: string | undefined;

  constructor(deps: DeleterDeps, opts: DeleterOptions) {
    this.#deps = deps;
    this.#loop = this.#run(opts.intervalMs);
  }

  get problem(): string | undefined {
    return this.#problem;
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

  /** Deletes all that is due now. */
  async round(): Promise<void> {
    for (;;) {
      const due = await this.#due();
      if (due.length === 0) return;
      const objects = due.filter(({ deletion }) => deletion === 'object').map(({ chunkId }) => chunkId);
      if (objects.length > 0) {
        const { slot, store } = this.#deps;
        const fsId = slot.info.id;
        await store.delete(
          objects.map((chunkId) => chunkKey(fsId, chunkId)),
          this.#stop.signal,
        );
      }
      await this.#done(due, objects.length);
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

  async #done(due: readonly DueDeletion[], objects: number): Promise<void> {
    const { slot } = this.#deps;
    const forgetMs = Number(slot.nowNs() / 1_000_000n) + ROW_KEPT_MS;
    await slot.execute(async (op) => {
      for (const { key, chunkId, deletion } of due) {
        op.tx.delete(slot.tables.deletions, key);
        if (deletion === 'row') op.tx.delete(slot.tables.chunks, slot.keys.chunk(chunkId));
        else op.tx.put(slot.tables.deletions, slot.keys.deletion(forgetMs, chunkId), 'row');
      }
      if (objects > 0) await op.addCounters({ deletesQueued: -objects });
    });
  }
}
