import { afterEach, describe, expect, test } from '@jest/globals';
import type { KvBatch, KvCommitOptions } from '../../../src/kv/kv-engine.js';
import { batchBytes } from '../../../src/kv/batch-check.js';
import { KvError, type KvErrorCode } from '../../../src/kv/kv-error.js';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';
import type { Ino } from '../../../src/model/ids.js';
import { createOp, Harness, lookupOp, ROOT_INO, type TestClient } from './slot-harness.js';

/** An engine with the batch bound of the one with a disk, that can be busy. */
class BoundedEngine extends MemoryEngine {
  override readonly properties = { ...new MemoryEngine().properties, batchBytesMax: 8 << 20 };
  readonly sizes: number[] = [];
  /** What the next commits fail with. */
  readonly failures: KvErrorCode[] = [];
  always: KvErrorCode | undefined;
  attempted: () => void = () => undefined;

  override commit(batch: KvBatch, options?: KvCommitOptions): Promise<void> {
    this.attempted();
    const failure = this.always ?? this.failures.shift();
    if (failure !== undefined) return Promise.reject(new KvError(failure, 'as the test wants'));
    this.sizes.push(batchBytes(batch));
    return super.commit(batch, options);
  }
}

let harness: Harness;
let client: TestClient;
const engine = async (): Promise<BoundedEngine> => {
  const bounded = new BoundedEngine();
  harness = await Harness.start({ engine: bounded });
  client = await harness.client();
  return bounded;
};

afterEach(() => harness.close());

const setxattr = (ino: Ino, name: string, bytes: number) =>
  client.errno({
    $case: 'setxattr',
    value: { ino: BigInt(ino), name: Buffer.from(name), value: Buffer.alloc(bytes, 7), flags: 0 },
  });

describe('batches', () => {
  test('stay below the bytes that the engine takes', async () => {
    const bounded = await engine();
    const files = await Promise.all(Array.from({ length: 200 }, (_, i) => client.create(ROOT_INO, `f${i}`)));
    bounded.sizes.length = 0;
    const values = await Promise.all(files.map(({ ino }) => setxattr(ino, 'user.x', 60_000)));
    expect(values.filter((errno) => errno !== 'OK')).toEqual([]);
    expect(Math.max(...bounded.sizes)).toBeLessThan(4 << 20);
    // they still gather
    expect(bounded.sizes.length).toBeLessThan(20);
    await harness.checkAccounting();
  });

  test('of background work alone are bounded too', async () => {
    const bounded = await engine();
    const { slot } = harness;
    bounded.sizes.length = 0;
    for (let i = 0; i < 300; i++) {
      slot.inBackground((op) => {
        op.tx.put(slot.tables.xattrs, slot.keys.xattr(ROOT_INO, Buffer.from(`${i}`)), Buffer.alloc(60_000));
        return Promise.resolve();
      });
    }
    await client.create(ROOT_INO, 'f');
    expect(bounded.sizes.reduce((sum, bytes) => sum + bytes, 0)).toBeGreaterThan(300 * 60_000);
    expect(Math.max(...bounded.sizes)).toBeLessThan(4 << 20);
  });

  test('are not taken down by one operation that no batch can hold', async () => {
    await engine();
    const { slot } = harness;
    const huge = slot.execute((op) => {
      for (let i = 0; i < 200; i++) {
        op.tx.put(slot.tables.xattrs, slot.keys.xattr(ROOT_INO, Buffer.from(`${i}`)), Buffer.alloc(60_000));
      }
      return Promise.resolve();
    });
    const [failed, created] = await Promise.allSettled([huge, client.create(ROOT_INO, 'f')]);
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'E2BIG' } });
    expect(created.status).toBe('fulfilled');
  });
});

describe('an engine', () => {
  test('that is busy, or failed for somebody else, is waited for', async () => {
    const bounded = await engine();
    bounded.failures.push('busy', 'aborted', 'busy');
    const [created, found] = await Promise.all([
      client.errno(createOp(ROOT_INO, 'a')),
      client.errno(lookupOp(ROOT_INO, 'a')),
    ]);
    expect([created, found]).toEqual(['OK', 'OK']);
    expect(bounded.failures).toEqual([]);
    await harness.restart();
    expect(harness.slot.info.name).toBe('test');
  });

  test('that stays busy does not hold up a close', async () => {
    const bounded = await engine();
    const attempted = new Promise<void>((resolve) => (bounded.attempted = resolve));
    bounded.always = 'busy';
    const created = client.errno(createOp(ROOT_INO, 'a'));
    await attempted;
    await harness.close();
    expect(await created).toBe('EIO');
  });

  test('that stays busy is given up', async () => {
    const bounded = await engine();
    bounded.always = 'busy';
    expect(await client.errno(createOp(ROOT_INO, 'a'))).toBe('EIO');
    bounded.always = undefined;
    expect(await client.errno(createOp(ROOT_INO, 'a'))).toBe('OK');
  });
});
