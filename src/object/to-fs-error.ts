import type { ErrnoCode } from '../common/errno.js';
import { FsError } from '../common/fs-error.js';
import type { ObjectError, ObjectErrorCode } from './object-error.js';

/** The errno an application sees for a failed object request of its file. */
const ERRNO_OF: Readonly<Record<ObjectErrorCode, ErrnoCode>> = {
  // The file exists and its data does not: never ENOENT, which would say that the file does not.
  'not-found': 'EIO',
  'no-bucket': 'EIO',
  'access-denied': 'EACCES',
  'bad-credentials': 'EACCES',
  'clock-skew': 'EIO',
  // Retries are over by the time an application sees these; read(2) and fsync(2) know EIO only.
  throttled: 'EIO',
  unavailable: 'EIO',
  timeout: 'EIO',
  corrupt: 'EIO',
  'no-space': 'ENOSPC',
  exists: 'EIO',
  invalid: 'EIO',
  aborted: 'EINTR',
};

/** Converts a store's error where file data turns into a file system answer. */
export function toFsError(error: ObjectError): FsError {
  return new FsError(ERRNO_OF[error.code], error.message, { cause: error });
}
