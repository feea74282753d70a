import { status, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { errorMessage, FsError, isFsError } from '../common/fs-error.js';
import type { ErrnoCode } from '../common/errno.js';
import { RpcError, type RpcErrorCode } from './rpc-error.js';
import { WireError } from './wire-error.js';

const STATUS_BY_CODE: Readonly<Record<RpcErrorCode, status>> = {
  unreachable: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  'not-found': status.NOT_FOUND,
  exists: status.ALREADY_EXISTS,
  invalid: status.INVALID_ARGUMENT,
  refused: status.FAILED_PRECONDITION,
  unavailable: status.UNAVAILABLE,
  'too-large': status.RESOURCE_EXHAUSTED,
  cancelled: status.CANCELLED,
  unsupported: status.UNIMPLEMENTED,
  internal: status.INTERNAL,
};

const CODE_BY_STATUS = new Map<number, RpcErrorCode>([
  [status.CANCELLED, 'cancelled'],
  [status.INVALID_ARGUMENT, 'invalid'],
  [status.OUT_OF_RANGE, 'invalid'],
  [status.DEADLINE_EXCEEDED, 'timeout'],
  [status.NOT_FOUND, 'not-found'],
  [status.ALREADY_EXISTS, 'exists'],
  [status.FAILED_PRECONDITION, 'refused'],
  [status.ABORTED, 'unavailable'],
  [status.RESOURCE_EXHAUSTED, 'too-large'],
  [status.UNIMPLEMENTED, 'unsupported'],
  [status.UNAVAILABLE, 'unavailable'],
]);

/** What a mount sees when a unary call fails: only what the file system's words can say; anything else is an I/O error. */
const ERRNO_BY_CODE: Readonly<Record<RpcErrorCode, ErrnoCode>> = {
  unreachable: 'ETIMEDOUT',
  timeout: 'ETIMEDOUT',
  unavailable: 'ETIMEDOUT',
  'not-found': 'ENOENT',
  exists: 'EEXIST',
  invalid: 'EINVAL',
  refused: 'EBUSY',
  'too-large': 'EIO',
  cancelled: 'EINTR',
  unsupported: 'EOPNOTSUPP',
  internal: 'EIO',
};

const CODE_BY_ERRNO: Partial<Record<ErrnoCode, RpcErrorCode>> = {
  ENOENT: 'not-found',
  EEXIST: 'exists',
  EINVAL: 'invalid',
  EBUSY: 'refused',
  EROFS: 'refused',
  ENOSPC: 'refused',
  ESHUTDOWN: 'unavailable',
  ETIMEDOUT: 'unavailable',
  EOPNOTSUPP: 'unsupported',
};

/** True for an error of grpc-js. */
export function isGrpcError(error: unknown): error is ServiceError {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'number' &&
    'details' in error
  );
}

/** The status with which a service answers what its handler threw: the message goes to the caller, the cause stays here. */
export function grpcStatusOf(error: unknown): Pick<StatusObject, 'code' | 'details'> {
  for (let at = error; at !== undefined && at !== null; at = causeOf(at)) {
    if (at instanceof RpcError) return { code: STATUS_BY_CODE[at.code], details: oneLine(errorMessage(error)) };
    if (at instanceof WireError) return { code: status.INVALID_ARGUMENT, details: oneLine(errorMessage(error)) };
    if (isFsError(at)) {
      const code = CODE_BY_ERRNO[at.code] ?? 'internal';
      return { code: STATUS_BY_CODE[code], details: oneLine(errorMessage(error)) };
    }
  }
  return { code: status.INTERNAL, details: oneLine(errorMessage(error)) };
}

/** The error of a unary call to `peer` ("the MDS at HOST:PORT") as an {@link RpcError} with a one-line message. */
export function rpcErrorOf(error: unknown, peer: string): RpcError {
  if (error instanceof RpcError) return error;
  const grpc = findGrpcError(error);
  if (grpc === undefined) {
    return new RpcError('internal', oneLine(`${peer}: ${errorMessage(error)}`), { cause: error });
  }
  const connection = connectionProblem(grpc);
  if (connection !== undefined)
    return new RpcError('unreachable', `cannot reach ${peer}: ${connection}`, { cause: error });
  const code = CODE_BY_STATUS.get(grpc.code) ?? 'internal';
  if (code === 'timeout') return new RpcError('timeout', `${peer} did not answer in time`, { cause: error });
  const details = grpc.details === '' ? code : oneLine(grpc.details);
  const isAnswer = code === 'not-found' || code === 'exists' || code === 'invalid' || code === 'refused';
  return new RpcError(code, isAnswer ? details : `${peer}: ${details}`, { cause: error });
}

/** The error of a unary call as a mount's operation reports it. */
export function fsErrorOf(error: unknown, peer: string): FsError {
  if (isFsError(error)) return error;
  const rpc = rpcErrorOf(error, peer);
  return new FsError(ERRNO_BY_CODE[rpc.code], rpc.message, { cause: error });
}

/** What keeps us from connecting, in words; undefined when there was a connection. */
function connectionProblem(error: ServiceError): string | undefined {
  if (error.code !== status.UNAVAILABLE) return undefined;
  const text = error.details;
  const known: readonly (readonly [RegExp, string])[] = [
    [/ECONNREFUSED/, 'connection refused'],
    [/ENOTFOUND|EAI_AGAIN|Name resolution failed|DNS/i, 'the host name cannot be resolved'],
    [/EHOSTUNREACH|ENETUNREACH/, 'no route to the host'],
    [/ETIMEDOUT/, 'connecting timed out'],
    [/ECONNRESET|Connection dropped|GOAWAY|Keepalive timeout|socket hang up|closed/i, 'the connection was lost'],
    [/No connection established|Failed to connect|Protocol error|SSL|Parse Error/i, 'no gRPC service answers there'],
  ];
  return known.find(([pattern]) => pattern.test(text))?.[1];
}

function findGrpcError(error: unknown): ServiceError | undefined {
  for (let at = error, depth = 0; at !== undefined && at !== null && depth < 10; at = causeOf(at), depth++) {
    if (isGrpcError(at)) return at;
  }
  return undefined;
}

function causeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'cause' in error ? error.cause : undefined;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
