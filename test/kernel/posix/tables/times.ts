import type { Case } from '../case.js';

/** Which of atime, mtime and ctime a call stamps, of the object and of the directories it changes, and how exact times are. */
const cases: Case[] = [];
const add = (name: string, script: string): void => void cases.push({ name, script });

const ALL = '{atime,mtime,ctime}';
const same = (slot: string, keys = ALL): string =>
  keys
    .slice(1, -1)
    .split(',')
    .map((key) => `${key}=${slot}`)
    .join(' ');

/** What is changed by a call; `f` and `d` are a file and a directory in `p`, `q` is another directory. */
const STAMPS: readonly {
  readonly name: string;
  readonly setup?: string;
  readonly call: string;
  /** Expectations by path; A is what it was before. */
  readonly after: Readonly<Record<string, string>>;
}[] = [
  { name: 'open O_CREAT', call: 'opens p/n CREAT|WRONLY', after: { p: 'mtime>A ctime>A atime=A' } },
  {
    name: 'open O_CREAT of an existing file',
    call: 'opens p/f CREAT|WRONLY',
    after: { p: same('A'), 'p/f': same('A') },
  },
  { name: 'mkdir', call: 'mkdir p/n', after: { p: 'mtime>A ctime>A atime=A' } },
  { name: 'mkfifo', call: 'mkfifo p/n', after: { p: 'mtime>A ctime>A atime=A' } },
  { name: 'symlink', call: 'symlink t p/n', after: { p: 'mtime>A ctime>A atime=A' } },
  { name: 'mkdir that fails', call: 'mkdir p/d -> EEXIST', after: { p: same('A'), 'p/d': same('A') } },
  {
    name: 'link',
    call: 'link p/f q/n',
    after: { p: same('A'), q: 'mtime>A ctime>A', 'p/f': 'ctime>A mtime=A atime=A' },
  },
  {
    name: 'unlink',
    setup: 'link p/f q/n',
    call: 'unlink q/n',
    after: { q: 'mtime>A ctime>A', 'p/f': 'ctime>A mtime=A atime=A' },
  },
  { name: 'unlink that fails', call: 'unlink p/d -> EISDIR', after: { p: same('A'), 'p/d': same('A') } },
  { name: 'rmdir', call: 'rmdir p/d', after: { p: 'mtime>A ctime>A' } },
  {
    name: 'rmdir that fails',
    setup: 'create p/d/x',
    call: 'rmdir p/d -> ENOTEMPTY',
    after: { p: same('A'), 'p/d': same('A') },
  },
  { name: 'rename within a directory', call: 'rename p/f p/n', after: { p: 'mtime>A ctime>A' } },
  { name: 'rename between directories', call: 'rename p/f q/n', after: { p: 'mtime>A ctime>A', q: 'mtime>A ctime>A' } },
  { name: 'rename, the object', setup: 'link p/f l', call: 'rename p/f q/n', after: { l: 'ctime>A mtime=A atime=A' } },
  {
    name: 'rename, the replaced',
    setup: 'create q/n; link q/n l',
    call: 'rename p/f q/n',
    after: { l: 'ctime>A mtime=A atime=A nlink=1', q: 'mtime>A ctime>A' },
  },
  {
    name: 'rename that fails',
    call: 'rename p/f q -> EISDIR',
    after: { p: same('A'), q: same('A'), 'p/f': same('A') },
  },
  {
    name: 'renameat2 EXCHANGE',
    setup: 'create q/n',
    call: 'rename2 p/f q/n EXCHANGE',
    after: { p: 'mtime>A ctime>A', q: 'mtime>A ctime>A' },
  },
  { name: 'chmod', call: 'chmod p/f 0600', after: { 'p/f': 'ctime>A mtime=A atime=A', p: same('A') } },
  { name: 'chmod of a directory', call: 'chmod p/d 0700', after: { 'p/d': 'ctime>A mtime=A atime=A', p: same('A') } },
  { name: 'chown', call: 'chown p/f 1001 1001', after: { 'p/f': 'ctime>A mtime=A atime=A', p: same('A') } },
  { name: 'chmod that fails', call: 'u1: chmod p/f 0600 -> EPERM', after: { 'p/f': same('A') } },
  { name: 'chown that fails', call: 'u1: chown p/f 1001 1001 -> EPERM', after: { 'p/f': same('A') } },
  { name: 'setxattr', call: 'setxattr p/f user.a 1', after: { 'p/f': 'ctime>A mtime=A atime=A' } },
  {
    name: 'removexattr',
    setup: 'setxattr p/f user.a 1',
    call: 'removexattr p/f user.a',
    after: { 'p/f': 'ctime>A mtime=A atime=A' },
  },
  { name: 'truncate', call: 'truncate p/f 1', after: { 'p/f': 'ctime>A mtime>A atime=A size=1', p: same('A') } },
  {
    name: 'truncate to a greater size',
    call: 'truncate p/f 100',
    after: { 'p/f': 'ctime>A mtime>A atime=A size=100' },
  },
  { name: 'ftruncate', setup: 'open fd p/f RDWR', call: 'ftruncate fd 1', after: { 'p/f': 'ctime>A mtime>A atime=A' } },
  { name: 'open O_TRUNC', call: 'opens p/f WRONLY|TRUNC', after: { 'p/f': 'ctime>A mtime>A atime=A size=0' } },
  { name: 'truncate that fails', call: 'u1: truncate p/f 1 -> EACCES', after: { 'p/f': same('A') } },
  {
    name: 'write',
    setup: 'open fd p/f RDWR',
    call: 'write fd x',
    after: { 'p/f': 'ctime>A mtime>A atime=A', p: same('A') },
  },
  {
    name: 'write without a change of size',
    setup: 'open fd p/f RDWR',
    call: 'pwrite fd x 0',
    after: { 'p/f': 'ctime>A mtime>A atime=A size=6' },
  },
  { name: 'write of nothing', setup: 'open fd p/f RDWR', call: 'write fd ""', after: { 'p/f': same('A') } },
  {
    name: 'fallocate of more',
    setup: 'open fd p/f RDWR',
    call: 'fallocate fd 0 0 8192',
    after: { 'p/f': 'ctime>A mtime>A atime=A size=8192' },
  },
  {
    name: 'fallocate PUNCH_HOLE',
    setup: 'open fd p/f RDWR',
    call: 'fallocate fd 3 0 3',
    after: { 'p/f': 'ctime>A mtime>A atime=A size=6' },
  },
  {
    name: 'copy_file_range',
    setup: 'create g 0644 abcdef; open a g RDONLY; open fd p/f RDWR',
    call: 'copy a fd 6 0 6',
    after: { 'p/f': 'ctime>A mtime>A', g: 'mtime=A ctime=A' },
  },
  { name: 'stat', call: 'stat p/f', after: { 'p/f': same('A') } },
  { name: 'open and close', call: 'opens p/f RDWR', after: { 'p/f': same('A'), p: same('A') } },
  { name: 'access', call: 'access p/f rw', after: { 'p/f': same('A') } },
  {
    name: 'utimensat of one time',
    call: 'utimens p/f 1000.5 OMIT',
    after: { 'p/f': 'ctime>A mtime=A atime=1000500000000', p: same('A') },
  },
  {
    name: 'utimensat of the other',
    call: 'utimens p/f OMIT 1000.5',
    after: { 'p/f': 'ctime>A atime=A mtime=1000500000000' },
  },
  { name: 'utimensat OMIT OMIT', call: 'utimens p/f OMIT OMIT', after: { 'p/f': same('A') } },
  { name: 'utimensat NOW OMIT', call: 'utimens p/f NOW OMIT', after: { 'p/f': 'ctime>A atime>A mtime=A' } },
  { name: 'utimensat OMIT NOW', call: 'utimens p/f OMIT NOW', after: { 'p/f': 'ctime>A mtime>A atime=A' } },
  { name: 'utimensat null', call: 'utimens p/f null null', after: { 'p/f': 'ctime>A mtime>A atime>A' } },
];
for (const { name, setup, call, after } of STAMPS) {
  const paths = Object.keys(after);
  const saves = paths.map((path, i) => `lstat ${path} => A${i}`).join('\n');
  const checks = paths.map((path, i) => `lstat ${path} -> ${after[path]!.replace(/\bA\b/g, `A${i}`)}`).join('\n');
  add(
    `${name}: times`,
    `mkdir p; mkdir q; create p/f 0644 abcdef; mkdir p/d${setup === undefined ? '' : `; ${setup}`}\n${saves}\ntick\n${call}\n${checks}`,
  );
}

// What is new gets one time for all.
for (const [name, call] of Object.entries({
  'open O_CREAT': 'opens n CREAT|WRONLY',
  mkdir: 'mkdir n',
  mkfifo: 'mkfifo n',
  symlink: 'symlink t n',
  'mknod of a device': 'mknod n chr 0644 1 3',
})) {
  add(
    `${name}: times of the new`,
    `stat . => P; tick; ${call}; lstat n => N; lstat n -> mtime>P ctime>P atime>P; stat . -> mtime>P`,
  );
}

// The range and the grain of times.
for (const [name, time] of Object.entries({
  'the epoch': '0',
  nanoseconds: '1234567890.123456789',
  'one nanosecond': '0.000000001',
  'the last nanosecond of a second': '1.999999999',
  'the end of 32 bits': '2147483647.5',
  'after 2038': '2147483648.25',
  'after 2106': '4294967296.75',
  'the year 2400': '13569465600',
})) {
  const [seconds, fraction = ''] = time.split('.');
  const nanos = BigInt(seconds!) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  for (const [kind, make] of Object.entries({
    file: 'create o',
    directory: 'mkdir o',
    link: 'symlink t o',
    fifo: 'mkfifo o',
  })) {
    add(
      `utimensat of a ${kind}: ${name}`,
      `${make}; utimens o ${time} ${time} nofollow; lstat o -> mtime=${nanos} atime=${nanos}`,
    );
  }
}
for (const [seconds, nanos] of [
  ['-1', '-1000000000'],
  ['-86400', '-86400000000000'],
  ['-2147483648', '-2147483648000000000'],
]) {
  add(
    `utimensat before 1970: ${seconds}`,
    `create o; utimens o ${seconds} ${seconds}; stat o -> mtime=${nanos} atime=${nanos}`,
  );
}

const ROWS: Readonly<Record<string, string>> = {
  'utimensat by a symbolic link':
    'create f; symlink f l; lstat l => L; utimens l 5 6; stat f -> atime=5000000000 mtime=6000000000; lstat l -> mtime=L; utimens l 7 8 nofollow; lstat l -> atime=7000000000 mtime=8000000000; stat f -> mtime=6000000000',
  futimens: 'create f; open fd f RDONLY; futimens fd 5.25 6.5; fstat fd -> atime=5250000000 mtime=6500000000',
  'futimens of an unlinked file':
    'create f; open fd f RDWR; unlink f; futimens fd 5 6; fstat fd -> atime=5000000000 mtime=6000000000 nlink=0',
  'times set stay though data is still on its way':
    'create f; open fd f RDWR; write fd hello; utimens f 5 6; close fd; stat f -> atime=5000000000 mtime=6000000000 size=5',
  'times set stay after fsync':
    'create f; open fd f RDWR; write fd hello; utimens f 5 6; fsync fd; stat f -> mtime=6000000000; close fd; stat f -> mtime=6000000000',
  'a write after times are set counts':
    'create f; open fd f RDWR; futimens fd 5 6; write fd hello; stat f => A; close fd; stat f -> mtime=A; stat f -> mtime!6000000000',
  'rename keeps mtime and atime': 'create f; utimens f 5 6; rename f g; stat g -> atime=5000000000 mtime=6000000000',
  'link keeps mtime and atime': 'create f; utimens f 5 6; link f g; stat g -> atime=5000000000 mtime=6000000000',
  'birth time is that of creation and stays':
    'create f; btime f => B; tick; chmod f 0600; utimens f 5 6; put f abc; rename f g; btime g -> btime=B; stat . => D; btime f -> ENOENT',
  'stat agrees with fstat after each write':
    'create f; open fd f RDWR; write fd a; fstat fd => A; stat f -> mtime=A ctime=A size=A; tick; write fd b; stat f -> mtime>A ctime>A size=2; fstat fd => B; stat f -> mtime=B ctime=B',
  'hard links show the same times':
    'create f; link f g; put f abc; stat f => A; stat g -> mtime=A ctime=A ino=A size=A',
  'atime follows a read where it is older than mtime (relatime)':
    'create f 0644 abc; utimens f 5 6; cat f -> abc; stat f -> atime!5000000000 mtime=6000000000',
  'atime follows a listing where it is older (relatime)':
    'mkdir d; create d/x; utimens d 5 6; list d -> x; stat d -> atime!5000000000 mtime=6000000000',
  'atime follows readlink where it is older (relatime)':
    'symlink t l; utimens l 5 6 nofollow; readlink l -> t; lstat l -> atime!5000000000 mtime=6000000000',
  'O_NOATIME leaves it':
    'create f 0644 abc; utimens f 5 6; open fd f RDONLY|NOATIME; read fd -> abc; stat f -> atime=5000000000',
  'mmap: a write shows in mtime after msync':
    'create f 0644 abcdef; stat f => A; open fd f RDWR; mmap m fd 6; tick; mwrite m 0 XY; msync m; fsync fd; stat f -> mtime>A ctime>A; cat f -> XYcdef',
};
for (const [name, script] of Object.entries(ROWS)) add(name, script);

export const TIMES: readonly Case[] = cases;
