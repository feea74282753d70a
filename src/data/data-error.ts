import { errorMessage, FsError } from '../common/fs-error.js';

/**
 * What went wrong inside the data path.
 * - `corrupt`: stored bytes do not check: a chunk, or a journal record that should be uploaded.
 * - `missing`: a chunk's object is not in the store.
 * - `cache-miss`: a block-cache file is gone or does not check; the store has the bytes.
 * - `store`: the object store refuses or fails; `retryable` says whether waiting can help.
 * - `worker`: the transfer thread died; the request may be sent again.
 * - `record`: a journal record has a version or a form that this program does not know.
 * - `closed`: the data path is closed.
 */
export type DataErrorCode = 'corrupt' | 'missing' | 'cache-miss' | 'store' | 'worker' | 'record' | 'closed';

/** What a thread sends in place of a {@link DataError}: a structured clone loses the class. */
export interface PlainDataError {
  readonly code: DataErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly noSpace: boolean;
}

export interface DataErrorOptions extends ErrorOptions {
  readonly retryable?: boolean;
  /** The store is full. */
  readonly noSpace?: boolean;
}

/** The error of the data path; {@link fsErrorOf} turns it into the errno that an application sees. */
export class DataError extends Error {
  override readonly name = 'DataError';
  readonly code: DataErrorCode;
  /** True when the same request may pass later without anybody's help. */
  readonly retryable: boolean;
  readonly noSpace: boolean;

  constructor(code: DataErrorCode, message: string, options?: DataErrorOptions) {
    super(message, options);
    this.code = code;
    this.retryable = options?.retryable ?? code === 'worker';
    this.noSpace = options?.noSpace ?? false;
  }

  static fromPlain(plain: PlainDataError): DataError {
    return new DataError(plain.code, plain.message, plain);
  }

  toPlain(): PlainDataError {
    return { code: this.code, message: this.message, retryable: this.retryable, noSpace: this.noSpace };
  }
}

/** True for a {@link DataError}, optionally of one of the given codes. */
export function isDataError(error: unknown, ...codes: readonly DataErrorCode[]): error is DataError {
  return error instanceof DataError && (codes.length === 0 || codes.includes(error.code));
}

/** What an application is told of a failure of the data path or the journal; `doing` says what failed. */
export function fsErrorOf(error: unknown, doing: string): FsError {
  if (error instanceof FsError) return error;
  return new FsError(errnoOf(error), `${doing}: ${errorMessage(error)}`, { cause: error });
}

/** A full store is the one failure that an application can do something about; all others mean that data cannot be read or written. */
function errnoOf(error: unknown): 'ENOSPC' | 'EIO' {
  if (!isDataError(error)) return 'EIO';
  switch (error.code) {
    case 'store':
      return error.noSpace ? 'ENOSPC' : 'EIO';
    case 'corrupt':
    case 'missing':
    case 'cache-miss':
    case 'worker':
    case 'record':
    case 'closed':
      return 'EIO';
  }
}
