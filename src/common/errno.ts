/**
 * Linux errno values (asm-generic/errno*.h): the one table in which a symbolic code becomes a number.
 * Every error that crosses a layer is an {@link FsError} with one of these codes.
 */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ECONNABORTED: 103,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
} as const;

/** A symbolic errno, e.g. `'ENOENT'`. */
export type ErrnoCode = keyof typeof ERRNO;

const CODE_BY_NUMBER = new Map<number, ErrnoCode>(
  Object.entries(ERRNO).map(([code, value]) => [value, code as ErrnoCode]),
);

/** The symbolic code of a positive errno number; an unknown one is `EIO`, as nothing better can be said of it. */
export function errnoCode(value: number): ErrnoCode {
  return CODE_BY_NUMBER.get(value) ?? 'EIO';
}
