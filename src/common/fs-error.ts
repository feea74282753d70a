import { ERRNO, type ErrnoCode } from './errno.js';

/**
 * The error of a file system operation: what an application will see in `errno`, and why.
 * Foreign errors (gRPC status, S3 code, Node code) are converted to it at the boundary where they enter.
 */
export class FsError extends Error {
  override readonly name = 'FsError';
  readonly code: ErrnoCode;

  constructor(code: ErrnoCode, message?: string, options?: ErrorOptions) {
    super(message === undefined ? code : `${code}: ${message}`, options);
    this.code = code;
  }

  /** The positive errno number. */
  get errno(): number {
    return ERRNO[this.code];
  }
}

/** True for an {@link FsError}, optionally of one of the given codes. */
export function isFsError(error: unknown, ...codes: readonly ErrnoCode[]): error is FsError {
  return error instanceof FsError && (codes.length === 0 || codes.includes(error.code));
}

/** The errno number that an application sees for any thrown value; what is not an {@link FsError} is `EIO`. */
export function errnoOf(error: unknown): number {
  return error instanceof FsError ? error.errno : ERRNO.EIO;
}

/** The `code` of a Node system error (`'ENOENT'` …), or undefined. Inside jest Node's errors are not `instanceof Error`. */
export function nodeErrorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Converts an error of Node's `fs` module to an {@link FsError} of the same errno (else `EIO`), naming the situation. */
export function fromNodeError(error: unknown, situation: string): FsError {
  const code = nodeErrorCode(error);
  const known = code !== undefined && code in ERRNO ? (code as ErrnoCode) : 'EIO';
  return new FsError(known, `${situation}: ${errorMessage(error)}`, { cause: error });
}

/** A one-line text of any thrown value. */
export function errorMessage(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return String(error);
}
