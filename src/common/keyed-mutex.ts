/**
 * A FIFO mutex per key: protects state of one key across an `await`. Keys cost memory only while held or waited for.
 * Lock order is the callers' to state; a mutex is not re-entrant.
 */
export class KeyedMutex<K> {
  /** INVARIANT: a key is present while its lock is held; its value holds the waiters, oldest first. */
  readonly #waiters = new Map<K, (() => void)[]>();
  #waiting = 0;

  /** How many wait for a key that is locked. */
  get waiting(): number {
    return this.#waiting;
  }

  /** How many keys are locked now. */
  get size(): number {
    return this.#waiters.size;
  }

  /** True when nobody holds the key. */
  isFree(key: K): boolean {
    return !this.#waiters.has(key);
  }

  /** Takes the lock when it is free, at once; else returns undefined. Release it by calling the result, once. */
  tryAcquire(key: K): (() => void) | undefined {
    if (this.#waiters.has(key)) return undefined;
    this.#waiters.set(key, []);
    return this.#releaser(key);
  }

  /** Takes the lock, waiting in turn. */
  async acquire(key: K): Promise<() => void> {
    const queue = this.#waiters.get(key);
    if (queue === undefined) this.#waiters.set(key, []);
    else {
      this.#waiting++;
      await new Promise<void>((resolve) => queue.push(resolve));
    }
    return this.#releaser(key);
  }

  /** Runs `fn` holding the lock. */
  async run<T>(key: K, fn: () => Promise<T>): Promise<T> {
    const release = await this.acquire(key);
    try {
      return await fn();
    } finally {
      release();
    }
  }

  #releaser(key: K): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const next = this.#waiters.get(key)?.shift();
      if (next === undefined) {
        this.#waiters.delete(key);
      } else {
        this.#waiting--;
        next();
      }
    };
  }
}
