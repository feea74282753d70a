import type { Request } from '../../gen/curvefs/v1/metaserver.js';
import { updateAtimes } from './atimes.js';
import { create } from './create.js';
import { commitExtents, readExtents, swapExtents } from './extents.js';
import { cloneRange, fallocate } from './ranges.js';
import { getattr, lookup, readlink } from './lookup.js';
import type { OpTransaction } from './op-transaction.js';
import { open } from './open.js';
import { readdir } from './readdir.js';
import { rename } from './rename.js';
import type { OpReply } from './reply.js';
import { setattr } from './setattr.js';
import { reserve, statfs } from './space.js';
import { link, rmdir, unlink } from './unlink.js';
import { getxattr, listxattr, removexattr, setxattr } from './xattr.js';

/** The operation of a request. */
export type Operation = NonNullable<Request['op']>;

/** Operations that change the filesystem: they carry an op id and are executed exactly once. */
const MUTATIONS: ReadonlySet<Operation['$case']> = new Set([
  'setattr',
  'create',
  'link',
  'unlink',
  'rmdir',
  'rename',
  'open',
  'commitExtents',
  'swapExtents',
  'fallocate',
  'cloneRange',
  'setxattr',
  'removexattr',
  'setLock',
]);

export function isMutation(operation: Operation): boolean {
  return MUTATIONS.has(operation.$case);
}

/** True for what a read-only session may not do; it may open files, but not truncate them, and lock them. */
export function needsWriting(operation: Operation): boolean {
  if (operation.$case === 'open') return operation.value.spec?.truncate ?? false;
  return isMutation(operation) && operation.$case !== 'setLock';
}

/** The operations on the namespace; those on sessions are the slot's (`slot.ts`). */
export type NamespaceOperation = Exclude<
  Operation,
  { $case: 'ping' | 'barrier' | 'queryOps' | 'adoptCheck' | 'adoptEnd' | 'setLock' | 'getLock' | 'cancelLock' }
>;

/** Executes an operation in a transaction; throws an `FsError` with the POSIX errno, and then nothing is changed. */
export function runOperation(op: OpTransaction, operation: NamespaceOperation): Promise<OpReply> {
  switch (operation.$case) {
    case 'lookup':
      return lookup(op, operation.value);
    case 'getattr':
      return getattr(op, operation.value);
    case 'setattr':
      return setattr(op, operation.value);
    case 'readlink':
      return readlink(op, operation.value);
    case 'create':
      return create(op, operation.value);
    case 'link':
      return link(op, operation.value);
    case 'unlink':
      return unlink(op, operation.value);
    case 'rmdir':
      return rmdir(op, operation.value);
    case 'rename':
      return rename(op, operation.value);
    case 'readdir':
      return readdir(op, operation.value);
    case 'open':
      return open(op, operation.value);
    case 'readExtents':
      return readExtents(op, operation.value);
    case 'commitExtents':
      return commitExtents(op, operation.value);
    case 'swapExtents':
      return swapExtents(op, operation.value);
    case 'fallocate':
      return fallocate(op, operation.value);
    case 'cloneRange':
      return cloneRange(op, operation.value);
    case 'updateAtimes':
      return updateAtimes(op, operation.value);
    case 'getxattr':
      return getxattr(op, operation.value);
    case 'listxattr':
      return listxattr(op, operation.value);
    case 'setxattr':
      return setxattr(op, operation.value);
    case 'removexattr':
      return removexattr(op, operation.value);
    case 'statfs':
      return statfs(op, operation.value);
    case 'reserve':
      return reserve(op, operation.value);
  }
}
