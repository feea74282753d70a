import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import type { KvBatch } from '../../../src/kv/kv-engine.js';
import { LmdbEngine, type LmdbEngineOptions } from '../../../src/kv/lmdb-engine.js';

let base: string;
let opened: LmdbEngine[];

beforeEach(async () => {
  base = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'kv-lmdb-'));
  opened = [];
});
afterEach(async () => {
  for (const engine of opened) await engine.close();
  await fs.promises.rm(base, { recursive: true });
});

async function open(name: string, opts: Partial<LmdbEngineOptions> = {}): Promise<LmdbEngine> {
  const engine = await LmdbEngine.open(
    { logger: silentLogger, metrics: noMetrics },
    { dir: path.join(base, name), limitBytes: 64 << 20, layerAgeMs: 1e6, ...opts },
  );
  opened.push(engine);
  return engine;
}

const puts = (entries: Readonly<Record<string, string>>): KvBatch => ({
  puts: Object.entries(entries).map(([key, value]) => ({ key: Buffer.from(key), value: Buffer.from(value) })),
  deletes: [],
  deleteRanges: [],
  guards: [],
});
const none: KvBatch = puts({});
const all = (engine: LmdbEngine): Record<string, string> =>
  Object.fromEntries(
    engine
      .range(Buffer.from(' '), Buffer.from('~'), { limit: 10_000 })
      .map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString()]),
  );
/** What a kill of the process would leave. */
const clone = (from: string, to: string) =>
  fs.promises.cp(path.join(base, from), path.join(base, to), { recursive: true });

/** The file and place in it where the log holds the text. */
async function inLog(name: string, text: string): Promise<{ file: string; at: number }> {
  const dir = path.join(base, name, 'log');
  for (const file of await fs.promises.readdir(dir)) {
    const at = (await fs.promises.readFile(path.join(dir, file))).indexOf(text);
    if (at >= 0) return { file: path.join(dir, file), at };
  }
  throw new Error(`${text} is not in the log`);
}

async function spoil(place: { file: string; at: number }): Promise<void> {
  const file = await fs.promises.open(place.file, 'r+');
  await file.write('!', place.at);
  await file.close();
}

describe('LmdbEngine', () => {
  test('a killed process loses nothing that was acknowledged, whatever had reached the tree', async () => {
    const engine = await open('a');
    await engine.commit(puts({ a: '1', b: '1', r1: '1', r2: '1' }));
    await engine.settle();
    await engine.commit({ ...puts({ b: '2', c: '2' }), deletes: [Buffer.from('a')] });
    await engine.commit({ ...none, guards: [{ kind: 'absent', key: Buffer.from('a') }] });
    await engine.commit({ ...puts({ r2: 'new' }), deleteRanges: [{ start: Buffer.from('r'), end: Buffer.from('s') }] });
    await engine.commit(puts({ d: 'relaxed' }), { durable: false });
    const want = { b: '2', c: '2', d: 'relaxed', r2: 'new' };
    expect(all(engine)).toEqual(want);
    await clone('a', 'killed');
    const second = await open('killed');
    expect(all(second)).toEqual(want);
    // killed again before anything was applied, then with only conditions in the log
    await second.commit({ ...none, guards: [{ kind: 'exists', key: Buffer.from('b') }] });
    await clone('killed', 'again');
    const third = await open('again');
    await third.commit(puts({ e: '3' }));
    await clone('again', 'last');
    expect(all(await open('last'))).toEqual({ ...want, e: '3' });
  });

  test('a torn last record is what was not acknowledged', async () => {
    const engine = await open('a');
    await engine.commit(puts({ a: '1' }));
    await engine.commit(puts({ b: 'to be torn' }), { durable: false });
    await clone('a', 'killed');
    await spoil(await inLog('killed', 'to be torn'));
    const second = await open('killed');
    expect(all(second)).toEqual({ a: '1' });
    await second.commit(puts({ c: '1' }));
    await clone('killed', 'again');
    expect(all(await open('again'))).toEqual({ a: '1', c: '1' });
  });

  test('a broken acknowledged record is refused, not skipped', async () => {
    const engine = await open('a');
    await engine.commit(puts({ a: 'to be spoilt' }));
    await engine.commit(puts({ b: '1' }));
    await clone('a', 'killed');
    await spoil(await inLog('killed', 'to be spoilt'));
    await expect(open('killed')).rejects.toMatchObject({ code: 'corrupt' });
    // the refusal changed nothing
    await expect(open('killed')).rejects.toMatchObject({ code: 'corrupt' });
  });

  test('one process at a time', async () => {
    const engine = await open('a');
    await expect(open('a')).rejects.toMatchObject({ code: 'locked' });
    await engine.close();
    await open('a');
  });

  test('a full database refuses puts before anything is changed, and takes deletes', async () => {
    const engine = await open('a', { limitBytes: 1 << 20 });
    let count = 0;
    const fill = async (): Promise<void> => {
      for (;;) await engine.commit(puts({ [`k${count++}`]: 'x'.repeat(10_000) }));
    };
    await expect(fill()).rejects.toMatchObject({ code: 'no-space' });
    await engine.settle();
    await expect(fill()).rejects.toMatchObject({ code: 'no-space' });
    const { usedBytes, limitBytes } = engine.space();
    expect(usedBytes).toBeLessThanOrEqual(limitBytes);
    expect(usedBytes).toBeGreaterThan(limitBytes * 0.7);
    // what frees space is let through, up to a bound, and reaches the tree
    await engine.commit(puts({ mark: 'x'.repeat(1000) }), { reserve: true });
    await engine.settle();
    const overfill = async (): Promise<void> => {
      for (;;) await engine.commit(puts({ [`k${count++}`]: 'x'.repeat(10_000) }), { reserve: true });
    };
    await expect(overfill()).rejects.toMatchObject({ code: 'no-space' });
    await engine.settle();
    const stored = Object.keys(all(engine));
    await engine.commit({ ...none, deletes: stored.map((key) => Buffer.from(key)) });
    await engine.settle();
    await engine.commit(puts({ again: 'x'.repeat(10_000) }));
  });

  test('commits wait while the tree is behind, and the log does not grow without end', async () => {
    const engine = await open('a', { backlogBytesMax: 1 << 20, layerBytes: 64 << 10, limitBytes: 2 ** 31 });
    const value = 'x'.repeat(100_000);
    for (let i = 0; i < 60; i++) {
      await Promise.all(
        Array.from({ length: 8 }, (_, j) => engine.commit(puts({ [`k${j}`]: value }), { durable: false })),
      );
    }
    await engine.settle();
    expect(Object.keys(all(engine))).toHaveLength(8);
    const logs = await fs.promises.readdir(path.join(base, 'a', 'log'));
    expect(logs.length).toBeLessThanOrEqual(6);
  });

  test('applies range deletes of many entries', async () => {
    const engine = await open('a');
    await engine.commit(puts(Object.fromEntries(Array.from({ length: 3500 }, (_, i) => [`k${i}`, '1']))));
    await engine.settle();
    await engine.commit({ ...puts({ k7: '2' }), deleteRanges: [{ start: Buffer.from('k1'), end: Buffer.from('k9') }] });
    const want = all(engine);
    expect(Object.keys(want)).toContain('k7');
    expect(Object.keys(want).length).toBeLessThan(600);
    await engine.settle();
    expect(all(engine)).toEqual(want);
    expect(engine.range(Buffer.from('k'), Buffer.from('l'), { limit: 1, reverse: true })).toHaveLength(1);
  });
});
