/**
 * What went wrong in a journal.
 * - `full`: no room for the record now; it may be appended once others are released.
 * - `too-large`: the record does not fit a segment.
 * - `io`: the disk failed; after a failed sync every append fails, for nothing later can be trusted to be durable.
 * - `corrupt`: stored bytes do not check.
 * - `locked`: another process uses the directory.
 * - `version`: written by a newer version.
 * - `closed`: the journal is closed.
 */
export type JournalErrorCode = 'full' | 'too-large' | 'io' | 'corrupt' | 'locked' | 'version' | 'closed';

/** The error of the journal. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
  readonly code: JournalErrorCode;

  constructor(code: JournalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** True for a {@link JournalError}, optionally of one of the given codes. */
export function isJournalError(error: unknown, ...codes: readonly JournalErrorCode[]): error is JournalError {
  return error instanceof JournalError && (codes.length === 0 || codes.includes(error.code));
}
