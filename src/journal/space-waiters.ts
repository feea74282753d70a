interface SpaceWaiter {
  readonly need: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Those who wait for room in a journal, first come first served. Their number is bounded by the requests that their callers admit. */
export class SpaceWaiters {
  readonly #hasRoom: (bytes: number) => boolean;
  #waiters: SpaceWaiter[] = [];

  constructor(hasRoom: (bytes: number) => boolean) {
    this.#hasRoom = hasRoom;
  }

  /** Resolves when there is room for `need` bytes beside what those before were let go for. */
  wait(need: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#waiters.length === 0 && this.#hasRoom(need)) {
        resolve();
        return;
      }
      const aborted = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason as Error);
        this.wake();
      };
      const settle = (): void => signal?.removeEventListener('abort', aborted);
      const waiter: SpaceWaiter = {
        need,
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener('abort', aborted, { once: true });
      this.#waiters.push(waiter);
    });
  }

  /** Lets go, in turn, all for whom there is room together. */
  wake(): void {
    let granted = 0;
    for (;;) {
      const waiter = this.#waiters[0];
      if (waiter === undefined || !this.#hasRoom(granted + waiter.need)) return;
      granted += waiter.need;
      this.#waiters.shift();
      waiter.resolve();
    }
  }

  rejectAll(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}
