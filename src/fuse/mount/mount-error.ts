/** Why a mount or an unmount did not happen. */
export type MountErrorCode =
  | 'not-permitted'
  | 'bad-mountpoint'
  | 'busy'
  | 'bad-option'
  | 'no-fuse'
  | 'helper-failed'
  | 'not-mounted'
  | 'timeout'
  | 'system';

/** A mount or unmount that failed: the reason in one line. */
export class MountError extends Error {
  override readonly name = 'MountError';
  readonly code: MountErrorCode;

  constructor(code: MountErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
