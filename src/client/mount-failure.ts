import { errorMessage } from '../common/fs-error.js';
import { JournalError } from '../journal/journal-error.js';
import { RpcError } from '../wire/rpc-error.js';
import { MountError } from './launch/mount-error.js';

/** Any failure while a mount is being prepared, as the user reads it. */
export function mountFailure(error: unknown, cacheDir: string): MountError {
  if (error instanceof MountError) return error;
  if (error instanceof RpcError) return new MountError(32, error.message, { cause: error });
  if (error instanceof JournalError && error.code === 'locked') {
    return new MountError(32, `cache_dir ${cacheDir} is in use by another mount: ${error.message}`, { cause: error });
  }
  return new MountError(32, errorMessage(error), { cause: error });
}
