/** Why bytes from the kernel are not a request. */
export type DecodeErrorCode = 'truncated' | 'length-mismatch' | 'unterminated-name' | 'unsafe-integer' | 'bad-value';

/** A message of the kernel that does not decode. The session answers it with EIO, logs it, and goes on. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  readonly code: DecodeErrorCode;

  constructor(code: DecodeErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
