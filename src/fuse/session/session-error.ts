/** Why a session could not go on. */
export type FuseSessionErrorCode = 'unsupported-kernel' | 'device-failed' | 'init-failed';

/** The session ended otherwise than by an unmount or an abort of the connection. */
export class FuseSessionError extends Error {
  override readonly name = 'FuseSessionError';
  readonly code: FuseSessionErrorCode;

  constructor(code: FuseSessionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
