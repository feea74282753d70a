import PQueue from 'p-queue';
import type { MetricsRegistry } from '../common/metrics.js';
import { ObjectError } from './object-error.js';
import type { ObjectStore } from './object-store.js';
import { StoreDecorator, type StoreCall } from './store-decorator.js';

export interface LimitStoreDeps {
  readonly inner: ObjectStore;
  readonly metrics: MetricsRegistry;
}

export interface LimitStoreOptions {
  /** Requests at once. */
  readonly concurrency: number;
  /** Requests that may wait for their turn; one more fails as 'throttled'. */
  readonly queueMax: number;
}

/** Bounds the requests at once, and those that wait: first come, first served. An abort ends the waiting for a slot at once; a request
 * under way ends as the inner store ends it. */
export class LimitStore extends StoreDecorator {
  readonly #queue: PQueue;
  readonly #opts: LimitStoreOptions;
  #closed = false;

  constructor(deps: LimitStoreDeps, opts: LimitStoreOptions) {
    super(deps.inner);
    this.#opts = opts;
    this.#queue = new PQueue({ concurrency: opts.concurrency });
    deps.metrics.gauge(
      { name: 'object_requests_running', help: 'Object requests under way' },
      () => this.#queue.pending,
    );
    deps.metrics.gauge(
      { name: 'object_requests_queued', help: 'Object requests that wait for a slot' },
      () => this.#queue.size,
    );
  }

  override async close(): Promise<void> {
    this.#closed = true;
    await super.close();
  }

  protected async around<T>(call: StoreCall<T>): Promise<T> {
    if (this.#queue.size >= this.#opts.queueMax) {
      throw new ObjectError(
        'throttled',
        `${call.op} ${call.key}: ${this.#opts.queueMax} object requests are waiting already`,
      );
    }
    const { signal } = call;
    let started = false;
    const done = this.#queue.add(() => {
      started = true;
      // The inner store refuses an aborted signal; this place in the queue is then given up at once.
      if (this.#closed) throw new ObjectError('aborted', `${call.op} ${call.key}: the store was closed`);
      return call.send(signal);
    });
    if (signal === undefined) return done;
    // p-queue's own signal option would abandon a request that runs, while it still reads the caller's buffer.
    let onAbort: () => void = () => undefined;
    const abortedInQueue = new Promise<never>((_resolve, reject) => {
      onAbort = () => {
        if (!started) reject(new ObjectError('aborted', `${call.op} ${call.key}: aborted while queued`));
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([done, abortedInQueue]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}
