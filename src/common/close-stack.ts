import type { Clock } from './clock.js';
import type { Closable } from './closable.js';
import type { Logger } from './logger.js';

/** Bounds the closing of everything: what is late is left behind, and named in the log. */
export interface CloseLimit {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly totalMs: number;
}

/** Even when the time is over a part gets this long to let go of what it can. */
const PART_MIN_MS = 200;
/** A part that takes longer than this to close is worth a line in the log. */
const SLOW_MS = 1000;

/**
 * What a composition root has opened, in order: `close` closes it in reverse, all of it, and then throws the first error. Idempotent. With a limit no part is waited for
 * beyond it: for processes that end afterwards.
 */
export class CloseStack implements Closable {
  readonly #limit: CloseLimit | undefined;
  /** INVARIANT: what is open, oldest first. */
  readonly #open: { readonly part: Closable; readonly name: string }[] = [];
  #closed: Promise<void> | undefined;

  constructor(limit?: CloseLimit) {
    this.#limit = limit;
  }

  /** Adds something that is open; returns it. */
  use<T extends Closable>(part: T, name: string = part.constructor.name): T {
    this.#open.push({ part, name });
    return part;
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll();
    return this.#closed;
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = [];
    const begunMs = this.#limit?.clock.monotonicMs() ?? 0;
    for (let next = this.#open.pop(); next !== undefined; next = this.#open.pop()) {
      try {
        await this.#closePart(next.part, next.name, begunMs);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  async #closePart(part: Closable, name: string, begunMs: number): Promise<void> {
    if (this.#limit === undefined) return part.close();
    const { clock, logger, totalMs } = this.#limit;
    const partMs = clock.monotonicMs();
    const timer = new AbortController();
    const late = clock.sleep(Math.max(PART_MIN_MS, begunMs + totalMs - partMs), timer.signal).then(
      () => true,
      () => false,
    );
    try {
      const isLate = await Promise.race([part.close().then(() => false), late]);
      const tookMs = Math.round(clock.monotonicMs() - partMs);
      if (isLate) logger.warn('closing takes too long, it is left behind', { part: name, tookMs });
      else if (tookMs >= SLOW_MS) logger.info('closing was slow', { part: name, tookMs });
    } finally {
      timer.abort();
    }
  }
}
