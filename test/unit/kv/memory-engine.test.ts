import { describe, expect, test } from '@jest/globals';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';

const put = (key: string, bytes = 1) => ({
  puts: [{ key: Buffer.from(key), value: Buffer.alloc(bytes) }],
  deletes: [],
  deleteRanges: [],
  guards: [],
});
const has = (engine: MemoryEngine, key: string) => engine.get(Buffer.from(key)) !== undefined;

/** A disk whose syncs end when the test says so. */
class Disk {
  readonly syncs: { readonly done: () => void; readonly fail: (error: Error) => void }[] = [];
  #begun: (() => void)[] = [];
  readonly sync = (): Promise<void> =>
    new Promise((done, fail) => {
      this.syncs.push({ done, fail });
      for (const begun of this.#begun.splice(0)) begun();
    });

  async begun(count: number): Promise<void> {
    while (this.syncs.length < count) await new Promise<void>((resolve) => this.#begun.push(resolve));
  }
}

describe('group commit', () => {
  test('a commit is visible when it is durable, not before', async () => {
    const disk = new Disk();
    const engine = new MemoryEngine(disk);
    const first = engine.commit(put('a'));
    const together = engine.commit(put('b'));
    await disk.begun(1);
    const later = engine.commit(put('c'));
    expect([has(engine, 'a'), has(engine, 'b'), has(engine, 'c')]).toEqual([false, false, false]);
    disk.syncs[0]!.done();
    await Promise.all([first, together]);
    expect([has(engine, 'a'), has(engine, 'b'), has(engine, 'c')]).toEqual([true, true, false]);
    await disk.begun(2);
    disk.syncs[1]!.done();
    await later;
    expect(has(engine, 'c')).toBe(true);
    expect(disk.syncs).toHaveLength(2);
  });

  test('a relaxed commit is visible at once and synced within the interval', async () => {
    const disk = new Disk();
    const engine = new MemoryEngine(disk, { flushIntervalMs: 1 });
    await engine.commit(put('a'), { durable: false });
    expect(has(engine, 'a')).toBe(true);
    expect(disk.syncs).toHaveLength(0);
    await disk.begun(1);
    disk.syncs[0]!.done();
    await engine.barrier();
    expect(disk.syncs).toHaveLength(1);
  });

  test('a barrier waits for relaxed commits', async () => {
    const disk = new Disk();
    const engine = new MemoryEngine(disk, { flushIntervalMs: 1e6 });
    await engine.commit(put('a'), { durable: false });
    let done = false;
    const barrier = engine.barrier().then(() => (done = true));
    await disk.begun(1);
    expect(done).toBe(false);
    disk.syncs[0]!.done();
    await barrier;
  });

  test('a failed sync fails all that wait, and is final', async () => {
    const disk = new Disk();
    const engine = new MemoryEngine(disk);
    const first = engine.commit(put('a'));
    await disk.begun(1);
    const second = engine.commit(put('b'));
    disk.syncs[0]!.fail(new Error('EIO'));
    await expect(first).rejects.toMatchObject({ code: 'io' });
    await expect(second).rejects.toMatchObject({ code: 'io' });
    await expect(engine.commit(put('c'))).rejects.toMatchObject({ code: 'io' });
    await expect(engine.barrier()).rejects.toMatchObject({ code: 'io' });
    expect(has(engine, 'a')).toBe(false);
  });

  test('a commit that fails while others are synced is told after them', async () => {
    const disk = new Disk();
    const engine = new MemoryEngine(disk);
    const told: string[] = [];
    const tell = (name: string, commit: Promise<void>) =>
      commit.then(
        () => told.push(name),
        (error: { code: string }) => told.push(`${name} ${error.code}`),
      );
    const first = tell('first', engine.commit(put('a')));
    await disk.begun(1);
    const second = tell('second', engine.commit({ ...put('b'), guards: [{ kind: 'absent', key: Buffer.from('a') }] }));
    const third = tell('third', engine.commit(put('c')));
    await new Promise(setImmediate);
    expect(told).toEqual([]);
    disk.syncs[0]!.done();
    await Promise.all([first, second, third]);
    expect(told).toEqual(['first', 'second guard-failed', 'third aborted']);
  });

  test('close makes relaxed commits durable', async () => {
    const disk = new Disk();
    const engine = new MemoryEngine(disk, { flushIntervalMs: 1e6 });
    await engine.commit(put('a'), { durable: false });
    const closed = engine.close();
    await disk.begun(1);
    disk.syncs[0]!.done();
    await closed;
  });
});

test('a full database refuses puts and takes deletes', async () => {
  const engine = new MemoryEngine({}, { limitBytes: 1000 });
  await engine.commit(put('a', 700));
  await expect(engine.commit(put('b', 300))).rejects.toMatchObject({ code: 'no-space' });
  await engine.commit(put('b', 300), { reserve: true });
  await expect(engine.commit(put('c', 2 << 20), { reserve: true })).rejects.toMatchObject({ code: 'no-space' });
  await engine.commit({ puts: [], deletes: [Buffer.from('a'), Buffer.from('b')], deleteRanges: [], guards: [] });
  expect(engine.space().usedBytes).toBe(0);
  await engine.commit(put('b', 300));
});
