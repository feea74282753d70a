import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Cluster, waitFor } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';
import { Locker, type Answer } from './locker.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

/** Attributes and pages are kept for ever: what is seen anew is seen because of the lock. */
const LONG = 'attr_timeout=1h,entry_timeout=1h';
const TTL_MS = 4000;

kernel('locks', () => {
  let cluster: Cluster;
  let files = 0;
  const lockers: Locker[] = [];
  /** A new file, on mount `a` or `b`. */
  const file = (): string => `file-${++files}`;
  const start = async (path: string): Promise<Locker> => {
    const locker = await Locker.start(cluster.box, path);
    lockers.push(locker);
    return locker;
  };
  const both = (name: string): Promise<[Locker, Locker]> =>
    start(`a/${name}`).then(async (first) => [first, await start(`b/${name}`)]);
  /** Begins a command that blocks, and sees that it does. */
  const blocked = async (locker: Locker, op: string, args: object): Promise<Promise<Answer>> => {
    const { answer } = await locker.begin(op, args);
    const early = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 300))]);
    expect(early).toBeUndefined();
    // an array keeps `await` from waiting for it
    return [answer] as unknown as Promise<Answer>;
  };
  const answerOf = async (wait: unknown): Promise<Answer> => (wait as [Promise<Answer>])[0];

  beforeAll(async () => {
    cluster = await Cluster.create({ serviceFlags: ['--session-ttl', `${TTL_MS}ms`] });
    await cluster.mount('a', { options: LONG });
    await cluster.mount('b', { options: LONG });
  }, 120_000);

  afterEach(async () => {
    for (const locker of lockers.splice(0)) await locker.stop();
  }, 30_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('fcntl ranges hold between mounts: they split, merge and are dropped', async () => {
    const [a, b] = await both(file());
    expect(await a.posix('setlk', 'write', 0, 100)).toBe('OK');
    expect(await b.posix('setlk', 'read', 50, 10)).toBe('EAGAIN');
    expect(await b.posix('setlk', 'write', 100, 0)).toBe('OK');
    expect(await a.posix('setlk', 'unlock', 40, 20)).toBe('OK');
    expect(await b.posix('setlk', 'write', 40, 20)).toBe('OK');
    expect(await b.posix('setlk', 'write', 39, 1)).toBe('EAGAIN');
    expect(await b.posix('setlk', 'write', 60, 1)).toBe('EAGAIN');
    expect(await a.posix('setlk', 'read', 60, 10)).toBe('OK');
    expect(await b.posix('setlk', 'read', 60, 10)).toBe('OK');
    expect(await b.posix('setlk', 'read', 70, 1)).toBe('EAGAIN');
    // beyond 2^53, up to the last byte that there can be
    expect(await b.posix('setlk', 'unlock', 100, 0)).toBe('OK');
    const far = 2 ** 62;
    expect(await a.posix('setlk', 'write', far, 0)).toBe('OK');
    expect(await b.posix('setlk', 'write', far, 1)).toBe('EAGAIN');
    expect(await b.posix('setlk', 'write', far - 2 ** 20, 2 ** 20)).toBe('OK');
  }, 60_000);

  test('F_GETLK tells what is in the way, and by whom when it is on the same mount', async () => {
    const name = file();
    const [a, b] = await both(name);
    const same = await start(`a/${name}`);
    expect(await a.posix('setlk', 'write', 10, 20)).toBe('OK');
    const asked = { call: 'getlk', type: 'read', start: 0, length: 0 };
    expect(await same.ok('posix', asked)).toEqual({ type: 'write', start: 10, length: 20, pid: a.pid });
    expect(await b.ok('posix', asked)).toEqual({ type: 'write', start: 10, length: 20, pid: 0 });
    expect(await a.ok('posix', asked)).toMatchObject({ type: 'unlock' });
  }, 60_000);

  test('flock holds between mounts, shared and exclusive; the kinds do not see each other', async () => {
    const [a, b] = await both(file());
    expect(await a.flock('read')).toBe('OK');
    expect(await b.flock('read')).toBe('OK');
    expect(await b.flock('write')).toBe('EAGAIN');
    // which has cost b its shared lock
    expect(await a.flock('write')).toBe('OK');
    expect(await b.flock('read')).toBe('EAGAIN');
    expect(await b.posix('setlk', 'write')).toBe('OK');
    expect(await a.flock('unlock')).toBe('OK');
    expect(await b.flock('write')).toBe('OK');
  }, 60_000);

  test('a wait ends when the lock is dropped on the other mount', async () => {
    for (const [op, extra] of [
      ['flock', { type: 'write', wait: true }],
      ['posix', { type: 'write', call: 'setlkw' }],
      ['ofd', { type: 'write', call: 'setlkw' }],
    ] as const) {
      const [a, b] = await both(file());
      await a.ok(op, extra);
      const wait = await blocked(b, op, extra);
      const begun = Date.now();
      await a.ok(op, { ...extra, type: 'unlock' });
      expect(await answerOf(wait)).toMatchObject({ value: null });
      expect(Date.now() - begun).toBeLessThan(3000);
    }
  }, 60_000);

  test('closing any descriptor drops fcntl locks, closing the last one the others', async () => {
    const [a, b] = await both(file());
    await a.ok('dup', { to: 'g' });
    expect(await a.posix('setlk', 'write')).toBe('OK');
    await a.ok('close', { f: 'g' });
    expect(await b.posix('setlk', 'write')).toBe('OK');
    expect(await b.posix('setlk', 'unlock')).toBe('OK');

    await a.ok('dup', { to: 'g' });
    expect(await a.flock('write')).toBe('OK');
    await a.ok('ofd', { call: 'setlk', type: 'write' });
    await a.ok('close', { f: 'g' });
    expect(await b.flock('write')).toBe('EAGAIN');
    expect(await b.posix('setlk', 'write')).toBe('EAGAIN');
    await a.ok('close');
    // the kernel tells of the last close behind close(2)
    await b.ok('flock', { type: 'write', wait: true });
    expect(await b.posix('setlkw', 'write')).toBe('OK');
  }, 60_000);

  test('a holder that is killed loses its locks', async () => {
    const [a, b] = await both(file());
    expect(await a.flock('write')).toBe('OK');
    expect(await a.posix('setlk', 'write')).toBe('OK');
    await a.ok('write', { text: 'last words' });
    const wait = await blocked(b, 'posix', { call: 'setlkw', type: 'write' });
    a.signal('SIGKILL');
    expect(await answerOf(wait)).toMatchObject({ value: null });
    await b.ok('flock', { type: 'write', wait: true });
    expect(await b.ok('read')).toBe('last words');
  }, 60_000);

  test('a signal ends a wait with EINTR, and nothing is left of it', async () => {
    for (const [op, extra] of [
      ['flock', { type: 'write', wait: true }],
      ['posix', { type: 'write', call: 'setlkw' }],
    ] as const) {
      const name = file();
      const [a, b] = await both(name);
      const c = await start(`a/${name}`);
      await a.ok(op, extra);
      const wait = await blocked(b, op, extra);
      b.signal('SIGUSR1');
      expect(await answerOf(wait)).toMatchObject({ errno: 'EINTR' });
      await a.ok(op, { ...extra, type: 'unlock' });
      await c.ok(op, op === 'flock' ? { type: 'write' } : { type: 'write', call: 'setlk' });
    }
  }, 60_000);

  test('one that is killed while it waits gets nothing', async () => {
    const name = file();
    const [a, b] = await both(name);
    const c = await start(`a/${name}`);
    expect(await a.posix('setlk', 'write')).toBe('OK');
    await blocked(b, 'posix', { call: 'setlkw', type: 'write' });
    b.signal('SIGKILL');
    await b.stop();
    lockers.splice(lockers.indexOf(b), 1);
    expect(await a.posix('setlk', 'unlock')).toBe('OK');
    expect(await c.posix('setlk', 'write')).toBe('OK');
  }, 60_000);

  test('EDEADLK: a circle of waits over two mounts and two files; not for open file descriptions', async () => {
    for (const [op, expected] of [
      ['posix', 'EDEADLK'],
      ['ofd', undefined],
    ] as const) {
      const [one, two] = [file(), file()];
      const [a, b] = await both(one);
      for (const [locker, mount] of [
        [a, 'a'],
        [b, 'b'],
      ] as const) {
        await locker.ok('open', { f: 'g', path: cluster.box.path(mount, two) });
      }
      await a.ok(op, { call: 'setlk', type: 'write' });
      await b.ok(op, { f: 'g', call: 'setlk', type: 'write' });
      const wait = await blocked(a, op, { f: 'g', call: 'setlkw', type: 'write' });
      if (expected !== undefined) {
        expect(await b.run(op, { call: 'setlkw', type: 'write' })).toMatchObject({ errno: expected });
        await b.ok(op, { f: 'g', call: 'setlk', type: 'unlock' });
        expect(await answerOf(wait)).toMatchObject({ value: null });
      } else {
        const other = await blocked(b, op, { call: 'setlkw', type: 'write' });
        b.signal('SIGUSR1');
        expect(await answerOf(other)).toMatchObject({ errno: 'EINTR' });
      }
    }
  }, 60_000);

  test('who takes a lock sees what was done under it on the other mount, cached or mapped', async () => {
    for (const op of ['flock', 'posix'] as const) {
      const [a, b] = await both(file());
      const lock = (type: string): object => (op === 'flock' ? { type, wait: true } : { type, call: 'setlkw' });
      await a.ok(op, lock('write'));
      await a.ok('write', { text: 'first' });
      await a.ok(op, lock('unlock'));
      await b.ok(op, lock('read'));
      expect(await b.ok('read')).toBe('first');
      await b.ok('map', { size: 5 });
      expect(await b.ok('mapped')).toBe('first');
      await b.ok(op, lock('unlock'));
      await a.ok(op, lock('write'));
      await a.ok('write', { text: 'again, and longer' });
      // a conversion to a shared lock lets readers in
      await a.ok(op, lock('read'));
      await b.ok(op, lock('read'));
      expect(await b.ok('size')).toBe(17);
      expect(await b.ok('read')).toBe('again, and longer');
      expect(await b.ok('mapped')).toBe('again');
    }
  }, 60_000);

  test('a counter kept under a lock is exact, by processes of two mounts', async () => {
    const name = file();
    const counters = await Promise.all(['a', 'b', 'a', 'b'].map((mount) => start(`${mount}/${name}`)));
    await Promise.all(counters.map((counter) => counter.ok('count', { times: 10 })));
    const reader = await start(`a/${name}`);
    await reader.ok('flock', { type: 'read', wait: true });
    expect(await reader.ok('read')).toBe('40');
  }, 120_000);

  test('locks and waits outlive a crash of the service', async () => {
    const name = file();
    const [a, b] = await both(name);
    const c = await start(`b/${name}`);
    expect(await a.posix('setlk', 'write', 0, 10)).toBe('OK');
    const wait = await blocked(b, 'posix', { call: 'setlkw', type: 'write', start: 5, length: 10 });
    await cluster.restartService();
    expect(await c.posix('setlk', 'write', 0, 1)).toBe('EAGAIN');
    expect(await c.posix('setlk', 'write', 20, 1)).toBe('OK');
    expect(await a.posix('setlk', 'unlock', 0, 10)).toBe('OK');
    expect(await answerOf(wait)).toMatchObject({ value: null });
    expect(await a.posix('setlk', 'write', 5, 1)).toBe('EAGAIN');
  }, 60_000);

  test('with -o writeback too: an unlock uploads', async () => {
    const name = file();
    await cluster.mount('wb', { options: 'writeback,upload_delay=1h' });
    const [a, b] = [await start(`wb/${name}`), await start(`b/${name}`)];
    expect(await a.flock('write')).toBe('OK');
    await a.ok('write', { text: 'by writeback' });
    expect(await a.flock('unlock')).toBe('OK');
    expect(await b.flock('write')).toBe('OK');
    expect(await b.ok('read')).toBe('by writeback');
    await a.stop();
    lockers.splice(lockers.indexOf(a), 1);
    await cluster.umount('wb');
  }, 90_000);

  test('local_lock keeps the kind on the machine', async () => {
    const name = file();
    await cluster.mount('local', { options: 'local_lock=flock' });
    const [a, b] = [await start(`local/${name}`), await start(`b/${name}`)];
    expect(await b.flock('write')).toBe('OK');
    expect(await a.flock('write')).toBe('OK');
    expect(await b.posix('setlk', 'write')).toBe('OK');
    expect(await a.posix('setlk', 'write')).toBe('EAGAIN');
    const again = await start(`local/${name}`);
    expect(await again.flock('write')).toBe('EAGAIN');
    for (const locker of [a, again]) {
      await locker.stop();
      lockers.splice(lockers.indexOf(locker), 1);
    }
    await cluster.umount('local');
  }, 90_000);

  test('a mount that dies loses its locks when its session has expired', async () => {
    const name = file();
    await cluster.mount('dying', {});
    const [a, b] = [await start(`dying/${name}`), await start(`b/${name}`)];
    expect(await a.flock('write')).toBe('OK');
    expect(await a.posix('setlk', 'write')).toBe('OK');
    const wait = await blocked(b, 'posix', { call: 'setlkw', type: 'write' });
    for (const role of ['supervisor', 'worker'] as const) process.kill(cluster.pidOf('dying', role), 'SIGKILL');
    await waitFor(() => cluster.mountProcesses().every(({ command: line }) => !line.includes('dying')), 10_000);
    expect(await answerOf(wait)).toMatchObject({ value: null });
    await b.ok('flock', { type: 'write', wait: true });
  }, 90_000);
});
