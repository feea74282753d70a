import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import { ObjectError, type ObjectErrorCode } from './object-error.js';

const CODE_OF: Readonly<Record<string, ObjectErrorCode>> = {
  ENOENT: 'not-found',
  EACCES: 'access-denied',
  EPERM: 'access-denied',
  EROFS: 'access-denied',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EFBIG: 'no-space',
  // A key that is a directory of other keys, or runs through an object, or through a symbolic link.
  EISDIR: 'invalid',
  ENOTDIR: 'invalid',
  ELOOP: 'invalid',
  ENAMETOOLONG: 'invalid',
  // Out of descriptors or memory: passes.
  EMFILE: 'throttled',
  ENFILE: 'throttled',
  ENOMEM: 'throttled',
  EAGAIN: 'throttled',
  EIO: 'unavailable',
  ESTALE: 'unavailable',
  ETIMEDOUT: 'unavailable',
};

/** Converts an error of Node's fs module; what is not in the table is 'unavailable'. */
export function mapFileError(error: unknown, situation: string): ObjectError {
  if (error instanceof ObjectError) return error;
  const code = CODE_OF[nodeErrorCode(error) ?? ''] ?? 'unavailable';
  return new ObjectError(code, `${situation}: ${errorMessage(error)}`, { cause: error });
}
