import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FsError } from '../../../src/common/fs-error.js';
import { type Fh, type Ino, ROOT_INO } from '../../../src/model/ids.js';
import { LOCK_END_MAX } from '../../../src/model/lock.js';
import { isOfdSyscall } from '../../../src/vfs/proc-syscall.js';
import type { SetlkRequest } from '../../../src/vfs/requests.js';
import { MemoryNamespace } from '../../helpers/memory-namespace.js';
import { TestVfs } from '../../helpers/vfs.js';

const O_RDWR = 2;
const code = (errno: string): unknown => expect.objectContaining({ code: errno });

let a: TestVfs;
let b: TestVfs;
let ino: Ino;
let faults: ((op: string) => void | Promise<void>) | undefined;

beforeEach(async () => {
  faults = undefined;
  const namespace = new MemoryNamespace(1 << 22);
  a = new TestVfs({ metadata: { namespace, sessionId: 1, before: (op) => faults?.(op) } });
  b = new TestVfs({ metadata: { namespace, sessionId: 2 } });
  ({ ino } = await a.file(ROOT_INO, 'f', 'content'));
});

afterEach(() => void jest.useRealTimers());

const open = async (vfs: TestVfs): Promise<Fh> =>
  (await vfs.fs.open(vfs.by(), { ino, flags: O_RDWR, killPriv: false })).fh;
const lock = (vfs: TestVfs, fh: Fh, more: Partial<SetlkRequest> = {}, signal?: AbortSignal): Promise<void> =>
  Promise.resolve(
    vfs.fs.setlk(
      { ...vfs.by(), signal },
      {
        ...{ ino, fh, kind: 'posix', owner: 1n, start: 0n, end: LOCK_END_MAX, type: 'write', pid: 9, wait: false },
        ...more,
      },
    ),
  );
const called = (vfs: TestVfs, op: string): number => vfs.meta.calls.filter((call) => call === op).length;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await turn();
};

describe('locks of a mount', () => {
  test('hold against other mounts; what is in the way is told', async () => {
    const [fa, fb] = [await open(a), await open(b)];
    await lock(a, fa, { start: 10n, end: 20n });
    await expect(lock(b, fb)).rejects.toEqual(code('EAGAIN'));
    const found = await b.fs.getlk(b.by(), { ino, owner: 1n, start: 0n, end: LOCK_END_MAX, type: 'read' });
    expect(found).toEqual({ start: 10n, end: 20n, type: 'write', pid: 0 });
    await expect(lock(a, fa, { start: 5n, end: 5n })).rejects.toEqual(code('EINVAL'));
  });

  test('close asks the server only when the process holds a lock on the file', async () => {
    const fa = await open(a);
    await a.fs.flush(a.by(), ino, fa, 1n);
    expect(called(a, 'setLock')).toBe(0);
    await lock(a, fa);
    await lock(a, fa, { type: undefined });
    await a.fs.flush(a.by(), ino, fa, 1n);
    expect(called(a, 'setLock')).toBe(2);
    await lock(a, fa);
    await a.fs.flush(a.by(), ino, fa, 2n);
    expect(called(a, 'setLock')).toBe(3);
    expect(a.fs.lockedInodes).toBe(1);
    await a.fs.flush(a.by(), ino, fa, 1n);
    expect(called(a, 'setLock')).toBe(4);
    expect(a.fs.lockedInodes).toBe(0);
    await lock(b, await open(b));
  });

  test('closing drops the locks taken by way of another descriptor, a flock only with its own', async () => {
    const [first, second] = [await open(a), await open(a)];
    await lock(a, first, { kind: 'flock', owner: 7n });
    await lock(a, first);
    await a.fs.flush(a.by(), ino, second, 1n);
    a.fs.release(ino, second);
    await turns();
    const fb = await open(b);
    await lock(b, fb);
    await expect(lock(b, fb, { kind: 'flock' })).rejects.toEqual(code('EAGAIN'));
    a.fs.release(ino, first);
    await turns();
    await lock(b, fb, { kind: 'flock' });
    expect(a.fs.lockedInodes).toBe(0);
  });

  test('an open file description keeps its fcntl locks until the release, which no flush names', async () => {
    const fa = await open(a);
    await lock(a, fa, { owner: 55n });
    await a.fs.flush(a.by(), ino, fa, 1n);
    await expect(lock(b, await open(b))).rejects.toEqual(code('EAGAIN'));
    a.fs.release(ino, fa);
    await turns();
    await lock(b, await open(b));
  });

  test('what was written is published before a lock is dropped or weakened, and not for nothing', async () => {
    const fa = await open(a);
    const published = (): number => a.data.calls.filter((call) => call === `publish ${ino}`).length;
    await lock(a, fa);
    expect(published()).toBe(0);
    await lock(a, fa, { type: 'read' });
    expect(published()).toBe(1);
    await lock(a, fa, { type: undefined });
    expect(published()).toBe(2);
    await lock(a, fa, { type: undefined });
    expect(published()).toBe(2);
    await lock(a, fa);
    await a.fs.flush(a.by(), ino, fa, 1n);
    expect(published()).toBe(3);
  });

  test('what cannot be published keeps the lock, unless its owner is gone', async () => {
    const fa = await open(a);
    await lock(a, fa);
    a.data.publish = () => Promise.reject(new FsError('EIO', 'no store'));
    await expect(lock(a, fa, { type: undefined })).rejects.toEqual(code('EIO'));
    const fb = await open(b);
    await expect(lock(b, fb)).rejects.toEqual(code('EAGAIN'));
    await a.fs.flush(a.by(), ino, fa, 1n);
    await lock(b, fb);
  });

  test('a drop that fails is tried again', async () => {
    const fa = await open(a);
    await lock(a, fa);
    let left = 2;
    faults = (op) => {
      if (op === 'setLock' && left-- > 0) throw new FsError('EIO', 'the batch failed');
    };
    await a.fs.flush(a.by(), ino, fa, 1n);
    await lock(b, await open(b));
  });

  test('a drop that fails for long does not hold up close, and is done at last', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
    const fa = await open(a);
    await lock(a, fa);
    let failing = true;
    faults = (op) => {
      if (op === 'setLock' && failing) throw new FsError('EIO', 'the batch failed');
    };
    const closed = a.fs.flush(a.by(), ino, fa, 1n);
    for (let i = 0; i < 15; i++) await jest.advanceTimersByTimeAsync(12_000);
    await closed;
    expect(a.fs.lockedInodes).toBe(1);
    failing = false;
    await jest.advanceTimersByTimeAsync(12_000);
    expect(a.fs.lockedInodes).toBe(0);
    await lock(b, await open(b));
  });
});

describe('a wait', () => {
  test('ends with the signal: EINTR, and nothing is held', async () => {
    const [fa, fb] = [await open(a), await open(b)];
    await lock(a, fa);
    const abort = new AbortController();
    const waiting = expect(lock(b, fb, { wait: true }, abort.signal)).rejects.toEqual(code('EINTR'));
    await turns();
    abort.abort();
    await waiting;
    expect(b.fs.lockedInodes).toBe(0);
    await lock(a, fa, { type: undefined });
    await lock(a, fa, { owner: 2n });
  });

  test('whose signal comes too late has the lock, and says so', async () => {
    const [fa, fb] = [await open(a), await open(b)];
    await lock(a, fa);
    const abort = new AbortController();
    const waiting = lock(b, fb, { wait: true }, abort.signal);
    await turns();
    const unlocked = lock(a, fa, { type: undefined });
    await turn();
    abort.abort();
    await unlocked;
    await waiting;
    await expect(lock(a, fa)).rejects.toEqual(code('EAGAIN'));
    expect(b.fs.lockedInodes).toBe(1);
  });
});

test('a conversion that was granted after its caller had given up is undone, and leaves what was held before', async () => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
  const [fa, fb] = [await open(a), await open(b)];
  await lock(a, fa, { type: 'read', start: 10n, end: 20n });
  const setLock = a.meta.setLock.bind(a.meta);
  let answer: (() => void) | undefined;
  a.meta.setLock = async (...args) => {
    a.meta.setLock = setLock;
    const attr = await setLock(...args);
    await new Promise<void>((resolve) => (answer = resolve));
    return attr;
  };
  const abort = new AbortController();
  const waiting = expect(lock(a, fa, { wait: true, end: 30n }, abort.signal)).rejects.toEqual(code('EINTR'));
  await turns();
  abort.abort();
  await jest.advanceTimersByTimeAsync(5000);
  await waiting;
  answer!();
  for (let i = 0; i < 5; i++) await turns();
  await expect(lock(b, fb, { start: 15n, end: 16n })).rejects.toEqual(code('EAGAIN'));
  await lock(b, fb, { type: 'read', start: 10n, end: 20n });
  await lock(b, fb, { start: 0n, end: 10n });
  await lock(b, fb, { start: 20n, end: 30n });
  expect(a.fs.lockedInodes).toBe(1);
});

describe('an unlock', () => {
  test('that is interrupted is done all the same, and comes before the next lock of the owner', async () => {
    const fa = await open(a);
    await lock(a, fa);
    let publish: (() => void) | undefined;
    a.data.publish = () => new Promise<void>((resolve) => (publish = resolve));
    const abort = new AbortController();
    const unlocked = lock(a, fa, { type: undefined }, abort.signal);
    await turns();
    abort.abort();
    await unlocked;
    const fb = await open(b);
    await expect(lock(b, fb)).rejects.toEqual(code('EAGAIN'));
    const again = lock(a, fa, { start: 0n, end: 1n });
    await turns();
    publish!();
    await again;
    await lock(b, fb, { start: 1n });
    await expect(lock(b, fb)).rejects.toEqual(code('EAGAIN'));
  });
});

describe('a granted lock', () => {
  test('drops what the kernel has of a file that others have changed, and only then', async () => {
    const dropped: string[] = [];
    const driverCache = {
      invalidateAttr: async () => void dropped.push('attr'),
      invalidateData: async () => void dropped.push('data'),
    };
    const namespace = new MemoryNamespace(1 << 22);
    const here = new TestVfs({ metadata: { namespace, sessionId: 1 }, driverCache });
    const there = new TestVfs({ metadata: { namespace, sessionId: 2 } });
    ({ ino } = await here.file(ROOT_INO, 'f'));
    const fh = await open(here);
    await lock(here, fh);
    expect(dropped).toEqual([]);
    await lock(here, fh, { type: undefined });
    await there.meta.setattr({ opId: there.meta.clientOpId() }, ino, { mode: 0o600 });
    await lock(here, fh);
    expect(dropped.splice(0)).toContain('attr');
    await lock(here, fh, { type: undefined });
    await there.meta.setattr({ opId: there.meta.clientOpId() }, ino, { size: 100 });
    await lock(here, fh);
    expect(dropped.splice(0)).toEqual(['attr', 'data']);
    await lock(here, fh, { type: 'read' });
    expect(dropped).toEqual([]);
  });
});

test.each([
  ['72 0x3 0x26 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f05\n', 'x64', true],
  ['72 0x3 0x25 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f05\n', 'x64', true],
  ['72 0x3 0x7 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f05\n', 'x64', false],
  ['25 0x3 0x26 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f05\n', 'arm64', true],
  ['73 0x3 0x26 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f05\n', 'x64', false],
  ['running\n', 'x64', false],
  ['72 0x3 0x26\n', 'riscv64', false],
] as const)('/proc/TID/syscall %p on %s: is of an open file description: %p', (text, arch, expected) => {
  expect(isOfdSyscall(text, arch)).toBe(expected);
});
