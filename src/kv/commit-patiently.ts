import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import type { KvBatch, KvCommitOptions, KvEngine } from './kv-engine.js';
import { isKvError } from './kv-error.js';

/** About half a minute in all: longer than a tree behind the log needs to catch up. */
const ATTEMPTS_MAX = 128;
const BACKOFF = { firstMs: 2, maxMs: 250 };

/**
 * Commits a batch, waiting while the engine is `busy`, and again when the failure of somebody else's commit took it down (`aborted`): in both cases nothing of it took place.
 * When `signal` is aborted the batch gets one more attempt. REQUIRES: the batch is built on nothing that is not committed.
 */
export async function commitPatiently(
  deps: { readonly engine: KvEngine; readonly clock: Clock },
  batch: KvBatch,
  options: KvCommitOptions,
  signal?: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const last = attempt + 1 >= ATTEMPTS_MAX || signal?.aborted === true;
    try {
      await deps.engine.commit(batch, options);
      return;
    } catch (error) {
      if (last || !isKvError(error, 'busy', 'aborted')) throw error;
    }
    await deps.clock.sleep(backoffMs(attempt, BACKOFF), signal).catch((error: unknown) => {
      if (signal?.aborted !== true) throw error;
    });
  }
}
