import { setMaxListeners } from 'node:events';
import { backoffMs, type BackoffOptions } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import type { Logger } from '../common/logger.js';
import type { Counter, MetricsRegistry } from '../common/metrics.js';
import { ObjectError } from './object-error.js';
import type { ObjectStore } from './object-store.js';
import { STORE_OPERATIONS, StoreDecorator, type StoreCall, type StoreOperation } from './store-decorator.js';

export interface RetryStoreDeps {
  readonly inner: ObjectStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly random?: () => number;
}

export interface RetryStoreOptions {
  /** Attempts in all, the first included. */
  readonly attemptsMax: number;
  /** No attempt begins later than this after the call. */
  readonly deadlineMs: number;
  readonly backoff: BackoffOptions;
}

/** A server that asks for fewer requests gets that much longer waits. */
const THROTTLED_FACTOR = 4;

/**
 * Repeats requests that failed with a retryable code, with back-off, until the attempts or the time are used up; the last
 * error is thrown then. Stands outside the concurrency limit, so that nobody sleeps on a slot. An abort ends a wait at once.
 */
export class RetryStore extends StoreDecorator {
  readonly #deps: RetryStoreDeps;
  readonly #opts: RetryStoreOptions;
  readonly #retries: ReadonlyMap<StoreOperation, Counter>;
  /** Ends the waits when the store is closed. */
  readonly #closing = new AbortController();

  constructor(deps: RetryStoreDeps, opts: RetryStoreOptions) {
    super(deps.inner);
    // As many as requests wait at once.
    setMaxListeners(0, this.#closing.signal);
    this.#deps = deps;
    this.#opts = opts;
    const spec = { name: 'object_retries_total', help: 'Object requests sent again after a failure', labels: ['op'] };
    this.#retries = new Map(STORE_OPERATIONS.map((op) => [op, deps.metrics.counter(spec, { op })]));
  }

  override async close(): Promise<void> {
    this.#closing.abort();
    await super.close();
  }

  protected async around<T>(call: StoreCall<T>): Promise<T> {
    const { clock } = this.#deps;
    const startMs = clock.monotonicMs();
    for (let attempt = 0; ; attempt++) {
      try {
        return await call.send(call.signal);
      } catch (thrown) {
        const error = ObjectError.from(thrown, `${call.op} ${call.key}`);
        const waitMs = this.#waitMs(error, attempt);
        const lateMs = clock.monotonicMs() + waitMs - startMs - this.#opts.deadlineMs;
        if (!error.retryable || attempt + 1 >= this.#opts.attemptsMax || lateMs > 0) throw error;
        this.#deps.logger.debug('object request failed, trying again', {
          op: call.op,
          key: call.key,
          code: error.code,
          attempt: attempt + 1,
          waitMs: Math.round(waitMs),
          error: error.message,
        });
        await this.#sleep(waitMs, call, error);
        this.#retries.get(call.op)?.inc();
      }
    }
  }

  #waitMs(error: ObjectError, attempt: number): number {
    const { backoff } = this.#opts;
    const factor = error.code === 'throttled' ? THROTTLED_FACTOR : 1;
    return Math.min(backoff.maxMs, factor * backoffMs(attempt, backoff, this.#deps.random));
  }

  async #sleep(ms: number, call: StoreCall<unknown>, cause: ObjectError): Promise<void> {
    const closing = this.#closing.signal;
    const signal = call.signal === undefined ? closing : AbortSignal.any([call.signal, closing]);
    try {
      await this.#deps.clock.sleep(ms, signal);
    } catch {
      throw new ObjectError(
        'aborted',
        `${call.op} ${call.key}: aborted while waiting to try again after: ${cause.message}`,
        {
          cause,
        },
      );
    }
  }
}
