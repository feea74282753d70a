import { FsError } from '../common/fs-error.js';

/** Lets many wait for "something changed": each looks at the state again and, if need be, waits again. A wait ends with EINTR when its signal is aborted. */
export class Notifier {
  #waiters = new Set<() => void>();

  /** How many wait. */
  get size(): number {
    return this.#waiters.size;
  }

  /** Resolves at the next {@link notify}. */
  wait(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(new FsError('EINTR'));
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiters.delete(wake);
        reject(new FsError('EINTR'));
      };
      this.#waiters.add(wake);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  notify(): void {
    if (this.#waiters.size === 0) return;
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }
}
