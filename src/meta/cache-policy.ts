import type { Clock } from '../common/clock.js';

export type CachedKind = 'attr' | 'entry';

/** The one place that decides whether what a cache holds may be served, and until when. Today a time-out; a lease later. */
export interface CachePolicy {
  /** Now, in the unit of {@link confirmedUntil}. */
  now(): number;
  /** Until when something may be served that a reply has confirmed just now. */
  confirmedUntil(kind: CachedKind): number;
}

/** Serves for a fixed time after the reply that confirmed it. */
export class TimeoutPolicy implements CachePolicy {
  readonly #clock: Clock;
  readonly #attrMs: number;
  readonly #entryMs: number;

  constructor(
    deps: { readonly clock: Clock },
    options: { readonly attrTimeoutSec: number; readonly entryTimeoutSec: number },
  ) {
    this.#clock = deps.clock;
    this.#attrMs = options.attrTimeoutSec * 1000;
    this.#entryMs = options.entryTimeoutSec * 1000;
  }

  now(): number {
    return this.#clock.monotonicMs();
  }

  confirmedUntil(kind: CachedKind): number {
    return this.#clock.monotonicMs() + (kind === 'attr' ? this.#attrMs : this.#entryMs);
  }
}
