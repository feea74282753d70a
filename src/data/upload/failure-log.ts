import type { Clock } from '../../common/clock.js';
import { errorMessage } from '../../common/fs-error.js';
import type { FailingUploads } from '../data-status.js';
import type { InodeState } from '../inode-state.js';

interface Failure {
  readonly sinceMs: number;
  readonly error: string;
}

/**
 * The inodes whose data could not be uploaded or committed when it was last tried, for the mount's status. An inode is in it from its first failure until all that failed is committed
 * or discarded; so it has at most as many entries as there are dirty inodes.
 */
export class FailureLog {
  readonly #clock: Clock;
  /** The inode that failed last is the last one. */
  readonly #failures = new Map<InodeState, Failure>();

  constructor(deps: { readonly clock: Clock }) {
    this.#clock = deps.clock;
  }

  get size(): number {
    return this.#failures.size;
  }

  failed(state: InodeState, error: unknown): void {
    const sinceMs = this.#failures.get(state)?.sinceMs ?? Number(this.#clock.nowNs() / 1_000_000n);
    this.#failures.delete(state);
    this.#failures.set(state, { sinceMs, error: errorMessage(error) });
  }

  /** Some of the inode's data was committed, or is not wanted any more. */
  settled(state: InodeState): void {
    if (state.commitFailures === 0 && !state.batches.some(({ attempts }) => attempts > 0)) this.#failures.delete(state);
  }

  get summary(): FailingUploads | undefined {
    if (this.#failures.size === 0) return undefined;
    let sinceMs = Infinity;
    let lastError = '';
    for (const failure of this.#failures.values()) {
      sinceMs = Math.min(sinceMs, failure.sinceMs);
      lastError = failure.error;
    }
    return { inodes: this.#failures.size, sinceMs, lastError };
  }
}
