import { setMaxListeners } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import type { Clock } from '../../../src/common/clock.js';
import { systemClock } from '../../../src/common/clock.js';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics, type MetricsRegistry } from '../../../src/common/metrics.js';
import { FaultStore } from '../../../src/object/fault-store.js';
import { LimitStore } from '../../../src/object/limit-store.js';
import { MemoryStore } from '../../../src/object/memory-store.js';
import { MetricsStore } from '../../../src/object/metrics-store.js';
import { OBJECT_ERROR_CODES, ObjectError, type ObjectErrorCode } from '../../../src/object/object-error.js';
import { probeStore } from '../../../src/object/probe.js';
import { RetryStore } from '../../../src/object/retry-store.js';
import { toFsError } from '../../../src/object/to-fs-error.js';
import { failure } from '../../conformance/object-store-suite.js';

const body = Buffer.from('body');

/** A clock whose sleeps pass at once and are noted. */
function fakeClock(): Clock & { sleeps: number[] } {
  let nowMs = 0;
  const sleeps: number[] = [];
  return {
    sleeps,
    nowNs: () => BigInt(nowMs) * 1_000_000n,
    monotonicMs: () => nowMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleeps.push(ms);
      nowMs += ms;
    },
  };
}

describe('RetryStore', () => {
  function open(opts: Partial<ConstructorParameters<typeof RetryStore>[1]> = {}) {
    const faults = new FaultStore(new MemoryStore());
    const clock = fakeClock();
    const store = new RetryStore(
      { inner: faults, clock, logger: silentLogger, metrics: noMetrics, random: () => 0.5 },
      { attemptsMax: 4, deadlineMs: 60_000, backoff: { firstMs: 100, maxMs: 1000 }, ...opts },
    );
    return { faults, clock, store };
  }

  test.each(OBJECT_ERROR_CODES.map((code) => [code, new ObjectError(code, '').retryable] as const))(
    '%s is retried: %s',
    async (code, retried) => {
      const { faults, clock, store } = open();
      faults.failNth('put', 1, code);
      expect(await failure(store.put('k', body))).toBe(retried ? 'no failure' : code);
      expect(clock.sleeps).toHaveLength(retried ? 1 : 0);
    },
  );

  test('waits double, and the last error is thrown after the last attempt', async () => {
    const { faults, clock, store } = open();
    faults.add('get', { kind: 'fail', code: 'unavailable' }, { count: 3 });
    faults.add('get', { kind: 'fail', code: 'timeout' });
    expect(await failure(store.get('k'))).toBe('timeout');
    expect(clock.sleeps).toEqual([100, 200, 400]);
  });

  test('throttled waits are longer, and capped', async () => {
    const { faults, clock, store } = open();
    faults.add('get', { kind: 'fail', code: 'throttled' }, { count: 4 });
    expect(await failure(store.get('k'))).toBe('throttled');
    expect(clock.sleeps).toEqual([400, 800, 1000]);
  });

  test('no attempt begins after the deadline', async () => {
    const { faults, clock, store } = open({ attemptsMax: 100, deadlineMs: 1000 });
    faults.add('get', { kind: 'fail', code: 'unavailable' }, { count: 100 });
    expect(await failure(store.get('k'))).toBe('unavailable');
    expect(clock.sleeps).toEqual([100, 200, 400]);
  });

  test('an abort and a close end the wait', async () => {
    for (const end of ['abort', 'close']) {
      const faults = new FaultStore(new MemoryStore());
      faults.add('get', { kind: 'fail', code: 'unavailable' }, { count: 2 });
      const controller = new AbortController();
      let sleeping: () => void = () => undefined;
      const asleep = new Promise<void>((resolve) => (sleeping = resolve));
      const clock: Clock = {
        ...systemClock,
        sleep: (ms, signal) => {
          sleeping();
          return systemClock.sleep(ms, signal);
        },
      };
      const store = new RetryStore(
        { inner: faults, clock, logger: silentLogger, metrics: noMetrics },
        { attemptsMax: 3, deadlineMs: 1e6, backoff: { firstMs: 1e5, maxMs: 1e5 } },
      );
      const result = failure(store.get('k', undefined, controller.signal));
      await asleep;
      if (end === 'abort') controller.abort();
      else await store.close();
      expect([end, await result]).toEqual([end, 'aborted']);
    }
  });

  test('an answer lost after a put and after a delete does no harm', async () => {
    const { faults, store } = open();
    faults.add('put', { kind: 'fail-after', code: 'unavailable' });
    faults.add('delete', { kind: 'fail-after', code: 'unavailable' });
    await store.put('k', body);
    expect(await store.head('k')).toBe(4);
    await store.delete(['k']);
    expect(await store.list('', '', 1)).toEqual([]);
  });
});

describe('LimitStore', () => {
  function open(concurrency: number, queueMax: number) {
    const faults = new FaultStore(new MemoryStore());
    let release: () => void = () => undefined;
    const until = new Promise<void>((resolve) => (release = resolve));
    const gauges = new Map<string, () => number>();
    const metrics: MetricsRegistry = { ...noMetrics, gauge: ({ name }, read) => void gauges.set(name, read) };
    const store = new LimitStore({ inner: faults, metrics }, { concurrency, queueMax });
    return { faults, store, release, until, gauges };
  }

  test('bounds what runs and what waits', async () => {
    const { faults, store, release, until, gauges } = open(2, 3);
    faults.add('put', { kind: 'hold', until }, { count: 100 });
    const puts = Array.from({ length: 5 }, (_, i) => failure(store.put(`k${i}`, body)));
    expect(gauges.get('object_requests_running')?.()).toBe(2);
    expect(gauges.get('object_requests_queued')?.()).toBe(3);
    expect(await failure(store.put('k5', body))).toBe('throttled');
    release();
    expect(await Promise.all(puts)).toEqual(puts.map(() => 'no failure'));
    expect(gauges.get('object_requests_running')?.()).toBe(0);
  });

  test('an abort leaves the queue at once, and is never sent', async () => {
    const { faults, store, release, until } = open(1, 10);
    faults.add('put', { kind: 'hold', until });
    const first = store.put('k1', body);
    const controller = new AbortController();
    const second = failure(store.put('k2', body, controller.signal));
    controller.abort();
    expect(await second).toBe('aborted');
    release();
    await first;
    expect((await store.list('', '', 10)).map(({ key }) => key)).toEqual(['k1']);
  });

  test('an abort of a request under way waits for the store to end it', async () => {
    const { faults, store, until } = open(1, 10);
    faults.add('put', { kind: 'hold', until });
    const controller = new AbortController();
    const put = failure(store.put('k1', body, controller.signal));
    controller.abort();
    expect(await put).toBe('aborted');
  });

  test('leaves no listener on the signal', async () => {
    const { store } = open(4, 100);
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    setMaxListeners(0, signal);
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (type: string, listener: () => void): void => {
      listeners++;
      add(type, listener);
    };
    signal.removeEventListener = (type: string, listener: () => void): void => {
      listeners--;
      remove(type, listener);
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => store.put(`k${i}`, body, signal)));
    expect(listeners).toBe(0);
  });
});

test('MetricsStore counts requests, bytes and errors by code', async () => {
  const counts = new Map<string, number>();
  const add = (name: string, labels: Readonly<Record<string, string>> | undefined, by: number): void => {
    const id = [name, ...Object.values(labels ?? {})].join(' ');
    counts.set(id, (counts.get(id) ?? 0) + by);
  };
  const metrics: MetricsRegistry = {
    counter: ({ name }, labels) => ({ inc: (by = 1) => add(name, labels, by) }),
    gauge: () => undefined,
    histogram: ({ name }, labels) => ({ observe: () => add(name, labels, 1) }),
  };
  const faults = new FaultStore(new MemoryStore());
  const store = new MetricsStore({ inner: faults, metrics, clock: systemClock });
  await store.put('k', body);
  await store.get('k');
  await store.get('k', { offset: 0, length: 1 });
  faults.failNth('put', 1, 'throttled');
  await failure(store.put('k', body));
  await failure(store.head('none'));
  expect(Object.fromEntries(counts)).toEqual({
    'object_request_duration_seconds put': 2,
    'object_request_duration_seconds get': 2,
    'object_request_duration_seconds head': 1,
    'object_bytes_total write': 4,
    'object_bytes_total read': 5,
    'object_errors_total put throttled': 1,
    'object_errors_total head not-found': 1,
  });
});

describe('probeStore names the step that failed', () => {
  test.each([
    ['put', 'write: '],
    ['get', 'read: '],
    ['delete', 'delete: '],
  ] as const)('%s', async (op, step) => {
    const faults = new FaultStore(new MemoryStore());
    faults.failNth(op, 1, 'access-denied');
    await expect(probeStore(faults)).rejects.toMatchObject({ code: 'access-denied' });
    faults.failNth(op, 1, 'access-denied');
    await expect(probeStore(faults)).rejects.toThrow(step);
  });

  test('a ranged read, other bytes, too few bytes; the object goes in each case', async () => {
    const inner = new MemoryStore();
    const faults = new FaultStore(inner);
    faults.failNth('get', 2, 'invalid');
    await expect(probeStore(faults)).rejects.toThrow('ranged read: ');
    for (const kind of ['corrupt', 'truncate'] as const) {
      faults.add('get', { kind });
      await expect(probeStore(faults)).rejects.toThrow('read: memory returned other bytes');
    }
    expect(inner.size).toBe(0);
  });
});

test('every code has an errno, and a missing object is never ENOENT', () => {
  const errno = (code: ObjectErrorCode): string => toFsError(new ObjectError(code, 'm')).code;
  expect(OBJECT_ERROR_CODES.map(errno)).not.toContain('ENOENT');
  expect(errno('no-space')).toBe('ENOSPC');
  expect(errno('aborted')).toBe('EINTR');
  expect(errno('not-found')).toBe('EIO');
});

test('an ObjectError goes to another thread and back', () => {
  const plain = structuredClone(new ObjectError('throttled', 'why').toPlain());
  expect(ObjectError.fromPlain(plain)).toMatchObject({ code: 'throttled', message: 'why', retryable: true });
});
