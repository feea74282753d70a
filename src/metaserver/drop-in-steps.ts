import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { SessionId } from '../model/ids.js';
import type { OpTransaction } from './operations/op-transaction.js';
import type { SlotServices } from './slot-services.js';

export interface DropDeps {
  readonly slot: Pick<SlotServices, 'execute'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What an ended session has left behind. */
export interface Leavings {
  readonly what: string;
  readonly session: SessionId;
  /** How many there are. */
  readonly count: () => number;
  /** Drops some of them; nothing when there are none. */
  readonly step: (op: OpTransaction) => Promise<void>;
}

const RETRY = { firstMs: 100, maxMs: 10_000 };

/**
 * Drops what an ended session has left, in bounded transactions of the background. One that fails is tried again, at a pace, until it is done or `signal` is aborted: nobody else
 * would drop it before the next start. Never rejects.
 */
export async function dropInSteps(deps: DropDeps, leavings: Leavings, signal: AbortSignal): Promise<void> {
  const { slot, clock, logger } = deps;
  const { what, session, count, step } = leavings;
  for (let failures = 0; !signal.aborted;) {
    try {
      // counted behind a transaction: before it, what is in memory may be about to be made again
      await slot.execute(step);
      if (count() === 0) return;
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      logger.warn(`${what} could not be dropped yet`, { session, error: errorMessage(error) });
      // the loop sees that it was aborted
      await clock.sleep(backoffMs(failures++, RETRY), signal).catch(() => undefined);
    }
  }
}
