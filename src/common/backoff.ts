/** Exponential back-off with jitter. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** The wait before retry number `attempt` (0 = the first retry): doubled each time, capped, ± 20 %. */
export function backoffMs(attempt: number, options: BackoffOptions, random: () => number = Math.random): number {
  const full = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempt, 30));
  return full * (0.8 + 0.4 * random());
}
