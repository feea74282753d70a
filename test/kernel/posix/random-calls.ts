import fc from 'fast-check';

/** Random lines of a case (see case.ts) over few names, so that they meet each other: by several users, most of them meaningful. */
const USER = fc.constantFrom('root', 'root', 'u1', 'u1', 'u2', 'supp');
const NAME = fc.constantFrom('a', 'b', 'c', 'd');
const PATH = fc.oneof(
  { weight: 6, arbitrary: NAME },
  { weight: 4, arbitrary: fc.tuple(NAME, NAME).map((names) => names.join('/')) },
  { weight: 1, arbitrary: fc.tuple(NAME, NAME, NAME).map((names) => names.join('/')) },
  { weight: 1, arbitrary: fc.tuple(NAME, NAME).map(([a, b]) => `${a}/../${b}`) },
);
const MODE = fc.constantFrom('0777', '0755', '0644', '0600', '0666', '01777', '02775', '06755', '0711', '0000');
const ID = fc.constantFrom('0', '1001', '1002', '2001', '2002');
/** Not twice -1: see docs/SEMANTICS.md, where a mount differs. */
const IDS = fc
  .oneof(
    fc.tuple(ID, ID),
    ID.map((gid) => ['-1', gid]),
    ID.map((uid) => [uid, '-1']),
  )
  .map((ids) => ids.join(' '));
const TIME = fc.constantFrom('NOW', 'OMIT', '5', '1000.000000001', '5000000000', '-1');
const SLOT = fc.constantFrom('f', 'g');
/** Around the edges of pages, frames and blocks. */
const OFFSET = fc.oneof(
  fc.integer({ min: 0, max: 20 }),
  fc.constantFrom(4095, 4096, 32767, 32768, 65536, 4194300, 4194304),
);
const LENGTH = fc.constantFrom(0, 1, 3, 100, 4096, 5000, 40000, 4194304);
const DATA = fc.constantFrom('x', 'hello', 'abcdefghij', 'Z'.repeat(500));
/** NONBLOCK, as a fifo would keep the helper waiting. */
const FLAGS = fc.constantFrom(
  'RDONLY|NONBLOCK',
  'RDWR|NONBLOCK',
  'WRONLY|NONBLOCK',
  'RDWR|CREAT|NONBLOCK',
  'WRONLY|CREAT|EXCL|NONBLOCK',
  'RDWR|CREAT|TRUNC|NONBLOCK',
  'WRONLY|APPEND|NONBLOCK',
  'WRONLY|TRUNC|NONBLOCK',
  'RDONLY|DIRECTORY',
  'RDONLY|NOFOLLOW|NONBLOCK',
  'RDWR|TMPFILE',
);
const RENAME_FLAGS = fc.constantFrom('NOREPLACE', 'EXCHANGE', 'EXCHANGE');
const XATTR = fc.constantFrom('user.a', 'user.b', 'trusted.a');
const XATTR_FLAGS = fc.constantFrom('0', '0', 'CREATE', 'REPLACE');

const call = (name: string, ...args: fc.Arbitrary<string | number>[]): fc.Arbitrary<string> =>
  fc.tuple(...args).map((values) => [name, ...values].join(' '));

const CALLS: readonly (readonly [number, fc.Arbitrary<string>])[] = [
  [8, call('open', SLOT, PATH, FLAGS, MODE)],
  [3, call('create', PATH, MODE, DATA)],
  [6, call('mkdir', PATH, MODE)],
  [1, call('mkfifo', PATH, MODE)],
  [3, call('symlink', PATH, PATH)],
  [4, call('link', PATH, PATH)],
  [4, call('unlink', PATH)],
  [3, call('rmdir', PATH)],
  [8, call('rename', PATH, PATH)],
  [4, call('rename2', PATH, PATH, RENAME_FLAGS)],
  [4, call('chmod', PATH, MODE)],
  [3, call('chown', PATH, IDS)],
  [1, call('lchown', PATH, IDS)],
  [3, call('utimens', PATH, TIME, TIME, fc.constantFrom('follow', 'nofollow'))],
  [2, call('truncate', PATH, OFFSET)],
  [2, call('setxattr', PATH, XATTR, DATA, XATTR_FLAGS)],
  [1, call('removexattr', PATH, XATTR)],
  [2, call('stat', PATH)],
  [1, call('list', PATH)],
  [1, call('readlink', PATH)],
  [2, call('access', PATH, fc.constantFrom('r', 'w', 'x', 'rw', 'f'))],
  [6, call('pwrite', SLOT, DATA, OFFSET)],
  [4, call('write', SLOT, DATA)],
  [3, call('pread', SLOT, LENGTH, OFFSET)],
  [3, call('ftruncate', SLOT, OFFSET)],
  [1, call('fchmod', SLOT, MODE)],
  [1, call('fchown', SLOT, IDS)],
  [1, call('futimens', SLOT, TIME, TIME)],
  [2, call('fstat', SLOT)],
  [1, call('fsync', SLOT)],
  [2, call('close', SLOT)],
  [1, call('linkfd', SLOT, PATH)],
  [1, call('lseek', SLOT, OFFSET, fc.constantFrom('SET', 'CUR'))],
  [3, call('fallocate', SLOT, fc.constantFrom('0', '1', '3'), OFFSET, LENGTH)],
  [3, call('copy', fc.constantFrom('f', 'g'), fc.constantFrom('f', 'g'), LENGTH, OFFSET, OFFSET)],
  [1, call('umask', fc.constantFrom('0', '022', '077'))],
];

const LINE = fc
  .tuple(USER, fc.oneof(...CALLS.map(([weight, arbitrary]) => ({ weight, arbitrary }))))
  .map(([user, line]) => `${user}: ${line}`);

/** Up to so many lines of calls, mostly about as many. */
export const randomCalls = (maxLength: number): fc.Arbitrary<string[]> => fc.array(LINE, { maxLength, size: 'max' });
