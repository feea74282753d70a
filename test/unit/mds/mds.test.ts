import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import type { GetUsageReply } from '../../../src/gen/curvefs/v1/metaserver.js';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';
import { Mds, type NewFs } from '../../../src/mds/mds.js';
import type { MetaserverStubs } from '../../../src/mds/metaserver-stubs.js';
import type { FsInfo } from '../../../src/model/filesystem.js';
import type { FsId, SessionId } from '../../../src/model/ids.js';
import { RpcError } from '../../../src/wire/rpc-error.js';
import { fill, TestClock } from '../metaserver/slot-harness.js';

/** Metaservers as the MDS sees them. */
class FakeMetaservers {
  readonly slots = new Map<FsId, string>();
  readonly calls: string[] = [];
  readonly failures = new Map<string, Error>();
  mounted = false;

  async probeStorage(address: string): Promise<void> {
    this.#call('probe', address);
  }

  async createSlot(address: string, fs: FsInfo): Promise<void> {
    this.#call('create', address);
    this.slots.set(fs.id, address);
  }

  async deleteSlot(address: string, id: FsId): Promise<void> {
    this.#call('delete', address);
    if (this.mounted) throw new RpcError('refused', 'the filesystem is mounted: h:/m');
    this.slots.delete(id);
  }

  async getUsage(address: string): Promise<GetUsageReply> {
    this.#call('usage', address);
    return { usage: undefined, sessions: [], deletesQueued: 5n };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #call(what: string, address: string): void {
    this.calls.push(`${what} ${address}`);
    const failure = this.failures.get(what);
    this.failures.delete(what);
    if (failure !== undefined) throw failure;
  }
}

let engine: MemoryEngine;
let clock: TestClock;
let fake: FakeMetaservers;
let mds: Mds;

async function open(): Promise<void> {
  mds = await Mds.open(
    { engine, clock, logger: silentLogger, metrics: noMetrics, metaservers: fake as unknown as MetaserverStubs },
    { metaserverTtlMs: 10_000 },
  );
}

beforeEach(async () => {
  engine = new MemoryEngine({}, { limitBytes: 1 << 20 });
  clock = new TestClock();
  fake = new FakeMetaservers();
  await open();
});

afterEach(() => mds.close());

const request = (name: string, more: Partial<NewFs> = {}): NewFs => ({
  requestId: `r-${name}`,
  name,
  storage: { kind: 'file', path: '/x' },
  blockSizeBytes: 0,
  capacityBytes: 0,
  inodesMax: 0,
  root: { mode: 0o755, uid: 0, gid: 0 },
  ...more,
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('filesystems', () => {
  test('are placed on the metaserver with the fewest, and found again after a restart', async () => {
    await mds.register('a', 'a:1', []);
    await mds.register('b', 'b:1', []);
    const infos = [];
    for (const name of ['one', 'two', 'three', 'four']) infos.push(await mds.create(request(name)));
    expect(infos.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    expect(infos.map(({ metaserver }) => metaserver).sort()).toEqual(['a:1', 'a:1', 'b:1', 'b:1']);
    expect(infos[0]).toMatchObject({ blockSizeBytes: 4 << 20, name: 'one' });
    await mds.close();
    await open();
    expect(mds.list().map(({ name }) => name)).toEqual(['one', 'two', 'three', 'four']);
    // a metaserver that comes back elsewhere is followed
    await mds.register('a', 'a:2', []);
    expect(mds.list().filter(({ metaserver }) => metaserver === 'a:2')).toHaveLength(2);
  });

  test('are created once for each request', async () => {
    await mds.register('a', 'a:1', []);
    const first = await mds.create(request('one'));
    expect(await mds.create(request('one'))).toEqual(first);
    await expect(mds.create(request('one', { requestId: 'other' }))).rejects.toMatchObject({ code: 'exists' });
    expect(mds.list()).toHaveLength(1);
  });

  test.each([
    ['name', { name: '-x' }],
    ['name', { name: 'a/b' }],
    ['name', { name: 'x'.repeat(64) }],
    ['request_id', { requestId: '' }],
    ['block_size_bytes', { blockSizeBytes: 100_000 }],
    ['block_size_bytes', { blockSizeBytes: 32_768 }],
    ['block_size_bytes', { blockSizeBytes: 32 << 20 }],
    ['root_mode', { root: { mode: 0o17777, uid: 0, gid: 0 } }],
  ])('a bad %s is named, and nothing is changed', async (field, more) => {
    await mds.register('a', 'a:1', []);
    const created = (async () => mds.create(request('one', more)))();
    await expect(created).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining(field) });
    expect(fake.calls).toEqual([]);
  });

  test('need a metaserver that is alive', async () => {
    await mds.register('a', 'a:1', []);
    clock.advance(20_000);
    expect(mds.metaservers()).toMatchObject([{ alive: false }]);
    const created = mds.create(request('one'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await mds.register('a', 'a:1', ['a warning']);
    expect((await created).id).toBe(1);
    expect(mds.metaservers()).toMatchObject([{ alive: true, filesystems: 1, warnings: ['a warning'] }]);
    clock.advance(20_000);
    expect(mds.warnings()).toEqual(['the metaserver at a:1 with 1 filesystems does not answer']);
    const refused = mds.create(request('two'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    clock.advance(6000);
    await expect(refused).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('no metaserver') });
  });

  test('a storage that the service cannot use is refused with the reason', async () => {
    await mds.register('a', 'a:1', []);
    fake.failures.set('probe', new RpcError('refused', 'write: no such bucket'));
    await expect(mds.create(request('one'))).rejects.toMatchObject({
      code: 'refused',
      message: 'the metaserver at a:1 cannot use the storage: write: no such bucket',
    });
    expect(mds.list()).toEqual([]);
    expect((await mds.create(request('one'))).name).toBe('one');
  });

  test('one whose creation fails is removed, and its id is not used again', async () => {
    await mds.register('a', 'a:1', []);
    fake.failures.set('create', new RpcError('unreachable', 'gone'));
    await expect(mds.create(request('one'))).rejects.toMatchObject({ code: 'unreachable' });
    await until(() => fake.calls.includes('delete a:1'));
    expect((await mds.create(request('one'))).id).toBe(2);
  });

  test('an id whose objects are there already is passed over', async () => {
    await mds.register('a', 'a:1', []);
    fake.failures.set('create', new RpcError('exists', 'the store holds objects of another filesystem'));
    expect((await mds.create(request('one'))).id).toBeGreaterThan(1);
  });

  test('are deleted unless they are mounted', async () => {
    await mds.register('a', 'a:1', []);
    await mds.create(request('one'));
    fake.mounted = true;
    await expect(mds.delete('one')).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('h:/m'),
    });
    expect(mds.get('one').name).toBe('one');
    fake.mounted = false;
    await mds.delete('one');
    expect(() => mds.get('one')).toThrow('there is no filesystem one');
    await expect(mds.delete('one')).rejects.toMatchObject({ code: 'not-found' });
    expect(fake.slots.size).toBe(0);
    expect((await mds.create(request('one', { requestId: 'again' }))).id).toBe(2);
  });

  test('are deleted when the database is full', async () => {
    await mds.register('a', 'a:1', []);
    await mds.create(request('one'));
    await fill(engine);
    await mds.delete('one');
    expect(() => mds.get('one')).toThrow('there is no filesystem one');
  });

  test('what a crash interrupts is finished at the next start', async () => {
    await mds.register('a', 'a:1', []);
    await mds.create(request('kept'));
    await mds.create(request('mounted'));
    const [kept, mounted] = mds.list();
    const put = (id: FsId, state: string, info: FsInfo) => ({
      key: Buffer.concat([Buffer.from('MF'), Buffer.from([0, 0, 0, id])]),
      value: Buffer.from(`\x01${JSON.stringify({ info, state, requestId: 'r', metaserverId: 'a' })}`),
    });
    const half = { ...kept!, id: 9 as FsId, name: 'half' };
    fake.slots.set(half.id, 'a:1');
    await mds.close();
    await engine.commit({
      puts: [put(half.id, 'creating', half), put(mounted!.id, 'deleting', mounted!)],
      deletes: [],
      deleteRanges: [],
      guards: [],
    });
    await open();
    expect(() => mds.get('half')).toThrow('there is no filesystem half');
    await until(() => fake.slots.size === 1);
    expect([...fake.slots.keys()]).toEqual([kept!.id]);
    await until(() => mds.list().length === 1);
    expect(mds.list()[0]!.name).toBe('kept');
  });

  test('a deletion that is refused is taken back even when that cannot be stored at once', async () => {
    await mds.register('a', 'a:1', []);
    await mds.create(request('mounted'));
    const [info] = mds.list();
    await mds.close();
    const value = Buffer.from(`\x01${JSON.stringify({ info, state: 'deleting', requestId: 'r', metaserverId: 'a' })}`);
    const key = Buffer.concat([Buffer.from('MF'), Buffer.from([0, 0, 0, info!.id])]);
    await engine.commit({ puts: [{ key, value }], deletes: [], deleteRanges: [], guards: [] });
    fake.mounted = true;
    const commit = engine.commit.bind(engine);
    let failures = 2;
    engine.commit = (batch, options) =>
      failures > 0 && failures-- > 0 ? Promise.reject(new Error('the disk is full')) : commit(batch, options);
    await open();
    await until(() => fake.calls.filter((call) => call.startsWith('delete')).length === 3);
    await mds.close();
    fake.mounted = false;
    await open();
    await mds.close();
    expect(mds.list()).toHaveLength(1);
    expect(fake.slots.size).toBe(1);
  });

  test('usage is missing when the metaserver does not answer', async () => {
    await mds.register('a', 'a:1', []);
    await mds.create(request('one'));
    expect(await mds.usage('one')).toMatchObject({ deletesQueued: 5n });
    fake.failures.set('usage', new RpcError('timeout', 'late'));
    expect(await mds.usage('one')).toBeUndefined();
  });
});

describe('chunk ids', () => {
  const session = 7 as SessionId;

  test('are handed out once, over restarts and failures', async () => {
    await mds.register('a', 'a:1', []);
    const { id } = await mds.create(request('one'));
    const firsts = await Promise.all([10, 5, 1].map((count) => mds.allocateChunkIds(id, session, count)));
    expect(firsts).toEqual([1, 11, 16]);
    await mds.close();
    await open();
    expect(await mds.allocateChunkIds(id, session, 1)).toBe(17);
  });

  test('are refused for what does not exist or is out of bounds', async () => {
    await mds.register('a', 'a:1', []);
    const { id } = await mds.create(request('one'));
    await expect(mds.allocateChunkIds(99 as FsId, session, 1)).rejects.toMatchObject({ code: 'not-found' });
    for (const count of [0, 2_000_000]) {
      await expect(mds.allocateChunkIds(id, session, count)).rejects.toMatchObject({ code: 'invalid' });
    }
  });
});
