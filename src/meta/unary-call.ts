import { Metadata, type CallOptions, type ClientUnaryCall, type ServiceError } from '@grpc/grpc-js';
import { RpcError } from '../wire/rpc-error.js';
import { rpcErrorOf } from '../wire/grpc-error.js';

/** A generated method of a gRPC client, bound to it. */
export type UnaryMethod<Request, Reply> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, reply: Reply) => void,
) => ClientUnaryCall;

export interface UnaryCallOptions {
  readonly deadlineMs: number;
  /** Who is called, for messages: "the MDS at HOST:PORT". */
  readonly peer: string;
  readonly signal?: AbortSignal | undefined;
}

/** One unary RPC with a deadline; rejects with an {@link RpcError}. */
export function unaryCall<Request, Reply>(
  method: UnaryMethod<Request, Reply>,
  request: Request,
  options: UnaryCallOptions,
): Promise<Reply> {
  const { deadlineMs, peer, signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new RpcError('cancelled', 'cancelled'));
      return;
    }
    const call = method(request, new Metadata(), { deadline: Date.now() + deadlineMs }, (error, reply) => {
      signal?.removeEventListener('abort', abort);
      if (error === null) resolve(reply);
      else reject(rpcErrorOf(error, peer));
    });
    const abort = (): void => call.cancel();
    signal?.addEventListener('abort', abort, { once: true });
  });
}
