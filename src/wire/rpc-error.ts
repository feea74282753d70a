/**
 * Why a unary call failed, in the words of whoever reads the message:
 * `unreachable`/`timeout` = nobody answered (in time); `not-found`, `exists`, `invalid` = the request names something that is not there, is there already, or is malformed;
 * `refused` = the service is able but the state forbids it (live mounts, no metaserver, a failed probe); `unavailable` = the service cannot now, ask again;
 * `too-large`, `cancelled`, `unsupported`, `internal` = what they say.
 */
export type RpcErrorCode =
  | 'unreachable'
  | 'timeout'
  | 'not-found'
  | 'exists'
  | 'invalid'
  | 'refused'
  | 'unavailable'
  | 'too-large'
  | 'cancelled'
  | 'unsupported'
  | 'internal';

/** The error of a unary RPC, on both sides: a service throws it and `grpc-error.ts` makes a status of it; a client gets it back from the status. One line of text. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: RpcErrorCode;

  constructor(code: RpcErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
