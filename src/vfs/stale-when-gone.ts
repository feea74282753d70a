import { FsError, isFsError } from '../common/fs-error.js';
import { isPromise, type MaybePromise } from '../common/maybe-promise.js';

/**
 * For operations on an inode that a path led to: ESTALE when it is gone. Its name may mean another file by now, and on ESTALE the kernel walks the path once
 * more asking for every name (LOOKUP_REVAL; retry_estale, do_filp_open), where ENOENT would be the answer of open(2) with O_CREAT.
 */
export function staleWhenGone<T>(work: () => MaybePromise<T>): MaybePromise<T> {
  try {
    const result = work();
    return isPromise(result) ? result.catch(rethrow) : result;
  } catch (error) {
    return rethrow(error);
  }
}

function rethrow(error: unknown): never {
  if (isFsError(error, 'ENOENT')) throw new FsError('ESTALE', 'the file is gone', { cause: error });
  throw error;
}
