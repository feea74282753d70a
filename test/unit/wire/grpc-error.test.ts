import { describe, expect, test } from '@jest/globals';
import { status } from '@grpc/grpc-js';
import { FsError } from '../../../src/common/fs-error.js';
import { fsErrorOf, grpcStatusOf, rpcErrorOf } from '../../../src/wire/grpc-error.js';
import { RpcError, type RpcErrorCode } from '../../../src/wire/rpc-error.js';
import { WireError } from '../../../src/wire/wire-error.js';

const grpc = (code: status, details: string): Error =>
  Object.assign(new Error(`${code} ${details}`), { code, details });

describe('rpcErrorOf', () => {
  test.each<[status, string, RpcErrorCode, string]>([
    [
      status.UNAVAILABLE,
      'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1',
      'unreachable',
      'cannot reach the MDS at a:1: connection refused',
    ],
    [
      status.UNAVAILABLE,
      'Name resolution failed for target dns:nowhere:1',
      'unreachable',
      'cannot reach the MDS at a:1: the host name cannot be resolved',
    ],
    [status.DEADLINE_EXCEEDED, 'Deadline exceeded', 'timeout', 'the MDS at a:1 did not answer in time'],
    [status.NOT_FOUND, 'no filesystem "x"', 'not-found', 'no filesystem "x"'],
    [status.FAILED_PRECONDITION, 'two mounts\n  are live', 'refused', 'two mounts are live'],
    [status.UNAVAILABLE, 'starting', 'unavailable', 'the MDS at a:1: starting'],
    [status.INTERNAL, 'oops', 'internal', 'the MDS at a:1: oops'],
  ])('status %s "%s"', (code, details, expected, message) => {
    const error = rpcErrorOf(grpc(code, details), 'the MDS at a:1');
    expect(error).toMatchObject({ code: expected, message });
  });

  test('finds the status behind causes', () => {
    const wrapped = new Error('outer', { cause: new Error('inner', { cause: grpc(status.NOT_FOUND, 'gone') }) });
    expect(rpcErrorOf(wrapped, 'p').code).toBe('not-found');
  });

  test('what is no status is internal', () => {
    expect(rpcErrorOf(new TypeError('x is not a function'), 'p')).toMatchObject({
      code: 'internal',
      message: 'p: x is not a function',
    });
  });
});

describe('grpcStatusOf', () => {
  test.each<[unknown, status]>([
    [new RpcError('exists', 'e'), status.ALREADY_EXISTS],
    [new WireError('unset', 'f', 'must be set'), status.INVALID_ARGUMENT],
    [new FsError('ENOENT'), status.NOT_FOUND],
    [new FsError('EXDEV'), status.INTERNAL],
    [new Error('wrapped', { cause: new RpcError('refused', 'r') }), status.FAILED_PRECONDITION],
    ['a string', status.INTERNAL],
  ])('%s', (error, code) => {
    expect(grpcStatusOf(error).code).toBe(code);
  });

  test('the code survives the way over the wire', () => {
    for (const code of ['not-found', 'exists', 'invalid', 'refused', 'unavailable', 'timeout', 'internal'] as const) {
      const { code: number, details } = grpcStatusOf(new RpcError(code, 'why'));
      expect(rpcErrorOf(grpc(number, details), 'p').code).toBe(code);
    }
  });
});

test('fsErrorOf: a service that is away is ETIMEDOUT, an FsError stays', () => {
  expect(fsErrorOf(grpc(status.UNAVAILABLE, 'ECONNREFUSED'), 'p').code).toBe('ETIMEDOUT');
  expect(fsErrorOf(grpc(status.NOT_FOUND, ''), 'p').code).toBe('ENOENT');
  const error = new FsError('EXDEV');
  expect(fsErrorOf(error, 'p')).toBe(error);
});
