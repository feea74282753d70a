/**
 * What went wrong inside a metaserver.
 * - `corrupt`: a stored record does not decode, or two records contradict each other.
 * - `stale`: the batch that an operation was built on failed.
 * - `closed`: the slot is closed or being deleted.
 */
export type MetaserverErrorCode = 'corrupt' | 'stale' | 'closed';

/** The error of this module; what a client sees is decided in `operations/reply.ts` and by `wire/grpc-error.ts`. */
export class MetaserverError extends Error {
  override readonly name = 'MetaserverError';
  readonly code: MetaserverErrorCode;

  constructor(code: MetaserverErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
