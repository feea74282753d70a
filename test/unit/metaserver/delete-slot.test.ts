import { afterEach, expect, test } from '@jest/globals';
import type { KvBatch, KvCommitOptions } from '../../../src/kv/kv-engine.js';
import { KvError } from '../../../src/kv/kv-error.js';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';
import { filesystemKey } from '../../../src/metaserver/keys.js';
import { filesystemCodec } from '../../../src/metaserver/records/filesystem-record.js';
import { RecordWriter } from '../../../src/metaserver/records/record-writer.js';
import type { FsId } from '../../../src/model/ids.js';
import { fill, Harness, ROOT_INO } from './slot-harness.js';

class FailingEngine extends MemoryEngine {
  failing = false;

  override commit(batch: KvBatch, options?: KvCommitOptions): Promise<void> {
    if (this.failing) return Promise.reject(new KvError('io', 'as the test wants'));
    return super.commit(batch, options);
  }
}

let harness: Harness;
afterEach(() => harness.close());

async function removed(): Promise<void> {
  const rows = async () => harness.engine.range(Buffer.from('F'), Buffer.from('T'), { limit: 1000 });
  while ((await rows()).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await harness.store.list('', '', 10)).toEqual([]);
}

test('a filesystem is deleted when the database is full', async () => {
  harness = await Harness.start({ engine: new MemoryEngine({}, { limitBytes: 1 << 20 }) });
  await harness.store.put('3/0/0/1', Buffer.from('x'));
  await fill(harness.engine);
  await harness.metaserver.deleteSlot(harness.info.id);
  await removed();
  await harness.restart();
  expect(harness.metaserver.slotOf(harness.info.id)).toBeUndefined();
});

test('a filesystem that could not be marked is served as before, and deleted by the next attempt', async () => {
  const engine = new FailingEngine();
  harness = await Harness.start({ engine });
  engine.failing = true;
  await expect(harness.metaserver.deleteSlot(harness.info.id)).rejects.toThrow('as the test wants');
  engine.failing = false;
  const client = await harness.client();
  await client.create(ROOT_INO, 'f');
  await harness.slot.sessions.end(client.id, 0, 'x');
  await harness.metaserver.deleteSlot(harness.info.id);
  await harness.metaserver.deleteSlot(harness.info.id);
  await removed();
});

test('two deletions at once both wait for the mark', async () => {
  const engine = new FailingEngine();
  harness = await Harness.start({ engine });
  engine.failing = true;
  const both = [1, 2].map(() => harness.metaserver.deleteSlot(harness.info.id));
  for (const { status } of await Promise.allSettled(both)) expect(status).toBe('rejected');
  engine.failing = false;
});

test('a filesystem that is stored and not served is deleted, too', async () => {
  harness = await Harness.start();
  const id = 7 as FsId;
  const writer = new RecordWriter();
  const record = { info: { ...harness.info, id }, hashKey: Buffer.alloc(8), deleting: false };
  filesystemCodec.encode(record, writer.begin());
  const key = Buffer.from(filesystemKey(id), 'latin1');
  const puts = [{ key, value: writer.finish() }];
  await harness.engine.commit({ puts, deletes: [], deleteRanges: [], guards: [] });
  await harness.store.put('7/0/0/1', Buffer.from('x'));
  await harness.metaserver.deleteSlot(id);
  await harness.metaserver.deleteSlot(harness.info.id);
  await removed();
});
