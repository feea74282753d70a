import type { Case } from '../case.js';

/** Extended attributes, xattr(7). */
const ROWS: Readonly<Record<string, string>> = {
  'set, get, list, remove':
    'create f; setxattr f user.a 1; setxattr f user.b two; getxattr f user.a -> 1; getxattr f user.b -> two; listxattr f -> "user.a user.b"; removexattr f user.a; getxattr f user.a -> ENODATA; listxattr f -> user.b',
  'XATTR_CREATE and XATTR_REPLACE':
    'create f; setxattr f user.a 1 REPLACE -> ENODATA; setxattr f user.a 1 CREATE; setxattr f user.a 2 CREATE -> EEXIST; setxattr f user.a 3 REPLACE; getxattr f user.a -> 3; setxattr f user.a 4; getxattr f user.a -> 4',
  'an empty value':
    'create f; setxattr f user.a ""; getxattr f user.a -> ""; getxattrsize f user.a 0 -> 0; listxattr f -> user.a; setxattr f user.a x; setxattr f user.a ""; getxattr f user.a -> ""',
  'size queries and ERANGE':
    'create f; setxattr f user.a 12345; getxattrsize f user.a 0 -> 5; getxattrsize f user.a 4 -> ERANGE; getxattrsize f user.a 5 -> 5; listxattrsize f 0 -> 7; listxattrsize f 6 -> ERANGE; listxattrsize f 7 -> 7',
  'removing what is not there is ENODATA':
    'create f; removexattr f user.none -> ENODATA; getxattr f user.none -> ENODATA; listxattr f -> ""',
  'names: 255 bytes, not 256': `create f; setxattr f user.${'n'.repeat(250)} 1; getxattr f user.${'n'.repeat(250)} -> 1; setxattr f user.${'n'.repeat(251)} 1 -> ERANGE; getxattr f user.${'n'.repeat(251)} -> ERANGE`,
  'names without a namespace, or of none known, are EOPNOTSUPP':
    'create f; setxattr f nothing 1 -> EOPNOTSUPP; setxattr f other.a 1 -> EOPNOTSUPP; setxattr f user. 1 -> EINVAL',
  'odd names and bytes':
    'create f; setxattr f "user.a b" "\\u0000\\u00ff\\n"; getxattr f "user.a b" -> "\\u0000\\u00ff\\n"; setxattr f "user.\\u00ff" 1; getxattr f "user.\\u00ff" -> 1',
  'values up to 64 KiB': `create f; setxattr f user.big ${'v'.repeat(30000)}; getxattrsize f user.big 0 -> 30000; setxattr f user.big ${'v'.repeat(65537)} -> E2BIG; getxattrsize f user.big 0 -> 30000`,
  'user.* of a directory':
    'mkdir d; setxattr d user.a 1; getxattr d user.a -> 1; create d/f; getxattr d/f user.a -> ENODATA',
  'user.* of what is neither file nor directory is EPERM':
    'symlink t l; setxattr l user.a 1 0 nofollow -> EPERM; getxattr l user.a nofollow -> ENODATA; mkfifo p; setxattr p user.a 1 -> EPERM; mknod c chr 0666 1 3; setxattr c user.a 1 -> EPERM',
  'trusted.* of a symbolic link':
    'symlink t l; setxattr l trusted.a 1 0 nofollow; getxattr l trusted.a nofollow -> 1; listxattr l nofollow -> trusted.a',
  'through a symbolic link':
    'create f; symlink f l; setxattr l user.a 1; getxattr f user.a -> 1; getxattr l user.a -> 1',
  'trusted.* is invisible to others':
    'create f 0666; setxattr f trusted.a 1; setxattr f user.a 1; u1: listxattr f -> user.a; listxattr f -> "trusted.a user.a"; u1: getxattr f trusted.a -> ENODATA; u1: removexattr f trusted.a -> EPERM',
  'user.* needs the rights of the file':
    'create f 0640; setxattr f user.a 1; u1: getxattr f user.a -> EACCES; u1: setxattr f user.a 2 -> EACCES; u1: removexattr f user.a -> EACCES; u1: listxattr f -> user.a; chmod f 0644; u1: getxattr f user.a -> 1; u1: setxattr f user.a 2 -> EACCES; chmod f 0666; u1: setxattr f user.a 2; u1: removexattr f user.a',
  'user.* of a sticky directory is for its owner':
    'makedir d 01777; u1: setxattr d user.a 1 -> EPERM; setxattr d user.a 1; chown d 1001 1001; u1: setxattr d user.a 2',
  'security.* is for CAP_SYS_ADMIN':
    'create f 0666; setxattr f security.test 1; getxattr f security.test -> 1; u1: setxattr f security.test 2 -> EPERM; u1: getxattr f security.test -> 1; u1: removexattr f security.test -> EPERM',
  'they go with the inode':
    'create f; setxattr f user.a 1; link f g; getxattr g user.a -> 1; rename f h; getxattr h user.a -> 1; removexattr g user.a; getxattr h user.a -> ENODATA',
  'a new file of the same name has none':
    'create f; setxattr f user.a 1; unlink f; create f; getxattr f user.a -> ENODATA',
  'writing and truncating keep user.*':
    'create f; setxattr f user.a 1; put f abc; truncate f 1; opens f WRONLY|TRUNC; chmod f 0600; chown f 1001 1001; getxattr f user.a -> 1',
  many: `create f; ${Array.from({ length: 60 }, (_, i) => `setxattr f user.k${i} v${i}`).join('; ')}; ${[0, 17, 59].map((i) => `getxattr f user.k${i} -> v${i}`).join('; ')}; removexattr f user.k17; getxattr f user.k17 -> ENODATA; getxattr f user.k18 -> v18`,
};

export const XATTRS: readonly Case[] = Object.entries(ROWS).map(([name, script]) => ({ name, script }));
