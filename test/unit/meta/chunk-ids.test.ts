import { describe, expect, test } from '@jest/globals';
import type { Clock } from '../../../src/common/clock.js';
import { silentLogger } from '../../../src/common/logger.js';
import { ChunkIds, type AllocateRange } from '../../../src/meta/chunk-ids.js';
import type { ChunkId } from '../../../src/model/ids.js';
import { RpcError } from '../../../src/wire/rpc-error.js';

/** An MDS that can be away, and a clock that does not wait. */
function setUp(options: { rangeSize: number; giveUpMs?: number }) {
  let nowMs = 0;
  let next = 1;
  const state = { away: false, asked: 0 };
  const clock: Clock = {
    nowNs: () => 0n,
    monotonicMs: () => nowMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      nowMs += ms;
      await new Promise(setImmediate);
    },
  };
  const allocateRange: AllocateRange = async (count) => {
    state.asked++;
    await new Promise(setImmediate);
    if (state.away) throw new RpcError('unreachable', 'cannot reach the MDS');
    const first = next as ChunkId;
    next += count;
    return { first, count };
  };
  return { state, ids: new ChunkIds({ clock, log: silentLogger, allocateRange }, options) };
}

const ticks = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};

describe('ChunkIds', () => {
  test('each id once, in one question per range, most without waiting', async () => {
    const { ids, state } = setUp({ rangeSize: 10 });
    const seen = new Set<number>();
    let waited = 0;
    for (let i = 0; i < 100; i++) {
      const id = ids.allocate();
      if (id instanceof Promise) waited++;
      seen.add(await id);
      await ticks(1);
    }
    expect(seen.size).toBe(100);
    expect(waited).toBe(1);
    expect(state.asked).toBeLessThanOrEqual(11);
  });

  test('all that wait share one question', async () => {
    const { ids, state } = setUp({ rangeSize: 100 });
    const got = await Promise.all(Array.from({ length: 50 }, async () => ids.allocate()));
    expect(new Set(got).size).toBe(50);
    expect(state.asked).toBeLessThanOrEqual(2);
  });

  test('an MDS that is briefly away is not noticed while ids are left', async () => {
    const { ids, state } = setUp({ rangeSize: 10 });
    await ids.allocate();
    await ticks(2);
    state.away = true;
    for (let i = 0; i < 9; i++) expect(typeof ids.allocate()).toBe('number');
    state.away = false;
    await ticks(20);
    expect(typeof ids.allocate()).toBe('number');
  });

  test('without ids it asks until the MDS is back', async () => {
    const { ids, state } = setUp({ rangeSize: 10 });
    state.away = true;
    const id = ids.allocate();
    await ticks(5);
    state.away = false;
    expect(await id).toBe(1);
    expect(state.asked).toBeGreaterThan(2);
  });

  test('gives up with ETIMEDOUT, and asks afresh at the next call', async () => {
    const { ids, state } = setUp({ rangeSize: 10, giveUpMs: 1000 });
    state.away = true;
    await expect(ids.allocate()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    state.away = false;
    expect(await ids.allocate()).toBe(1);
  });

  test('abort: EINTR, and the range still serves the others', async () => {
    const { ids } = setUp({ rangeSize: 10 });
    const abort = new AbortController();
    const interrupted = ids.allocate(abort.signal);
    const other = ids.allocate();
    abort.abort();
    await expect(interrupted).rejects.toMatchObject({ code: 'EINTR' });
    expect(await other).toBe(1);
  });

  test('close ends the waiting', async () => {
    const { ids, state } = setUp({ rangeSize: 10 });
    state.away = true;
    const id = ids.allocate();
    ids.close();
    await expect(id).rejects.toMatchObject({ code: 'ESHUTDOWN' });
  });
});
