import type { Case } from '../case.js';

/**
 * Path resolution and the errno of each system call, path_resolution(7) and the ERRORS sections of the calls' pages. PATH stands for the path in question;
 * what a call needs beside it is there: `src`, a regular file, and `srcdir`, a directory.
 */
const ON_EXISTING: Readonly<Record<string, string>> = {
  'open for reading': 'opens PATH RDONLY',
  'open for writing': 'opens PATH WRONLY',
  'open O_TRUNC': 'opens PATH WRONLY|TRUNC',
  stat: 'stat PATH',
  lstat: 'lstat PATH',
  access: 'access PATH f',
  chmod: 'chmod PATH 0600',
  chown: 'chown PATH 0 0',
  lchown: 'lchown PATH 0 0',
  truncate: 'truncate PATH 0',
  utimensat: 'utimens PATH 1 2',
  'utimensat AT_SYMLINK_NOFOLLOW': 'utimens PATH 1 2 nofollow',
  unlink: 'unlink PATH',
  'link from': 'link PATH new',
  'rename from': 'rename PATH new',
  'renameat2 NOREPLACE from': 'rename2 PATH new NOREPLACE',
  'renameat2 EXCHANGE with': 'rename2 src PATH EXCHANGE',
  setxattr: 'setxattr PATH user.a 1',
  listxattr: 'listxattr PATH',
  statvfs: 'statvfs PATH',
};

const ON_EXISTING_DIR: Readonly<Record<string, string>> = {
  rmdir: 'rmdir PATH',
  opendir: 'opens PATH RDONLY|DIRECTORY',
  chdir: 'chdir PATH',
  'rename a directory from': 'rename PATH newdir',
};

const ON_NEW: Readonly<Record<string, string>> = {
  'open O_CREAT': 'opens PATH CREAT|WRONLY 0644',
  'open O_CREAT|O_EXCL': 'opens PATH CREAT|EXCL|WRONLY 0644',
  mkdir: 'mkdir PATH 0755',
  'mknod of a regular file': 'mknod PATH reg 0644',
  mkfifo: 'mkfifo PATH 0644',
  'mknod of a socket': 'mknod PATH sock 0644',
  symlink: 'symlink target PATH',
  'link to': 'link src PATH',
  'rename to': 'rename src PATH',
  'renameat2 NOREPLACE to': 'rename2 src PATH NOREPLACE',
};

/** Calls that look at a symbolic link itself. */
const NOFOLLOW = /lstat|lchown|NOFOLLOW|unlink|link from|rename|EXCHANGE/;
const SETUP = 'create src; mkdir srcdir';
const NAME_255 = 'n'.repeat(255);
const NAME_256 = 'n'.repeat(256);
/** A path of exactly `length` bytes to `name`. */
const longPath = (length: number, name: string): string => {
  const slashes = './'.repeat(Math.floor((length - name.length) / 2));
  return `${slashes}${(length - name.length) % 2 === 1 ? '/' : ''}${name}`.padStart(length, '.').slice(-length);
};

const cases: Case[] = [];
const add = (name: string, script: string): void => void cases.push({ name, script });
const use = (call: string, path: string): string => call.replace('PATH', path);

for (const [name, call] of Object.entries({ ...ON_EXISTING, ...ON_EXISTING_DIR, ...ON_NEW })) {
  add(`${name}: a prefix that is no directory is ENOTDIR`, `${SETUP}; create f\n${use(call, 'f/x')} -> ENOTDIR`);
  add(`${name}: a fifo as prefix is ENOTDIR`, `${SETUP}; mkfifo p\n${use(call, 'p/x')} -> ENOTDIR`);
  add(`${name}: a prefix that is missing is ENOENT`, `${SETUP}\n${use(call, 'none/x')} -> ENOENT`);
  add(`${name}: a dangling prefix is ENOENT`, `${SETUP}; symlink none l\n${use(call, 'l/x')} -> ENOENT`);
  add(`${name}: a name of 256 bytes is ENAMETOOLONG`, `${SETUP}\n${use(call, NAME_256)} -> ENAMETOOLONG`);
  add(`${name}: a prefix of 256 bytes is ENAMETOOLONG`, `${SETUP}\n${use(call, `${NAME_256}/x`)} -> ENAMETOOLONG`);
  add(`${name}: a path of 4096 bytes is ENAMETOOLONG`, `${SETUP}\n${use(call, longPath(4096, 'x'))} -> ENAMETOOLONG`);
  add(`${name}: a looping prefix is ELOOP`, `${SETUP}; symlink b a; symlink a b\n${use(call, 'a/x')} -> ELOOP`);
  add(`${name}: the empty path is ENOENT`, `${SETUP}\n${use(call, '""')} -> ENOENT`);
  add(
    `${name}: a prefix that may not be searched is EACCES`,
    `umask 0; ${SETUP}; chmod src 0666; makedir d 0700\nu1: ${use(call, 'd/x')} -> EACCES`,
  );
  add(
    `${name}: EACCES at a directory in the middle of the path`,
    `${SETUP}; chmod src 0666; makedir d 0777; makedir d/e 0644; makedir d/e/f 0777\nu1: ${use(call, 'd/e/f/x')} -> EACCES`,
  );
}

for (const [name, call] of Object.entries(ON_EXISTING)) {
  add(`${name}: missing is ENOENT`, `${SETUP}\n${use(call, 'none')} -> ENOENT`);
  add(`${name}: a name of 255 bytes`, `${SETUP}; create ${NAME_255}\n${use(call, NAME_255)}`);
  add(`${name}: a path of 4095 bytes`, `${SETUP}; create x\n${use(call, longPath(4095, 'x'))}`);
  add(`${name}: a regular file with a slash is ENOTDIR`, `${SETUP}; create x\n${use(call, 'x/')} -> ENOTDIR`);
  if (NOFOLLOW.test(name)) {
    add(`${name}: a dangling link itself`, `${SETUP}; symlink none x\n${use(call, 'x')}`);
    add(`${name}: a looping link itself`, `${SETUP}; symlink x x\n${use(call, 'x')}`);
  } else {
    add(`${name}: a dangling link is ENOENT`, `${SETUP}; symlink none x\n${use(call, 'x')} -> ENOENT`);
    add(`${name}: a looping link is ELOOP`, `${SETUP}; symlink x x\n${use(call, 'x')} -> ELOOP`);
    add(`${name}: through two links`, `${SETUP}; create f; symlink f x; symlink x y\n${use(call, 'y')}`);
  }
}

for (const [name, call] of Object.entries(ON_EXISTING_DIR)) {
  add(`${name}: missing is ENOENT`, `${SETUP}\n${use(call, 'none')} -> ENOENT`);
  add(`${name}: a name of 255 bytes`, `${SETUP}; mkdir ${NAME_255}\n${use(call, NAME_255)}`);
  add(`${name}: with a slash`, `${SETUP}; mkdir x\n${use(call, 'x/')}`);
  if (!name.startsWith('rename'))
    add(`${name}: a regular file is ENOTDIR`, `${SETUP}; create x\n${use(call, 'x')} -> ENOTDIR`);
}

const EXISTING: Readonly<Record<string, string>> = {
  'a regular file': 'create x',
  'a directory': 'mkdir x',
  'a fifo': 'mkfifo x',
  'a symbolic link': 'create f; symlink f x',
  'a dangling link': 'symlink none x',
};
for (const [name, call] of Object.entries(ON_NEW)) {
  add(`${name}: a name of 255 bytes`, `${SETUP}\n${use(call, NAME_255)}; lstat ${NAME_255}`);
  add(`${name}: a path of 4095 bytes`, `${SETUP}\n${use(call, longPath(4095, 'x'))}; lstat x`);
  add(
    `${name}: a directory that may not be written is EACCES`,
    `${SETUP}; chmod . 0777; chown src 1001 1001; makedir d 0755\nu1: ${use(call, 'd/x')} -> EACCES`,
  );
  add(
    `${name}: in a removed directory is ENOENT`,
    `create src; mkdir d; chdir d; rmdir ../d\n${use(call.replace('src', '../src'), 'x')} -> ENOENT`,
  );
  if (/EXCL|mk|symlink|link to|NOREPLACE/.test(name)) {
    for (const [what, make] of Object.entries(EXISTING)) {
      add(`${name}: ${what} is there: EEXIST`, `create src; ${make}\n${use(call, 'x')} -> EEXIST`);
    }
    add(
      `${name}: EEXIST comes before EACCES`,
      `create src; chmod src 0666; makedir d 0777; create d/x; chmod d 0555\nu1: ${use(call, 'd/x')} -> EEXIST`,
    );
  }
}

const ROWS: Readonly<Record<string, string>> = {
  'unlink of a directory is EISDIR': 'mkdir d; unlink d -> EISDIR; stat d -> type=dir',
  'rmdir of a directory with an entry is ENOTEMPTY': 'mkdir d; create d/f; rmdir d -> ENOTEMPTY',
  'rmdir of a directory with a directory is ENOTEMPTY': 'mkdir d; mkdir d/e; rmdir d -> ENOTEMPTY',
  'rmdir of . is EINVAL': 'mkdir d; rmdir d/. -> EINVAL',
  'rmdir of .. is ENOTEMPTY': 'mkdir d; mkdir d/e; rmdir d/e/.. -> ENOTEMPTY',
  'rmdir of a symbolic link to a directory is ENOTDIR': 'mkdir d; symlink d l; rmdir l -> ENOTDIR',
  'unlink of a symbolic link to a directory removes the link':
    'mkdir d; symlink d l; unlink l; stat d; lstat l -> ENOENT',
  'open of a directory for writing is EISDIR': 'mkdir d; opens d WRONLY -> EISDIR; opens d RDWR -> EISDIR',
  'open O_CREAT of a directory is EISDIR': 'mkdir d; opens d CREAT|RDONLY -> EISDIR; opens d CREAT|WRONLY -> EISDIR',
  'open O_TRUNC of a directory is EISDIR': 'mkdir d; opens d RDONLY|TRUNC -> EISDIR',
  'truncate of a directory is EISDIR': 'mkdir d; truncate d 0 -> EISDIR',
  'open O_DIRECTORY of a file is ENOTDIR': 'create f; opens f RDONLY|DIRECTORY -> ENOTDIR',
  'open O_NOFOLLOW of a symbolic link is ELOOP': 'create f; symlink f l; opens l RDONLY|NOFOLLOW -> ELOOP',
  'open O_DIRECTORY|O_NOFOLLOW of a link is ENOTDIR':
    'mkdir d; symlink d l; opens l RDONLY|DIRECTORY|NOFOLLOW -> ENOTDIR',
  'open O_PATH|O_NOFOLLOW of a link': 'symlink none l; open fd l PATH|NOFOLLOW; fstat fd -> type=lnk',
  'open O_CREAT through a dangling link makes the target': 'symlink t l; opens l CREAT|WRONLY; stat t -> type=reg',
  'open O_CREAT|O_EXCL of a dangling link is EEXIST':
    'symlink t l; opens l CREAT|EXCL|WRONLY -> EEXIST; stat t -> ENOENT',
  'open of a socket is ENXIO': 'bind s; opens s RDONLY -> ENXIO; opens s WRONLY -> ENXIO',
  'open of a fifo for writing without blocking is ENXIO':
    'mkfifo p; opens p WRONLY|NONBLOCK -> ENXIO; opens p RDONLY|NONBLOCK',
  'open of a device that is not there is ENXIO': 'mknod c chr 0666 250 9; opens c RDONLY -> ENXIO',
  'truncate to a negative size is EINVAL':
    'create f; truncate f -1 -> EINVAL; open fd f RDWR; ftruncate fd -1 -> EINVAL',
  'ftruncate of a read-only descriptor is EINVAL': 'create f; open fd f RDONLY; ftruncate fd 0 -> EINVAL',
  'truncate of a fifo is EINVAL': 'mkfifo p; truncate p 0 -> EINVAL',
  'truncate of a symbolic link is of its target': 'create f 0644 hello; symlink f l; truncate l 2; stat f -> size=2',
  'write to a read-only descriptor is EBADF':
    'create f 0644 abc; open fd f RDONLY; write fd x -> EBADF; pwrite fd x 0 -> EBADF',
  'read from a write-only descriptor is EBADF':
    'create f 0644 abc; open fd f WRONLY; read fd -> EBADF; pread fd 1 0 -> EBADF',
  'read of a directory is EISDIR': 'mkdir d; open fd d RDONLY; read fd 10 -> EISDIR',
  'lseek before the start is EINVAL':
    'create f; open fd f RDWR; lseek fd -1 -> EINVAL; lseek fd 5; lseek fd -6 CUR -> EINVAL',
  'readlink of what is no link is EINVAL': 'create f; mkdir d; readlink f -> EINVAL; readlink d -> EINVAL',
  'link of a directory is EPERM': 'mkdir d; link d e -> EPERM',
  'link over the same name is EEXIST': 'create f; link f f -> EEXIST',
  'link does not follow': 'create f; symlink f l; link l m; lstat m -> type=lnk; stat f -> nlink=1',
  'link AT_SYMLINK_FOLLOW follows': 'create f; symlink f l; linkfollow l m; lstat m -> type=reg nlink=2',
  'rename of a file over a directory is EISDIR': 'create f; mkdir d; rename f d -> EISDIR',
  'rename of a directory over a file is ENOTDIR': 'create f; mkdir d; rename d f -> ENOTDIR',
  'rename of a directory over a full one is ENOTEMPTY': 'mkdir d; mkdir e; create e/f; rename d e -> ENOTEMPTY',
  'rename of a directory over an empty one': 'mkdir d; create d/f; mkdir e; rename d e; stat e/f; stat d -> ENOENT',
  'rename into the own subtree is EINVAL':
    'mkdir d; mkdir d/e; rename d d/x -> EINVAL; rename d d/e/x -> EINVAL; rename d d/e -> EINVAL',
  'rename over an ancestor is ENOTEMPTY':
    'mkdir d; mkdir d/e; create d/e/f; rename d/e/f d -> ENOTEMPTY; mkdir d/e/g; rename d/e/g d -> ENOTEMPTY',
  'rename of . or .. is EBUSY':
    'mkdir d; chdir d; rename . x -> EBUSY; rename .. x -> EBUSY; mkdir s; rename s . -> EBUSY; rename s .. -> EBUSY',
  'rename of a file to a name with a slash is ENOTDIR': 'create f; rename f g/ -> ENOTDIR',
  'rename of a directory to a name with a slash': 'mkdir d; rename d e/; stat e -> type=dir',
  'rename onto itself does nothing':
    'create f; stat f => A; rename f f; stat f -> ino=A ctime=A; mkdir d; rename d d; stat d',
  'rename over a hard link of the same file leaves both':
    'create f; link f g; rename f g; stat f -> nlink=2; stat g -> nlink=2',
  'renameat2 with unknown flags is EINVAL': 'create f; rename2 f g 0x80 -> EINVAL; stat f',
  'renameat2 NOREPLACE|EXCHANGE is EINVAL': 'create f; create g; rename2 f g NOREPLACE|EXCHANGE -> EINVAL',
  'renameat2 EXCHANGE with what is not there is ENOENT': 'create f; rename2 f g EXCHANGE -> ENOENT; stat f',
  'renameat2 EXCHANGE with the own subtree is EINVAL':
    'mkdir d; mkdir d/e; rename2 d d/e EXCHANGE -> EINVAL; rename2 d/e d EXCHANGE -> EINVAL',
  'mkdir with a slash at the end': 'mkdir d/; stat d -> type=dir',
  'mkdir of . is EEXIST': 'mkdir d; mkdir d/. -> EEXIST; mkdir d/.. -> EEXIST',
  'symlink to nothing is ENOENT': 'symlink "" l -> ENOENT',
  'open O_CREAT with a slash at the end is EISDIR': 'opens f/ CREAT|WRONLY -> EISDIR',
  'O_TMPFILE in what is no directory is ENOTDIR': 'create f; opens f TMPFILE|RDWR -> ENOTDIR',
  'O_TMPFILE for reading only is EINVAL': 'opens . TMPFILE|RDONLY -> EINVAL',
  'mknod of a directory is EPERM': 'mknod d dir -> EPERM',
  'chdir to a file is ENOTDIR': 'create f; chdir f -> ENOTDIR',
  'fallocate of a read-only descriptor is EBADF': 'create f; open fd f RDONLY; fallocate fd 0 0 10 -> EBADF',
  'fallocate of nothing is EINVAL':
    'create f; open fd f RDWR; fallocate fd 0 0 0 -> EINVAL; fallocate fd 0 -1 10 -> EINVAL',
  'fallocate PUNCH_HOLE needs KEEP_SIZE': 'create f; open fd f RDWR; fallocate fd 2 0 10 -> EOPNOTSUPP',
  'copy_file_range to a read-only descriptor is EBADF':
    'create f 0644 abc; create g; open a f RDONLY; open b g RDONLY; copy a b 3 -> EBADF',
  'copy_file_range to O_APPEND is EBADF':
    'create f 0644 abc; create g; open a f RDONLY; open b g WRONLY|APPEND; copy a b 3 -> EBADF',
  'copy_file_range over itself is EINVAL':
    'create f 0644 abcdef; open a f RDWR; copy a a 4 0 2 -> EINVAL; copy a a 2 0 2 -> 2',
  'copy_file_range of a directory is EISDIR':
    'mkdir d; create g; open a d RDONLY; open b g WRONLY; copy a b 3 -> EISDIR',
  'copy_file_range behind the end copies nothing':
    'create f 0644 abc; create g; open a f RDONLY; open b g WRONLY; copy a b 3 10 -> 0; stat g -> size=0',
  'execution of a file that is open for writing is ETXTBSY':
    'create f 0755 "#!/bin/sh\\necho hi\\n"; open fd f WRONLY; execute ./f -> ETXTBSY; close fd; execute ./f -> hi',
  'execution without the bit is EACCES, of root too':
    'create f 0644 "#!/bin/sh\\n"; execute ./f -> EACCES; u1: execute ./f -> EACCES',
  'execution of a directory is EACCES': 'mkdir d; execute ./d -> EACCES',
};
for (const [name, script] of Object.entries(ROWS)) add(name, script);

// The limit of links that one resolution follows.
const chain = (length: number): string =>
  Array.from({ length }, (_, i) => `symlink ${i === 0 ? 'f' : `l${i}`} l${i + 1}`).join('\n');
add('40 symbolic links are followed, 41 are ELOOP', `create f\n${chain(41)}\nstat l40\nstat l41 -> ELOOP\nlstat l41`);
add(
  'a symbolic link of 4095 bytes; 4096 are ENAMETOOLONG',
  `symlink ${'t'.repeat(4095)} l; lstat l -> size=4095; readlink l -> ${'t'.repeat(4095)}; symlink ${'t'.repeat(4096)} m -> ENAMETOOLONG`,
);
add(
  'a tree deeper than PATH_MAX, made step by step',
  `${Array.from({ length: 40 }, () => `mkdir ${'d'.repeat(200)}; chdir ${'d'.repeat(200)}`).join('\n')}\ncreate f 0644 deep\ncat f -> deep`,
);

export const ERRORS: readonly Case[] = cases;
