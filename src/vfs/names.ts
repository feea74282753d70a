import { FsError } from '../common/fs-error.js';
import { NAME_MAX_BYTES } from '../model/inode.js';

const SLASH = 0x2f;
const DOT = 0x2e;

export const isDot = (name: Uint8Array): boolean => name.length === 1 && name[0] === DOT;
export const isDotDot = (name: Uint8Array): boolean => name.length === 2 && name[0] === DOT && name[1] === DOT;

/** Throws ENAMETOOLONG for a name over 255 bytes: the kernel passes up to 4095. */
export function checkNameLength(name: Uint8Array): void {
  if (name.length > NAME_MAX_BYTES) throw new FsError('ENAMETOOLONG', `a name of ${name.length} bytes`);
}

/** Throws unless the name can be given to a directory entry. */
export function checkNewName(name: Uint8Array): void {
  checkNameLength(name);
  if (name.length === 0) throw new FsError('ENOENT', 'an empty name');
  if (isDot(name) || isDotDot(name)) throw new FsError('EEXIST', 'a name of dots');
  if (name.includes(SLASH) || name.includes(0)) throw new FsError('EINVAL', 'a name with a slash or a NUL');
}
