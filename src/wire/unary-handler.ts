import type { handleUnaryCall } from '@grpc/grpc-js';
import type { Logger } from '../common/logger.js';
import { grpcStatusOf } from './grpc-error.js';

/** A unary gRPC handler of an async function: what it throws becomes a status, chosen in `grpc-error.ts`. */
export function unaryHandler<Request, Reply>(
  logger: Logger,
  answer: (request: Request) => Promise<Reply>,
): handleUnaryCall<Request, Reply> {
  return (call, callback) => {
    answer(call.request).then(
      (reply) => callback(null, reply),
      (error: unknown) => {
        const status = grpcStatusOf(error);
        logger.debug('a call failed', { method: call.getPath(), details: status.details });
        callback(status);
      },
    );
  };
}
