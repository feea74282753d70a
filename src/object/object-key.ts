import { ObjectError } from './object-error.js';

/** S3 allows 1024 bytes; the rest is for the store's own prefix. */
const KEY_LENGTH_MAX = 768;
/** NAME_MAX of local file systems, less the temporary file's suffix. */
const SEGMENT_LENGTH_MAX = 200;
const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** Throws 'invalid' unless the key is relative, of the permitted characters, and without `.` and `..`: the same for every store. */
export function checkKey(key: string): void {
  if (key.length === 0 || key.length > KEY_LENGTH_MAX) {
    throw new ObjectError(
      'invalid',
      `object key ${JSON.stringify(key.slice(0, 80))} must have 1 to ${KEY_LENGTH_MAX} characters`,
    );
  }
  for (const segment of key.split('/')) {
    if (segment === '.' || segment === '..' || segment.length > SEGMENT_LENGTH_MAX || !SEGMENT.test(segment)) {
      throw new ObjectError(
        'invalid',
        `object key ${JSON.stringify(key)} has a bad part ${JSON.stringify(segment)}: parts are 1 to ${SEGMENT_LENGTH_MAX} letters, digits, '.', '_', '-'`,
      );
    }
  }
}

/** Throws 'invalid' unless the list arguments are a prefix of keys, a key or nothing, and a count. */
export function checkList(prefix: string, after: string, limit: number): void {
  for (const text of [prefix, after]) {
    if (!/^[A-Za-z0-9._/-]*$/.test(text) || text.startsWith('/') || text.split('/').includes('..')) {
      throw new ObjectError('invalid', `${JSON.stringify(text)} is not the beginning of an object key`);
    }
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
    throw new ObjectError('invalid', `list limit ${limit} must be 1 to 1000`);
  }
}

/** Throws 'invalid' unless the range is of non-negative safe integers. */
export function checkRange(offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    throw new ObjectError('invalid', `byte range ${offset}+${length} is not one of non-negative integers`);
  }
}

/** Throws 'aborted' when the caller does not want the answer any more. */
export function checkSignal(signal: AbortSignal | undefined, situation: string): void {
  if (signal?.aborted === true) throw new ObjectError('aborted', `${situation}: aborted`, { cause: signal.reason });
}
