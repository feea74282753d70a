import type { Case } from '../case.js';
import { SHARED_GID, USERS } from '../users.js';

/** chmod, chown, umask, the owner of what is new, and when set-user-ID, set-group-ID and file capabilities go. */
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;

const octal = (mode: number): string => `0${mode.toString(8).padStart(4, '0')}`;
const uidOf = (user: string): number => USERS[user]!.uid;
const inGroup = (user: string, gid: number): boolean => {
  const { gid: own, groups } = USERS[user]!;
  return own === gid || groups.includes(gid);
};

const cases: Case[] = [];
const add = (name: string, script: string): void => void cases.push({ name, script });

const KINDS: Readonly<Record<string, string>> = {
  file: 'create o 0640',
  directory: 'makedir o 0640',
  fifo: 'mkfifo o 0640',
};

// chmod: the owner and CAP_FOWNER; S_ISGID only for members of the file's group.
for (const [kind, make] of Object.entries(KINDS)) {
  for (const actor of ['root', 'u1', 'u2', 'supp', 'fowner', 'fsetid', 'dac', 'chowner', 'nocaps']) {
    for (const owner of ['u1', 'u2']) {
      const allowed = actor === owner || actor === 'root' || actor === 'fowner';
      add(
        `chmod of a ${kind} of ${owner} as ${actor}`,
        `${make}; chown o ${uidOf(owner)} ${SHARED_GID}\n${actor}: chmod o 0751${allowed ? '' : ' -> EPERM'}\nstat o -> mode=${allowed ? '0751' : '0640'}`,
      );
    }
  }
  for (const owner of ['root', 'u1', 'u2', 'supp', 'member', 'fsetid', 'nocaps']) {
    const keeps = owner === 'root' || owner === 'fsetid' || inGroup(owner, SHARED_GID);
    for (const mode of ['06755', '02644', '03755', '01777']) {
      const set = parseInt(mode, 8);
      add(
        `chmod ${mode} of a ${kind} by its owner ${owner}`,
        `${make}; chown o ${uidOf(owner)} ${SHARED_GID}; ${owner}: chmod o ${mode}; stat o -> mode=${octal(keeps ? set : set & ~S_ISGID)}`,
      );
    }
  }
}

// chown: the owner may give the file to groups of its own; CAP_CHOWN may do all.
const CHOWN_TO = [
  { uid: -1, gid: -1 },
  { uid: -1, gid: SHARED_GID },
  { uid: -1, gid: 2002 },
  { uid: -1, gid: 1001 },
  { uid: -1, gid: 3000 },
  { uid: 1001, gid: -1 },
  { uid: 1002, gid: -1 },
  { uid: 1001, gid: 2002 },
  { uid: 0, gid: SHARED_GID },
];
for (const actor of ['root', 'u1', 'u2', 'chowner', 'fowner', 'dac', 'nocaps']) {
  for (const { uid, gid } of CHOWN_TO) {
    for (const [call, kind] of [
      ['chown', 'create o 0644'],
      ['chown', 'makedir o 0755'],
      ['lchown', 'symlink t o'],
    ]) {
      // A file of u1 and a group it is not in.
      const owner = actor === 'u1';
      const uidOk = uid === -1 || (owner && uid === 1001);
      const gidOk = gid === -1 || (owner && inGroup(actor, gid));
      const allowed = (uidOk && gidOk) || actor === 'root' || actor === 'chowner';
      const [wasUid, wasGid] = [1001, 4000];
      const expected = allowed
        ? `uid=${uid < 0 ? wasUid : uid} gid=${gid < 0 ? wasGid : gid}`
        : `uid=${wasUid} gid=${wasGid}`;
      add(
        `${call} to ${uid}:${gid} after "${kind}" as ${actor}`,
        `${kind}; lchown o ${wasUid} ${wasGid}\n${actor}: ${call} o ${uid} ${gid}${allowed ? '' : ' -> EPERM'}\nlstat o -> ${expected}`,
      );
    }
  }
}

// The owner of what is new, and S_ISGID of the parent.
const MAKERS: Readonly<Record<string, string>> = {
  'open O_CREAT': 'opens d/n CREAT|WRONLY',
  mkdir: 'mkdir d/n',
  mkfifo: 'mkfifo d/n',
  'mknod of a regular file': 'mknod d/n reg',
  'mknod of a socket': 'mknod d/n sock',
};
for (const actor of ['root', 'u1', 'u2', 'member', 'supp', 'fsetid', 'nocaps']) {
  for (const setgid of [true, false]) {
    const parent = `makedir d 0777; chown d 0 ${SHARED_GID}${setgid ? '; chmod d 02777' : ''}`;
    const owner = `uid=${uidOf(actor)} gid=${setgid ? SHARED_GID : USERS[actor]!.gid}`;
    const where = setgid ? 'a set-group-ID directory' : 'a directory';
    add(`symlink in ${where} as ${actor}`, `${parent}\n${actor}: symlink t d/n\nlstat d/n -> ${owner}`);
    for (const [name, call] of Object.entries(MAKERS)) {
      for (const mode of ['0755', '02775', '02765', '06711', '01777']) {
        if (name === 'mkdir' && mode === '06711') continue;
        let expected = parseInt(mode, 8);
        if (name === 'mkdir') expected = (expected & 0o1777) | (setgid ? S_ISGID : 0);
        else if (setgid && (expected & S_ISGID) !== 0 && (expected & S_IXGRP) !== 0) {
          if (actor !== 'root' && actor !== 'fsetid' && !inGroup(actor, SHARED_GID)) expected &= ~S_ISGID;
        }
        add(
          `${name} ${mode} in ${where} as ${actor}`,
          `${parent}\n${actor}: umask 0\n${actor}: ${call} ${mode}\nstat d/n -> mode=${octal(expected)} ${owner}`,
        );
      }
    }
  }
}
for (const umask of ['0', '022', '027', '077', '0777', '0123']) {
  for (const [name, call] of Object.entries(MAKERS)) {
    const mode = 0o777 & ~parseInt(umask, 8);
    add(
      `${name} with umask ${umask}`,
      `makedir d 0777; u1: umask ${umask}; u1: ${call} 0777; stat d/n -> mode=${octal(mode)}`,
    );
  }
  add(`symlink with umask ${umask}`, `makedir d 0777; u1: umask ${umask}; u1: symlink t d/n; lstat d/n -> mode=0777`);
}

// Changes that take set-user-ID and set-group-ID away.
const CHANGES: Readonly<Record<string, string>> = {
  write: 'open fd f WRONLY; write fd x',
  'write by O_APPEND': 'open fd f WRONLY|APPEND; write fd x',
  truncate: 'truncate f 1',
  'truncate to a greater size': 'truncate f 5000',
  ftruncate: 'open fd f WRONLY; ftruncate fd 1',
  'open O_TRUNC': 'opens f WRONLY|TRUNC',
  'open O_CREAT|O_TRUNC': 'opens f WRONLY|CREAT|TRUNC',
  fallocate: 'open fd f WRONLY; fallocate fd 0 0 9000',
  'fallocate PUNCH_HOLE': 'open fd f WRONLY; fallocate fd 3 0 2',
  copy_file_range: 'open a src RDONLY; open fd f WRONLY; copy a fd 3',
};
const GID_OTHER = 4000;
for (const mode of [0o6777, 0o4777, 0o2777, 0o6767, 0o2666]) {
  for (const actor of ['u1', 'u2', 'root', 'fsetid', 'nocaps']) {
    for (const [name, script] of Object.entries(CHANGES)) {
      const gid = actor === 'u2' ? GID_OTHER : SHARED_GID;
      const capable = actor === 'root' || actor === 'fsetid';
      const dropsGroup = (mode & S_IXGRP) !== 0 || !inGroup(actor, gid);
      const expected = capable ? mode : mode & ~S_ISUID & ~(dropsGroup ? S_ISGID : 0);
      add(
        `${name} of ${octal(mode)} as ${actor}`,
        `create src 0666 abcdef; create f 0666 abcdef; chown f 1001 ${gid}; chmod f ${octal(mode)}
        ${script
          .split('; ')
          .map((step) => `${actor}: ${step}`)
          .join('\n')}
        stat f -> mode=${octal(expected)}`,
      );
    }
  }
  for (const actor of ['root', 'u1']) {
    // u1 is in the new group; whether it is in the old one decides about S_ISGID without S_IXGRP.
    for (const gid of [SHARED_GID, GID_OTHER]) {
      const member = actor === 'root' || inGroup(actor, gid);
      const dropsGroup = (mode & S_IXGRP) !== 0 || !member;
      const expected = mode & ~S_ISUID & ~(dropsGroup ? S_ISGID : 0);
      add(
        `chgrp of ${octal(mode)} from ${gid} as ${actor}`,
        `create f 0666; chown f 1001 ${gid}; chmod f ${octal(mode)}\n${actor}: chown f -1 2002\nstat f -> mode=${octal(expected)} gid=2002`,
      );
    }
  }
  add(
    `chown of a directory ${octal(mode)} keeps the bits`,
    `makedir d ${octal(mode)}; chown d 1001 1001; stat d -> mode=${octal(mode)}`,
  );
  add(
    `chgrp of a directory ${octal(mode)} by its owner keeps the bits`,
    `makedir d 0777; chown d 1001 ${SHARED_GID}; chmod d ${octal(mode)}; u1: chown d -1 2002; stat d -> mode=${octal(mode)}`,
  );
}

const CAPABILITY = '0100000201000000000000000000000000000000';
for (const actor of ['root', 'u1']) {
  for (const [name, script] of Object.entries({ ...CHANGES, chown: 'chown f -1 2002' })) {
    add(
      `${name} takes file capabilities away, as ${actor}`,
      `create src 0666 abcdef; create f 0777 abcdef; chown f 1001 ${SHARED_GID}; setxattrhex f security.capability ${CAPABILITY}; setxattr f user.kept yes
        ${script
          .split('; ')
          .map((step) => `${actor}: ${step}`)
          .join('\n')}
        getxattrhex f security.capability -> ENODATA
        getxattr f user.kept -> yes`,
    );
  }
}

const ROWS: Readonly<Record<string, string>> = {
  'reading and renaming keep set-user-ID':
    'create f 06755 abc; chown f 1001 1001; chmod f 06755; u1: cat f; rename f g; link g h; stat h -> mode=06755',
  'a write of nothing keeps set-user-ID':
    'create f 06777; chown f 1001 1001; chmod f 06777; u1: open fd f WRONLY; u1: write fd ""; stat f -> mode=06777',
  'utimens keeps set-user-ID':
    'create f 06777; chown f 1001 1001; chmod f 06777; u1: utimens f 1 2; stat f -> mode=06777',
  'chown -1 -1 as root keeps set-user-ID or not, as Linux does': 'create f 06777; chown f -1 -1; stat f -> mode=0777',
  'chown to the same owner takes set-user-ID away':
    'create f 06777; chown f 1001 1001; chmod f 06777; chown f 1001 1001; stat f -> mode=0777',
  'chmod sets the bits again':
    'create f 06777; u2: open fd f WRONLY; u2: write fd x; stat f -> mode=0777; chmod f 06777; stat f -> mode=06777; u2: write fd x; stat f -> mode=0777',
  'an append by a descriptor opened before chmod':
    'create f 0666; u2: open fd f WRONLY|APPEND; chmod f 06777; u2: write fd x; stat f -> mode=0777',
  'fchmod and fchown':
    'create f 0600; chown f 1001 1001; u1: open fd f RDONLY; u1: fchmod fd 0444; u1: fchown fd -1 2002; stat f -> mode=0444 gid=2002; u2: chmod f 0 -> EPERM',
  'lchmod of a symbolic link is EOPNOTSUPP': 'symlink t l; lchmod l 0600 -> EOPNOTSUPP; lstat l -> mode=0777',
  'chmod through a symbolic link':
    'create f 0600; symlink f l; chmod l 0640; stat f -> mode=0640; lstat l -> mode=0777',
  'lchown of a symbolic link':
    'create f; symlink f l; lchown l 1001 1002; lstat l -> uid=1001 gid=1002; stat f -> uid=0 gid=0; u1: lchown l -1 2002; lstat l -> gid=2002; u2: lchown l -1 1002 -> EPERM',
  'chown through a symbolic link':
    'create f; symlink f l; chown l 1001 1002; stat f -> uid=1001 gid=1002; lstat l -> uid=0 gid=0',
  'large ids':
    'create f; chown f 4294967294 4294967294; stat f -> uid=4294967294 gid=4294967294; chown f 2147483648 2147483649; stat f -> uid=2147483648 gid=2147483649',
  'a file given away is out of reach':
    'u1: umask 0; chmod . 0777; u1: opens f CREAT|WRONLY 0600; chown f 1002 1002; u1: chmod f 0666 -> EPERM; u1: chown f 1001 -1 -> EPERM; u2: chmod f 0666',
  'chmod of an open unlinked file':
    'create f 0600; open fd f RDWR; unlink f; fchmod fd 0751; fstat fd -> mode=0751 nlink=0; fchown fd 1001 1002; fstat fd -> uid=1001 gid=1002',
  'set-user-ID programs run as their owner':
    'copyprogram /usr/bin/id f; chown f 1002 1002; chmod f 04755; u1: execute ./f -u -> 1002; u1: execute ./f -u -r -> 1001; chmod f 0755; u1: execute ./f -u -> 1001',
  'set-group-ID programs run with their group':
    'copyprogram /usr/bin/id f; chown f 1002 3000; chmod f 02755; u1: execute ./f -g -> 3000; u1: execute ./f -g -r -> 1001',
};
for (const [name, script] of Object.entries(ROWS)) add(name, script);

// utimensat(2): explicit times are the owner's right, the current time also a writer's.
for (const actor of ['root', 'u1', 'u2', 'fowner', 'dac', 'nocaps']) {
  for (const mode of ['0600', '0666', '0000']) {
    for (const [times, kind] of [
      ['null null', 'now'],
      ['NOW NOW', 'now'],
      ['NOW OMIT', 'explicit'],
      ['OMIT NOW', 'explicit'],
      ['5 OMIT', 'explicit'],
      ['OMIT 6', 'explicit'],
      ['5 6', 'explicit'],
      ['OMIT OMIT', 'nothing'],
    ]) {
      const owner = actor === 'u1' || actor === 'root' || actor === 'fowner';
      const writer = owner || actor === 'dac' || mode === '0666';
      const outcome =
        kind === 'nothing' || owner || (kind === 'now' && writer) ? '' : kind === 'now' ? ' -> EACCES' : ' -> EPERM';
      add(
        `utimensat ${times} of a file ${mode} as ${actor}`,
        `create f ${mode}; chown f 1001 1001; ${actor}: utimens f ${times}${outcome}`,
      );
    }
  }
}

export const OWNERSHIP: readonly Case[] = cases;
