import type { Clock } from '../common/clock.js';

/** A sample counts for one to two windows: long enough for an undelayed one to be among them, short enough to follow a step of the server's clock. */
const WINDOW_MS = 30_000;
/** A step back of the server's clock that is smaller is waited out, so that time does not run backwards. */
const HOLD_NS = 1_000_000_000n;

/**
 * The metaserver's clock as this process knows it: the offset to our monotonic clock, from the time that every server frame carries.
 * A frame's delay makes a sample too small, never too large: the largest of the recent ones is the best. Before the first sample: our own wall clock.
 */
export class ServerClock {
  readonly #clock: Clock;
  /** Largest offsets (ns) of the window before and of this one. */
  #previous: bigint | undefined;
  #current: bigint | undefined;
  #windowStartMs = 0;
  #lastNs = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A frame that was made at `serverNs` has arrived now. */
  sample(serverNs: bigint): void {
    const nowMs = this.#clock.monotonicMs();
    const offset = serverNs - monotonicNs(nowMs);
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#previous = this.#current;
      this.#current = undefined;
      this.#windowStartMs = nowMs;
    }
    if (this.#current === undefined || offset > this.#current) this.#current = offset;
  }

  nowNs(): bigint {
    const { offset } = this;
    const now = offset === undefined ? this.#clock.nowNs() : offset + monotonicNs(this.#clock.monotonicMs());
    if (now < this.#lastNs && this.#lastNs - now < HOLD_NS) return this.#lastNs;
    this.#lastNs = now;
    return now;
  }

  /** Nanoseconds to add to the monotonic clock; undefined before the first sample. */
  get offset(): bigint | undefined {
    if (this.#previous === undefined || this.#current === undefined) return this.#current ?? this.#previous;
    return this.#current > this.#previous ? this.#current : this.#previous;
  }
}

function monotonicNs(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}
