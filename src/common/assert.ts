/** An invariant of ours that does not hold: a bug, never bad input. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws when an invariant does not hold. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The value, which must not be undefined. */
export function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new AssertionError(`${what} is undefined`);
  return value;
}

/** True when the (slow) invariant checks are on: `CURVEFS_VERIFY=1`, as the tests set it. */
export const VERIFY = process.env['CURVEFS_VERIFY'] === '1';
