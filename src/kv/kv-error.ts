/**
 * What went wrong in an engine.
 * - `guard-failed`: a declared condition did not hold; nothing was changed.
 * - `aborted`: an earlier commit failed before this one was resolved; it may be built again and retried.
 * - `fenced`: another owner took the database over.
 * - `too-large`: a key, value or batch beyond the engine's {@link KvProperties}.
 * - `no-space`: the database is full; nothing was changed.
 * - `busy`: too many commits are waiting.
 * - `io`: the disk failed; the engine takes no commits until it is opened again.
 * - `corrupt`: stored bytes do not check.
 * - `locked`: another process has the database open.
 * - `closed`: the engine is closed.
 */
export type KvErrorCode =
  'guard-failed' | 'aborted' | 'fenced' | 'too-large' | 'no-space' | 'busy' | 'io' | 'corrupt' | 'locked' | 'closed';

/** The error of every engine. */
export class KvError extends Error {
  override readonly name = 'KvError';
  readonly code: KvErrorCode;

  constructor(code: KvErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** True for a {@link KvError}, optionally of one of the given codes. */
export function isKvError(error: unknown, ...codes: readonly KvErrorCode[]): error is KvError {
  return error instanceof KvError && (codes.length === 0 || codes.includes(error.code));
}
