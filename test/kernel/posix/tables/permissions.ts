import type { Case } from '../case.js';
import { SHARED_GID, USERS } from '../users.js';

/**
 * Who may do what, path_resolution(7) and inode(7): the rules are written down once more here, as plain arithmetic on mode bits, and every combination of
 * caller, class and bits is compared with them.
 */
const R = 4;
const W = 2;
const X = 1;

const OWNER = 'u2';
const OWNER_UID = USERS[OWNER]!.uid;
const octal = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`;

/** The callers with the class that the mode bits see them in, and what their capabilities add for a file or directory. */
interface Caller {
  readonly user: string;
  /** Bits of the mode to shift by. */
  readonly shift: 6 | 3 | 0;
}
const CALLERS: readonly Caller[] = [
  { user: OWNER, shift: 6 },
  { user: 'member', shift: 3 },
  { user: 'supp', shift: 3 },
  { user: 'chowner', shift: 0 },
];

interface Operation {
  readonly name: string;
  readonly call: string;
  readonly needs: number;
}

/** On the regular file `o`. */
const ON_FILE: readonly Operation[] = [
  { name: 'open for reading', call: 'opens o RDONLY', needs: R },
  { name: 'open for writing', call: 'opens o WRONLY', needs: W },
  { name: 'open for both', call: 'opens o RDWR', needs: R | W },
  { name: 'open O_TRUNC', call: 'opens o RDONLY|TRUNC', needs: R | W },
  { name: 'open O_PATH', call: 'opens o PATH', needs: 0 },
  { name: 'truncate', call: 'truncate o 0', needs: W },
  { name: 'execute', call: 'execute ./o', needs: X },
  { name: 'access r', call: 'access o r', needs: R },
  { name: 'access w', call: 'access o w', needs: W },
  { name: 'access x', call: 'access o x', needs: X },
  { name: 'access rwx', call: 'access o rwx', needs: R | W | X },
  { name: 'getxattr user.*', call: 'getxattr o user.there', needs: R },
  { name: 'setxattr user.*', call: 'setxattr o user.new 1', needs: W },
  { name: 'stat', call: 'stat o', needs: 0 },
];

/** On the directory `o`, in which there are a file `f` and a directory `d`. */
const ON_DIRECTORY: readonly Operation[] = [
  { name: 'list', call: 'list o', needs: R },
  { name: 'stat in', call: 'stat o/f', needs: X },
  { name: 'chdir', call: 'chdir o', needs: X },
  { name: 'open O_CREAT', call: 'opens o/n CREAT|WRONLY', needs: W | X },
  { name: 'mkdir', call: 'mkdir o/n', needs: W | X },
  { name: 'mkfifo', call: 'mkfifo o/n', needs: W | X },
  { name: 'symlink', call: 'symlink t o/n', needs: W | X },
  { name: 'link', call: 'link other o/n', needs: W | X },
  { name: 'unlink', call: 'unlink o/f', needs: W | X },
  { name: 'rmdir', call: 'rmdir o/d', needs: W | X },
  { name: 'rename in', call: 'rename o/f o/g', needs: W | X },
  { name: 'rename out of', call: 'rename o/f g', needs: W | X },
  { name: 'rename into', call: 'rename other o/g', needs: W | X },
  { name: 'rename over', call: 'rename other o/f', needs: W | X },
  { name: 'open O_TMPFILE', call: 'opens o TMPFILE|RDWR', needs: W | X },
  { name: 'access rwx', call: 'access o rwx', needs: R | W | X },
];

const cases: Case[] = [];

// Every class with each of its bits; the other classes get the complement, so that the bits of a wrong class would show.
for (const { user, shift } of CALLERS) {
  for (let bits = 0; bits < 8; bits++) {
    const mode = [6, 3, 0].reduce((sum, at) => sum | ((at === shift ? bits : ~bits & 7) << at), 0);
    const outcome = ({ needs }: Operation): string => ((bits & needs) === needs ? '' : ' -> EACCES');
    for (const operation of ON_FILE) {
      cases.push({
        name: `${operation.name} of a file ${octal(mode)} as ${user}`,
        script: `chmod . 0777; create o 0700 "#!/bin/sh\\n"; setxattr o user.there 1; chown o ${OWNER_UID} ${SHARED_GID}; chmod o ${octal(mode)}
          ${user}: ${operation.call}${outcome(operation)}`,
      });
    }
    for (const operation of ON_DIRECTORY) {
      cases.push({
        name: `${operation.name} a directory ${octal(mode)} as ${user}`,
        script: `mkdir o 0777; create o/f 0666; mkdir o/d 0777; create other 0666; chown o ${OWNER_UID} ${SHARED_GID}; chmod o ${octal(mode)}
          ${user}: ${operation.call}${outcome(operation)}`,
      });
    }
  }
}

// Capabilities, capabilities(7). `x` = some class may execute.
const CAPABLE: Readonly<Record<string, { readonly file: number; readonly directory: number }>> = {
  root: { file: R | W, directory: R | W | X },
  dac: { file: R | W, directory: R | W | X },
  search: { file: R, directory: R | X },
  fowner: { file: 0, directory: 0 },
  nocaps: { file: 0, directory: 0 },
};
for (const [user, may] of Object.entries(CAPABLE)) {
  for (const operation of ON_FILE) {
    const setup = `create o 0000; setxattr o user.there 1; chown o ${OWNER_UID} ${SHARED_GID}`;
    const allowed = (may.file & operation.needs) === operation.needs;
    cases.push({
      name: `${operation.name} of a file 0000 as ${user}`,
      script: `${setup}\n${user}: ${operation.call}${allowed ? '' : ' -> EACCES'}`,
    });
  }
  for (const operation of ON_DIRECTORY) {
    const allowed = (may.directory & operation.needs) === operation.needs;
    cases.push({
      name: `${operation.name} a directory 0000 as ${user}`,
      script: `mkdir o 0777; create o/f 0666; mkdir o/d 0777; create other 0666; chown o ${OWNER_UID} ${SHARED_GID}; chmod o 0000
        ${user}: ${operation.call}${allowed ? '' : ' -> EACCES'}`,
    });
  }
}
for (const user of ['root', 'dac']) {
  for (const mode of ['0100', '0010', '0001']) {
    // The program itself runs without dac's capability, and cannot read its script.
    cases.push({
      name: `${user} executes what anybody may execute, ${mode}`,
      script: `create o ${mode} "#!/bin/sh\\necho ran\\n"; chown o ${OWNER_UID} ${SHARED_GID}\n${user}: execute ./o${user === 'root' ? ' -> ran' : ''}`,
    });
  }
}

// Search permission at each depth of a path.
for (let depth = 0; depth < 4; depth++) {
  const names = ['a', 'b', 'c', 'd'];
  const path = (length: number): string => names.slice(0, length).join('/');
  const make = names.map((_, i) => `mkdir ${path(i + 1)} 0777`).join('\n');
  for (const call of ['stat a/b/c/d/f', 'opens a/b/c/d/f RDONLY', 'opens a/b/c/d/n CREAT|WRONLY', 'unlink a/b/c/d/f']) {
    cases.push({
      name: `${call}: component ${depth} may not be searched, then may`,
      script: `${make}\ncreate a/b/c/d/f 0666; chmod ${path(depth + 1)} 0666
        u1: ${call} -> EACCES
        u1: ${call.replace(/a\/b\/c\/d/, 'a/../a/b/c/d')} -> EACCES
        chmod ${path(depth + 1)} 0777
        u1: ${call}`,
    });
  }
}

const ROWS: Readonly<Record<string, string>> = {
  'an open descriptor keeps the right that open gave':
    'create f 0666 abc; u1: open fd f RDWR; chmod f 0; u1: opens f RDONLY -> EACCES; u1: pread fd 3 0 -> abc; u1: pwrite fd xyz 0; cat f -> xyz',
  'a file created without any right is writable by its creator':
    'u1: open fd f CREAT|RDWR 0000; u1: write fd abc; u1: pread fd 3 0 -> abc; u1: opens f RDONLY -> EACCES; stat f -> mode=0000 size=3',
  'a file created read-only is written by its descriptor':
    'u1: open fd f CREAT|WRONLY 0444; u1: write fd abc; u1: opens f WRONLY -> EACCES; cat f -> abc',
  'rights taken away count at once':
    'create f 0644 abc; u1: cat f -> abc; chmod f 0600; u1: cat f -> EACCES; chmod f 0644; u1: cat f -> abc',
  'rights of a directory taken away count at once':
    'makedir d 0777; create d/f 0666; u1: stat d/f; chmod d 0700; u1: stat d/f -> EACCES; u1: opens d/n CREAT|WRONLY -> EACCES; chmod d 0777; u1: stat d/f',
  'a changed owner counts at once':
    'create f 0600; chown f 1001 1001; u1: opens f RDWR; chown f 1002 1002; u1: opens f RDWR -> EACCES; u2: opens f RDWR',
  'a changed group counts at once': `create f 0060; chown f 0 ${SHARED_GID}; u1: opens f RDWR; supp: opens f RDWR; chown f 0 2005; u1: opens f RDWR -> EACCES; supp: opens f RDWR`,
  'the owner is denied though the group may': `create f 0066; chown f 1001 ${SHARED_GID}; u1: opens f RDONLY -> EACCES; u2: opens f RDONLY; supp: opens f RDONLY`,
  'the group is denied though others may': `create f 0606; chown f 1002 ${SHARED_GID}; u1: opens f RDONLY -> EACCES; supp: opens f RDONLY -> EACCES; fowner: opens f RDONLY`,
  'moving a directory elsewhere needs the right to write it, for ..':
    'makedir a 0777; makedir b 0777; makedir a/d 0755; u1: rename a/d b/d -> EACCES; u1: rename a/d a/e; chmod a/e 0777; u1: rename a/e b/e',
  'moving an own read-only directory elsewhere is EACCES, within its directory not':
    'makedir a 0777; makedir b 0777; u1: mkdir a/d 0555; u1: rename a/d b/d -> EACCES; u1: rename a/d a/e; u1: rename a/e a/d',
  'moving a file that may not be written':
    'makedir a 0777; makedir b 0777; create a/f 0444; u1: rename a/f b/f; u1: unlink b/f',
  'exchange of directories needs the right to write both':
    'makedir a 0777; makedir b 0777; makedir a/d 0777; makedir b/e 0755; u1: rename2 a/d b/e EXCHANGE -> EACCES; chmod b/e 0777; u1: rename2 a/d b/e EXCHANGE',
  'unlink needs no right to the file': 'makedir d 0777; create d/f 0000; u1: unlink d/f',
  'link needs no right to the file, where protected_hardlinks is not set': 'create f 0600; u2: stat f',
  'listing needs no search, stat of the entries does':
    'makedir d 0744; create d/f; u1: list d -> f; u1: stat d/f -> EACCES',
  'searching needs no listing': 'makedir d 0711; create d/f 0644; u1: list d -> EACCES; u1: stat d/f',
  'O_NOATIME is for the owner and CAP_FOWNER':
    'create f 0666; u1: opens f RDONLY|NOATIME -> EPERM; fowner: opens f RDONLY|NOATIME; chown f 1001 0; u1: opens f RDONLY|NOATIME',
  'readlink needs search, not read':
    'makedir d 0711; symlink t d/l; u1: readlink d/l -> t; chmod d 0700; u1: readlink d/l -> EACCES',
  'a symbolic link has no rights of its own':
    'makedir d 0777; create f 0600; u1: symlink ../f d/l; u1: opens d/l RDONLY -> EACCES; chmod f 0644; u1: opens d/l RDONLY',
  'statvfs needs search only':
    'makedir d 0711; u1: statvfs d; chmod d 0700; u1: statvfs d; makedir e 0700; makedir e/f 0777; u1: statvfs e/f -> EACCES',
  'mknod of devices needs CAP_MKNOD':
    'chmod . 0777; u1: mknod c chr 0666 1 3 -> EPERM; u1: mknod b blk 0666 7 0 -> EPERM; maker: mknod c chr 0666 1 3; nocaps: mknod x chr 0666 1 3 -> EPERM; u1: mknod p fifo 0644; u1: mknod s sock 0644; u1: mknod r reg 0644',
  'trusted.* is for CAP_SYS_ADMIN':
    'create f 0666; u1: setxattr f trusted.a 1 -> EPERM; setxattr f trusted.a 1; u1: getxattr f trusted.a -> ENODATA; getxattr f trusted.a -> 1',
  'mode 0 root':
    'create f 0000 abc; cat f -> abc; nocaps: cat f -> EACCES; chown f 0 0; nocaps: chmod f 0400; nocaps: cat f -> abc',
};
for (const [name, script] of Object.entries(ROWS)) cases.push({ name, script });

export const PERMISSIONS: readonly Case[] = cases;
