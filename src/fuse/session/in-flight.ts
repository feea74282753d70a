import type { RequestContext } from './request-context.js';

/** How many interrupts of requests not (yet) known are remembered. */
const EARLY_INTERRUPTS_MAX = 128;

/**
 * The requests whose handler returned a promise that has not settled, by operation id, and the interrupts that came before their request.
 * A request that is answered synchronously never enters.
 */
export class InFlight {
  readonly #requests = new Map<number, RequestContext>();
  /** INVARIANT: at most {@link EARLY_INTERRUPTS_MAX}, oldest first. Ids are never reused, so one that is never claimed does no harm. */
  readonly #early = new Set<number>();
  #idle: (() => void)[] = [];

  get size(): number {
    return this.#requests.size;
  }

  /** True when the request was interrupted before it came. */
  takeEarlyInterrupt(opId: number): boolean {
    return this.#early.size > 0 && this.#early.delete(opId);
  }

  /** Enters a request; false when one with its id is there already (the kernel re-sent it while we still work on it). */
  add(context: RequestContext): boolean {
    if (this.#requests.has(context.opId)) return false;
    this.#requests.set(context.opId, context);
    return true;
  }

  delete(context: RequestContext): void {
    if (this.#requests.get(context.opId) === context) this.#requests.delete(context.opId);
    if (this.#requests.size === 0 && this.#idle.length > 0) {
      const waiters = this.#idle;
      this.#idle = [];
      for (const waiter of waiters) waiter();
    }
  }

  has(context: RequestContext): boolean {
    return this.#requests.get(context.opId) === context;
  }

  /** The request that an interrupt names; one that is not here is either answered already or has yet to come: the interrupt is remembered. */
  interrupted(opId: number): RequestContext | undefined {
    const context = this.#requests.get(opId);
    if (context !== undefined) return context;
    this.#early.add(opId);
    if (this.#early.size > EARLY_INTERRUPTS_MAX) {
      for (const oldest of this.#early) {
        this.#early.delete(oldest);
        break;
      }
    }
    return undefined;
  }

  interruptAll(reason: Error): void {
    for (const context of [...this.#requests.values()]) context.interrupt(reason);
  }

  /** Resolves when no request is in flight; rejects with the signal's reason when it is aborted first. */
  idle(signal?: AbortSignal): Promise<void> {
    if (this.#requests.size === 0) return Promise.resolve();
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.#idle = this.#idle.filter((waiter) => waiter !== done);
        reject(signal?.reason as Error);
      };
      const done = (): void => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      this.#idle.push(done);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }
}
