/** `corrupt`: a stored row does not decode. What callers of the MDS see are `RpcError`s. */
export type MdsErrorCode = 'corrupt';

/** The error of this module. */
export class MdsError extends Error {
  override readonly name = 'MdsError';
  readonly code: MdsErrorCode;

  constructor(code: MdsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
