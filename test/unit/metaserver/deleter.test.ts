import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { chunkKey } from '../../../src/model/chunk-key.js';
import type { ChunkId } from '../../../src/model/ids.js';
import { MemoryStore } from '../../../src/object/memory-store.js';
import { ObjectError, type ObjectErrorCode } from '../../../src/object/object-error.js';
import { Harness } from './slot-harness.js';

/** A store with objects that cannot be deleted: a request that names one fails as a whole. */
class StubbornStore extends MemoryStore {
  readonly stuck = new Map<string, ObjectErrorCode>();
  outage: ObjectErrorCode | undefined;
  failures = 0;

  override async delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    const code = this.outage ?? keys.map((key) => this.stuck.get(key)).find((each) => each !== undefined);
    if (code !== undefined) {
      this.failures++;
      throw new ObjectError(code, 'not deleted');
    }
    await super.delete(keys, signal);
  }
}

let store: StubbornStore;
let harness: Harness;

beforeEach(async () => {
  store = new StubbornStore();
  harness = await Harness.start({ store });
});

afterEach(() => harness.close());

const keyOf = (chunk: number): string => chunkKey(harness.info.id, chunk as ChunkId);

async function queue(count: number): Promise<void> {
  for (let chunk = 1; chunk <= count; chunk++) await store.put(keyOf(chunk), Buffer.from('x'));
  const { slot } = harness;
  const dueMs = Number(slot.nowNs() / 1_000_000n);
  await slot.execute(async (op) => {
    for (let chunk = 1; chunk <= count; chunk++) {
      op.tx.put(slot.tables.deletions, slot.keys.deletion(dueMs, chunk as ChunkId), 'object');
    }
    await op.addCounters({ deletesQueued: count });
  });
}

const queued = async (): Promise<number> => (await harness.slot.usage()).deletesQueued;

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

const objects = (): Promise<readonly { key: string }[]> => store.list(`${harness.info.id}/0`, '', 1000);

test.each(['access-denied', 'unavailable'] as const)(
  'objects that cannot be deleted (%s) do not hold up others, and are tried again later',
  async (code) => {
    const stuck = [1, 2, 250, 499, 640].map(keyOf);
    for (const key of stuck) store.stuck.set(key, code);
    await queue(700);
    await until(async () => (await queued()) === stuck.length);
    await until(async () => (await harness.metaserver.warnings()).length > 0);
    expect((await objects()).map(({ key }) => key).sort()).toEqual([...stuck].sort());
    expect(await harness.metaserver.warnings()).toEqual([
      expect.stringMatching(/^filesystem test: 5 objects wait to be deleted: .*not deleted/),
    ]);
    // the first back-off is a minute and at most a fifth
    store.stuck.clear();
    harness.clock.advance(72_001);
    await until(async () => (await queued()) === 0);
    expect(await objects()).toEqual([]);
    await until(async () => (await harness.metaserver.warnings()).length === 0);
  },
);

test('what was deferred is counted, and tried with longer and longer waits', async () => {
  store.stuck.set(keyOf(1), 'access-denied');
  await queue(10);
  const warning =
    /^filesystem test: 1 objects wait to be deleted: 1 could not be deleted and are tried again later: not/;
  await until(async () => warning.test((await harness.metaserver.warnings())[0] ?? ''));
  const first = store.failures;
  harness.clock.advance(72_001);
  await until(() => store.failures > first);
  const second = store.failures;
  // now it is two minutes, at least four fifths of them
  harness.clock.advance(72_001);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(store.failures).toBe(second);
});

test.each(['bad-credentials', 'unavailable'] as const)(
  'a store that fails altogether (%s) defers nothing',
  async (code) => {
    store.outage = code;
    await queue(100);
    await until(async () => store.failures > 0 && (await harness.metaserver.warnings()).length > 0);
    store.outage = undefined;
    await until(async () => (await queued()) === 0);
    expect(await objects()).toEqual([]);
  },
);
