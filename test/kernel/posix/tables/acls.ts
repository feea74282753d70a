import { ACL_GROUP, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER, ACL_USER, ACL_USER_OBJ } from '../../../../src/model/acl.js';
import { type Acl, chmodAcl, encodeAcl, inheritAcl, isMinimalAcl } from '../../../../src/model/acl.js';
import type { Case } from '../case.js';
import { SHARED_GID, USERS } from '../users.js';

/** POSIX ACLs, acl(5), on a mount with `acl`. What the rules come to is computed by the model's; that Linux does the same is proved by the reference. */
const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';

const OBJ_TAGS: Readonly<Record<string, number>> = { u: ACL_USER_OBJ, g: ACL_GROUP_OBJ, m: ACL_MASK, o: ACL_OTHER };
const TAGS: Readonly<Record<string, number>> = { u: ACL_USER, g: ACL_GROUP };

/** `u::rwx u:1002:r-- g::r-x m::rwx o::---` */
function acl(text: string): Acl {
  return text.split(' ').map((part) => {
    const [kind = '', id = '', perms = ''] = part.split(':');
    const perm = ['r', 'w', 'x'].reduce((bits, letter) => bits * 2 + (perms.includes(letter) ? 1 : 0), 0);
    return { tag: (id === '' ? OBJ_TAGS : TAGS)[kind]!, perm, id: Number(id) };
  });
}
const hexOf = (entries: Acl): string => encodeAcl(entries).toString('hex');
const hex = (text: string): string => hexOf(acl(text));
const octal = (mode: number): string => `0${(mode & 0o7777).toString(8).padStart(4, '0')}`;

const NAMED = 'u::rw- u:1002:rw- g::r-- g:2005:r-x m::rwx o::---';
const cases: Case[] = [];
const add = (name: string, script: string, mountOnly?: string): void =>
  void cases.push({ name, script, ...(mountOnly === undefined ? {} : { mountOnly }) });

// Who may what: files of u1 and the shared group.
const WHO = ['u1', 'u2', 'member', 'supp', 'dac', 'search', 'nocaps', 'root'];
const FILES: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['u::rw- u:1002:rw- g::--- m::rw- o::---', { u1: 'rw', u2: 'rw', dac: 'rw', search: 'r', root: 'rw' }],
  [
    'u::--- u:1002:rw- g::rw- m::r-- o::rw-',
    { u2: 'r', member: 'r', supp: 'r', dac: 'rw', search: 'rw', nocaps: 'rw', root: 'rw' },
  ],
  ['u::rw- u:1003:--- g::rw- m::rw- o::---', { u1: 'rw', supp: 'rw', dac: 'rw', search: 'r', root: 'rw' }],
  [
    'u::rw- g::--- g:2005:rw- m::rw- o::r--',
    { u1: 'rw', u2: 'r', supp: 'rw', dac: 'rw', search: 'r', nocaps: 'r', root: 'rw' },
  ],
  [
    'u::rw- g::r-- g:2005:-w- m::rw- o::rw-',
    { u1: 'rw', u2: 'rw', member: 'r', supp: 'r w', dac: 'rw', search: 'rw', nocaps: 'rw', root: 'rw' },
  ],
  [
    'u::rw- u:1002:r-- g::rw- m::rw- o::rw-',
    { u1: 'rw', u2: 'r', member: 'rw', supp: 'rw', dac: 'rw', search: 'rw', nocaps: 'rw', root: 'rw' },
  ],
  [
    'u::rw- u:0:--- g::rw- m::rw- o::rw-',
    { u1: 'rw', u2: 'rw', member: 'rw', supp: 'rw', dac: 'rw', search: 'rw', root: 'rw' },
  ],
];
for (const [text, allowed] of FILES) {
  for (const who of WHO) {
    const may = allowed[who] ?? '';
    const result = (ok: boolean): string => (ok ? '' : ' -> EACCES');
    add(
      `${text} to ${who}`,
      `create f 0; chown f 1001 ${SHARED_GID}; setxattrhex f ${ACCESS} ${hex(text)}
      ${who}: opens f RDONLY${result(may.includes('r'))}
      ${who}: opens f WRONLY${result(may.includes('w'))}
      ${who}: opens f RDWR${result(may === 'rw')}
      ${who}: truncate f 0${result(may.includes('w'))}
      ${who}: utimens f NOW NOW${result(may.includes('w') || who === 'u1')}`,
    );
  }
}

// Directories: search, make, remove.
for (const who of ['u2', 'member', 'supp', 'dac']) {
  for (const perms of ['r--', '--x', '-wx', 'rwx']) {
    const may = (needed: string): string =>
      who === 'dac' || (who === 'u2' && [...needed].every((letter) => perms.includes(letter))) ? '' : ' -> EACCES';
    add(
      `a directory that grants ${perms} to u2, as ${who}`,
      `makedir d 0700; create d/f 0666; create d/k 0666; setxattrhex d ${ACCESS} ${hex(`u::rwx u:1002:${perms} g::--- m::rwx o::---`)}
      ${who}: stat d/f${may('x')}
      ${who}: list d${may('r') === '' ? ' -> "f k"' : may('r')}
      ${who}: mkdir d/s${may('wx')}
      ${who}: rename d/f d/g${may('wx')}
      ${who}: link d/g d/h${may('wx') === '' ? '' : may('x') === '' ? ' -> ENOENT' : ' -> EACCES'}
      ${who}: unlink d/k${may('wx')}`,
    );
  }
}
add(
  'the sticky bit holds in spite of an ACL',
  `makedir d 01700; setxattrhex d ${ACCESS} ${hex('u::rwx u:1001:rwx u:1002:rwx g::--- m::rwx o::---')}
   u1: create d/f; u2: unlink d/f -> EPERM; u2: rename d/f d/g -> EPERM; u1: unlink d/f`,
);
add(
  'user.* by an ACL',
  `create f 0600; setxattr f user.a 1; setxattrhex f ${ACCESS} ${hex('u::rw- u:1001:r-- u:1002:rw- g::--- m::rw- o::---')}
   u1: getxattr f user.a -> 1; u1: setxattr f user.a 2 -> EACCES; u2: setxattr f user.a 2; getxattr f user.a -> 2`,
);

// In step with the mode.
add(
  'an ACL sets the mode, and is read back',
  `create f 04601; setxattrhex f ${ACCESS} ${hex(NAMED)}; stat f -> mode=04670; getxattrhex f ${ACCESS} -> ${hex(NAMED)}
   listxattr f -> ${ACCESS}; getxattrsize f ${ACCESS} 0 -> ${hex(NAMED).length / 2}; getxattrsize f ${ACCESS} 4 -> ERANGE`,
);
add(
  'setting an ACL moves the ctime and nothing else',
  `create f; stat f => s; setxattrhex f ${ACCESS} ${hex(NAMED)}; stat f -> ctime>s mtime=s`,
);
for (const mode of [0o777, 0o640, 0o604, 0o070, 0]) {
  add(
    `chmod ${octal(mode)} changes owner, mask and others`,
    `create f 0644; setxattrhex f ${ACCESS} ${hex(NAMED)}; chmod f ${octal(mode)}; stat f -> mode=${octal(mode)}
     getxattrhex f ${ACCESS} -> ${hexOf(chmodAcl(acl(NAMED), mode))}`,
  );
}
add(
  'an ACL that the mode expresses is not kept',
  `create f 0; setxattrhex f ${ACCESS} ${hex(NAMED)}; setxattrhex f ${ACCESS} ${hex('u::rwx g::r-x o::--x')}
   stat f -> mode=0751; getxattrhex f ${ACCESS} -> ENODATA; listxattr f -> ""`,
);
add(
  'a mask without names is kept',
  `create f 0; setxattrhex f ${ACCESS} ${hex('u::rw- g::rwx m::r-- o::---')}; stat f -> mode=0640
   getxattrhex f ${ACCESS} -> ${hex('u::rw- g::rwx m::r-- o::---')}`,
);
add(
  'removing an ACL leaves the mode, and what is not there is no error',
  `create f 0600; setxattrhex f ${ACCESS} ${hex(NAMED)}; removexattr f ${ACCESS}; stat f -> mode=0670
   getxattrhex f ${ACCESS} -> ENODATA; removexattr f ${ACCESS}; u2: opens f RDONLY -> EACCES`,
);
add(
  'writing, truncating and renaming keep it',
  `create f 0600; setxattrhex f ${ACCESS} ${hex(NAMED)}; put f abc; truncate f 1; rename f g; link g h
   getxattrhex h ${ACCESS} -> ${hex(NAMED)}; u2: cat h -> a`,
);
for (const [owner, keeps] of [
  ['root', true],
  ['u1', true],
  ['u2', false],
  ['fsetid', true],
] as const) {
  add(
    `set-group-ID after an ACL set by its owner ${owner}`,
    `create f 0; chown f ${USERS[owner]!.uid} ${SHARED_GID}; chmod f 02711; ${owner}: setxattrhex f ${ACCESS} ${hex(NAMED)}
     stat f -> mode=${keeps ? '02670' : '0670'}`,
  );
}

// What is refused.
for (const [who, code] of [
  ['u1', ''],
  ['fowner', ''],
  ['u2', ' -> EPERM'],
  ['dac', ' -> EPERM'],
  ['nocaps', ' -> EPERM'],
]) {
  add(
    `changing the ACLs of a directory of u1 as ${who}`,
    `makedir d 0777; chown d 1001 1001; ${who}: setxattrhex d ${ACCESS} ${hex(NAMED)}${code}
     ${who}: setxattrhex d ${DEFAULT} ${hex(NAMED)}${code}; ${who}: removexattr d ${DEFAULT}${code}`,
  );
}
const BAD: Readonly<Record<string, string>> = {
  'a header alone is none': '02000000 -> ',
  'half a header': '0200 -> EINVAL',
  'another version': '01000000 -> EOPNOTSUPP',
  'half an entry': `${hex('u::rwx g::rwx o::rwx').slice(0, -2)} -> EINVAL`,
  'no mask': `${hex('u::rwx u:5:rwx g::rwx o::rwx')} -> EINVAL`,
  'no owner': `${hex('g::rwx o::rwx')} -> EINVAL`,
  'a wrong order': `${hex('u::rwx o::rwx g::rwx')} -> EINVAL`,
  'an unknown tag': `${hex('u::rwx g::rwx o::rwx').replace('20000700', '40000700')} -> EINVAL`,
  'an unknown permission': `${hex('u::rwx g::rwx o::rwx').replace('20000700', '20000800')} -> EINVAL`,
};
for (const [name, value] of Object.entries(BAD)) {
  const [given, result] = value.split(' -> ');
  const expected = result === '' ? '' : ` -> ${result}`;
  add(
    `a malformed ACL: ${name}`,
    `makedir d 0755; setxattrhex d ${ACCESS} ${given}${expected}; setxattrhex d ${DEFAULT} ${given}${expected}; stat d -> mode=0755`,
  );
}
add(
  'a default ACL is for directories',
  `create f 0640; setxattrhex f ${DEFAULT} ${hex(NAMED)} -> EACCES; getxattrhex f ${DEFAULT} -> ENODATA; mkfifo p
   setxattrhex p ${DEFAULT} ${hex(NAMED)} -> EACCES; setxattrhex p ${ACCESS} ${hex(NAMED)}; stat p -> mode=0670`,
);

// Inheritance: instead of the umask.
const MAKERS: Readonly<Record<string, string>> = {
  'open O_CREAT': 'opens d/n CREAT|WRONLY',
  mkdir: 'mkdir d/n',
  mkfifo: 'mkfifo d/n',
  'mknod of a regular file': 'mknod d/n reg',
};
const DEFAULTS = [
  'u::rwx u:1002:rwx g::r-x m::rwx o::r--',
  'u::rwx g::r-x o::---',
  'u::r-x g::rwx g:2005:rw- m::r-x o::--x',
];
for (const text of DEFAULTS) {
  for (const umask of ['0', '077']) {
    for (const mode of ['0777', '0666', '0640']) {
      for (const [name, call] of Object.entries(MAKERS)) {
        const made = inheritAcl(acl(text), parseInt(mode, 8));
        const access = made.access === undefined ? 'ENODATA' : hexOf(made.access);
        add(
          `${name} ${mode} with umask ${umask} under ${text}`,
          `makedir d 0777; setxattrhex d ${DEFAULT} ${hex(text)}; stat d -> mode=0777
          u1: umask ${umask}; u1: ${call} ${mode}; stat d/n -> mode=${octal(made.mode)} uid=1001
          getxattrhex d/n ${ACCESS} -> ${access}; getxattrhex d/n ${DEFAULT} -> ${name === 'mkdir' ? hex(text) : 'ENODATA'}`,
        );
      }
    }
  }
  const made = inheritAcl(acl(text), 0o666);
  add(
    `O_TMPFILE under ${text}`,
    `makedir d 0777; setxattrhex d ${DEFAULT} ${hex(text)}; u1: umask 077; u1: open fd d TMPFILE|RDWR 0666
     u1: linkfd fd d/n; stat d/n -> mode=${octal(made.mode)}; getxattrhex d/n ${ACCESS} -> ${made.access === undefined ? 'ENODATA' : hexOf(made.access)}`,
  );
}
add(
  'a symbolic link inherits nothing, and has none',
  `makedir d 0777; setxattrhex d ${DEFAULT} ${hex(NAMED)}; umask 077; symlink t d/l; lstat d/l -> mode=0777; umask 0`,
);
add(
  'without a default ACL the umask counts',
  `makedir d 0777; setxattrhex d ${ACCESS} ${hex('u::rwx u:1001:rwx g::rwx m::rwx o::rwx')}; u1: umask 027
   u1: mkdir d/s 0777; u1: opens d/f CREAT|WRONLY 0666; stat d/s -> mode=0750; stat d/f -> mode=0640; getxattrhex d/f ${ACCESS} -> ENODATA`,
);
add(
  'a default ACL is handed down the tree, and grants in it',
  `makedir d 0755; setxattrhex d ${DEFAULT} ${hex('u::rwx u:1002:rwx g::r-x m::rwx o::---')}; mkdir d/a 0777; mkdir d/a/b 0777
   u2: opens d/a/b/f CREAT|WRONLY 0666; u2: cat d/a/b/f; u1: stat d/a/b -> EACCES; getxattrhex d/a/b/f ${ACCESS} -> ${hex('u::rw- u:1002:rwx g::r-x m::rw- o::---')}`,
);
add(
  'a set-group-ID directory with a default ACL',
  `makedir d 0; chown d 0 ${SHARED_GID}; chmod d 02777; setxattrhex d ${DEFAULT} ${hex(DEFAULTS[0]!)}
   u2: umask 077; u2: mkdir d/s 0777; u2: opens d/f CREAT|WRONLY 02775
   stat d/s -> mode=02774 gid=${SHARED_GID}; stat d/f -> mode=0774 gid=${SHARED_GID}`,
);
if (cases.some(({ name }, index) => cases.findIndex((other) => other.name === name) !== index)) {
  throw new Error('two cases of the same name');
}
if (isMinimalAcl(acl(NAMED))) throw new Error('the ACL of the cases names nobody');

export const ACLS: readonly Case[] = cases;
