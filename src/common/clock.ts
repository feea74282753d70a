/** Time and timers, injected so that tests decide what time it is. */
export interface Clock {
  /** Wall clock, nanoseconds since the epoch. */
  nowNs(): bigint;
  /** Monotonic clock, milliseconds from an arbitrary origin. */
  monotonicMs(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** How far the wall clock may leave the monotonic one before it is followed: a step of the wall clock, not its jitter. */
const STEP_MS = 2;
let wallOffsetMs = performance.timeOrigin;

/** The machine's clocks. The wall clock has the monotonic clock's resolution and follows steps of more than 2 ms. */
export const systemClock: Clock = {
  nowNs: () => {
    const monotonicMs = performance.now();
    const offsetMs = Date.now() - monotonicMs;
    if (Math.abs(offsetMs - wallOffsetMs) > STEP_MS) wallOffsetMs = offsetMs;
    return BigInt(Math.round((wallOffsetMs + monotonicMs) * 1000)) * 1000n;
  },
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', aborted, { once: true });
      function done(): void {
        signal?.removeEventListener('abort', aborted);
        resolve();
      }
      function aborted(): void {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      }
    }),
};
