import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import type { KvBatch, KvEngine, KvGuard, KvReader } from '../../src/kv/kv-engine.js';
import { LmdbEngine } from '../../src/kv/lmdb-engine.js';
import { MemoryEngine } from '../../src/kv/memory-engine.js';

/** The reference: a sorted array of pairs. */
type Model = readonly (readonly [string, string])[];

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const bytes = (value: string): Buffer => Buffer.from(value, 'latin1');
const value = (model: Model, key: string): string | undefined => model.find(([k]) => k === key)?.[1];
const within = (model: Model, start: string, end: string): Model => model.filter(([k]) => k >= start && k < end);

interface Batch {
  readonly puts: readonly (readonly [string, string])[];
  readonly deletes: readonly string[];
  readonly deleteRanges: readonly (readonly [string, string])[];
  readonly guards: readonly (
    | { readonly kind: 'unchanged' | 'exists' | 'absent'; readonly key: string }
    | { readonly kind: 'emptyRange'; readonly start: string; readonly end: string }
  )[];
}

function holds(model: Model, guard: Batch['guards'][number]): boolean {
  switch (guard.kind) {
    case 'unchanged':
      return true;
    case 'exists':
      return value(model, guard.key) !== undefined;
    case 'absent':
      return value(model, guard.key) === undefined;
    case 'emptyRange':
      return within(model, guard.start, guard.end).length === 0;
  }
}

function applied(model: Model, batch: Batch): Model {
  const entries = new Map(model);
  for (const [start, end] of batch.deleteRanges) for (const [key] of within(model, start, end)) entries.delete(key);
  for (const key of batch.deletes) entries.delete(key);
  for (const [key, v] of batch.puts) entries.set(key, v);
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** `unchanged` guards take the value that the model has. */
function encoded(batch: Batch, model: Model): KvBatch {
  const guards = batch.guards.map((guard): KvGuard => {
    if (guard.kind === 'emptyRange') return { kind: 'emptyRange', start: bytes(guard.start), end: bytes(guard.end) };
    const key = bytes(guard.key);
    if (guard.kind !== 'unchanged') return { kind: guard.kind, key };
    const now = value(model, guard.key);
    return { kind: 'unchanged', key, value: now === undefined ? undefined : bytes(now) };
  });
  return {
    puts: batch.puts.map(([key, v]) => ({ key: bytes(key), value: bytes(v) })),
    deletes: batch.deletes.map(bytes),
    deleteRanges: batch.deleteRanges.map(([start, end]) => ({ start: bytes(start), end: bytes(end) })),
    guards,
  };
}

const key = fc
  .tuple(fc.constantFrom('a', 'b\0', 'b\xff', '\xff'), fc.constantFrom('', '\0', '1', '2', '\xff'))
  .map(([a, b]) => a + b);
const keyRange = fc.tuple(key, key);
const someBatch: fc.Arbitrary<Batch> = fc
  .record({
    puts: fc.uniqueArray(
      fc.tuple(
        key,
        fc.string({ maxLength: 5 }).map((s) => text(bytes(s))),
      ),
      {
        maxLength: 4,
        selector: ([k]) => k,
      },
    ),
    deletes: fc.uniqueArray(key, { maxLength: 2 }),
    deleteRanges: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(keyRange, { maxLength: 2 }) },
    ),
    guards: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      {
        weight: 1,
        arbitrary: fc.array(
          fc.oneof(
            fc.record({ kind: fc.constantFrom('unchanged' as const, 'exists' as const, 'absent' as const), key }),
            keyRange.map(([start, end]) => ({ kind: 'emptyRange' as const, start, end })),
          ),
          { maxLength: 2 },
        ),
      },
    ),
  })
  .map((batch) => ({ ...batch, deletes: batch.deletes.filter((k) => !batch.puts.some(([put]) => put === k)) }));

type Step =
  | { readonly op: 'commit'; readonly batches: readonly { readonly batch: Batch; readonly durable: boolean }[] }
  | {
      readonly op: 'range';
      readonly range: readonly [string, string];
      readonly limit: number;
      readonly reverse: boolean;
    }
  | { readonly op: 'snapshot' | 'settle' | 'reopen' | 'barrier' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constant('commit' as const),
      batches: fc.array(fc.record({ batch: someBatch, durable: fc.boolean() }), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('range' as const),
      range: keyRange,
      limit: fc.integer({ min: 1, max: 25 }),
      reverse: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ op: 'snapshot' as const }) },
  { weight: 2, arbitrary: fc.constant({ op: 'settle' as const }) },
  { weight: 1, arbitrary: fc.constant({ op: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ op: 'barrier' as const }) },
);

async function compare(reader: KvReader, model: Model): Promise<void> {
  const all = await reader.range(Buffer.alloc(0), Buffer.alloc(4, 0xff), { limit: 1000 });
  expect(all.map((entry) => [text(entry.key), text(entry.value)])).toEqual(model);
  const keys = model.map(([k]) => k);
  const values = await reader.getMany([...keys, 'none'].map(bytes));
  expect(values.map((v) => v && text(v))).toEqual([...model.map(([, v]) => v), undefined]);
}

/** Issues the batches at once; returns the model after those that hold. */
async function commit(
  engine: KvEngine,
  model: Model,
  batches: Extract<Step, { op: 'commit' }>['batches'],
): Promise<Model> {
  let now = model;
  let failed = false;
  const expected: string[] = [];
  const commits = batches.map(({ batch, durable }) => {
    const done = engine.commit(encoded(batch, now), { durable });
    if (failed) expected.push('aborted');
    else if (batch.guards.every((guard) => holds(now, guard))) {
      expected.push('ok');
      now = applied(now, batch);
    } else {
      expected.push('guard-failed');
      failed = true;
    }
    return done.then(
      () => 'ok',
      (error: { readonly code: string }) => error.code,
    );
  });
  expect(await Promise.all(commits)).toEqual(expected);
  return now;
}

async function run(steps: readonly Step[], open: () => Promise<KvEngine>, reopens: boolean): Promise<void> {
  let engine = await open();
  let model: Model = [];
  let snapshots: [KvReader & Disposable, Model][] = [];
  for (const s of steps) {
    switch (s.op) {
      case 'commit':
        model = await commit(engine, model, s.batches);
        break;
      case 'range': {
        const got = await engine.range(bytes(s.range[0]), bytes(s.range[1]), { limit: s.limit, reverse: s.reverse });
        const want = [...within(model, ...s.range)];
        if (s.reverse) want.reverse();
        expect(got.map((entry) => [text(entry.key), text(entry.value)])).toEqual(want.slice(0, s.limit));
        break;
      }
      case 'snapshot':
        snapshots.push([engine.snapshot(), model]);
        break;
      case 'settle':
        if (engine instanceof LmdbEngine) await engine.settle();
        break;
      case 'barrier':
        await engine.barrier();
        break;
      case 'reopen':
        if (!reopens) break;
        for (const [snapshot, then] of snapshots) {
          await compare(snapshot, then);
          snapshot[Symbol.dispose]();
        }
        snapshots = [];
        await engine.close();
        engine = await open();
        break;
    }
    await compare(engine, model);
    for (const [snapshot, then] of snapshots) await compare(snapshot, then);
  }
  for (const [snapshot] of snapshots) snapshot[Symbol.dispose]();
  await engine.close();
}

const runs = process.env['CURVEFS_TEST_LONG'] === '1' ? 500 : 20;

test('MemoryEngine does as a sorted array does', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) => run(steps, async () => new MemoryEngine(), false)),
    { numRuns: runs * 3 },
  );
});

test('LmdbEngine does as a sorted array does', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'kv-model-'));
      try {
        // small layers: they are sealed and applied all the time
        const opts = { dir, limitBytes: 64 << 20, layerBytes: 300, layerAgeMs: 5, flushIntervalMs: 5 };
        await run(steps, () => LmdbEngine.open({ logger: silentLogger, metrics: noMetrics }, opts), true);
      } finally {
        await fs.promises.rm(dir, { recursive: true });
      }
    }),
    { numRuns: runs, interruptAfterTimeLimit: 40_000 },
  );
}, 60_000);
