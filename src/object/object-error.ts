import { errorMessage } from '../common/fs-error.js';

/** Why an object request failed; whether a retry can help is a property of the code ({@link RETRYABLE}). */
export type ObjectErrorCode =
  /** The object does not exist. */
  | 'not-found'
  /** The bucket (or the root directory) does not exist. */
  | 'no-bucket'
  /** The credentials are valid and do not permit it. */
  | 'access-denied'
  /** No credentials were found, or the server does not accept them. */
  | 'bad-credentials'
  /** This machine's clock is too far from the server's; the SDK corrects itself by the answer, so a retry may pass. */
  | 'clock-skew'
  /** The server, or our own queue, asks for fewer requests. */
  | 'throttled'
  /** The server cannot be reached, or failed. */
  | 'unavailable'
  /** No complete answer in time. */
  | 'timeout'
  /** Bytes changed or went missing on the way: a checksum or a length is wrong. */
  | 'corrupt'
  | 'no-space'
  /** What should be put only where nothing is. */
  | 'exists'
  /** The request or the configuration is wrong; it will fail again. */
  | 'invalid'
  /** The caller's signal was aborted, or the store was closed. */
  | 'aborted';

const RETRYABLE: Readonly<Record<ObjectErrorCode, boolean>> = {
  'not-found': false,
  'no-bucket': false,
  'access-denied': false,
  'bad-credentials': false,
  'clock-skew': true,
  throttled: true,
  unavailable: true,
  timeout: true,
  corrupt: true,
  'no-space': false,
  exists: false,
  invalid: false,
  aborted: false,
};

/** All codes, for metrics and for tests of tables. */
export const OBJECT_ERROR_CODES = Object.keys(RETRYABLE) as readonly ObjectErrorCode[];

/** What a thread sends to another in place of an {@link ObjectError}: a structured clone loses its class. */
export interface PlainObjectError {
  readonly code: ObjectErrorCode;
  readonly message: string;
}

/** The error of an object store: the message names the object, the place, the reason, and what to do where that is known. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError';
  readonly code: ObjectErrorCode;

  constructor(code: ObjectErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  static fromPlain(plain: PlainObjectError): ObjectError {
    return new ObjectError(plain.code, plain.message);
  }

  /** The error itself, or 'unavailable' around what is no ObjectError: a decorator's guard against a foreign error. */
  static from(error: unknown, situation: string): ObjectError {
    if (error instanceof ObjectError) return error;
    return new ObjectError('unavailable', `${situation}: ${errorMessage(error)}`, { cause: error });
  }

  /** True when the same request may pass later without anybody's help. */
  get retryable(): boolean {
    return RETRYABLE[this.code];
  }

  toPlain(): PlainObjectError {
    return { code: this.code, message: this.message };
  }
}

/** True for an {@link ObjectError}, optionally of one of the given codes. */
export function isObjectError(error: unknown, ...codes: readonly ObjectErrorCode[]): error is ObjectError {
  return error instanceof ObjectError && (codes.length === 0 || codes.includes(error.code));
}
