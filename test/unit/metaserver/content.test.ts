import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { NO_CHUNK, type BlockExtents, type Extent } from '../../../src/model/extent.js';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';
import type { ChunkId, Fh, Ino } from '../../../src/model/ids.js';
import type { Response } from '../../../src/gen/curvefs/v1/metaserver.js';
import { chunkKey } from '../../../src/model/chunk-key.js';
import type { FallocateSpec } from '../../../src/model/operation.js';
import { blocksToProto, blocksFromProto } from '../../../src/wire/extent.js';
import type { Operation } from '../../../src/metaserver/operations/operation-table.js';
import {
  accessesToProto,
  cloneToProto,
  fallocateToProto,
  openToProto,
  swapToProto,
} from '../../../src/wire/operation.js';
import { commitOp, createOp, first, FS, Harness, ROOT_INO, unlinkOp, type TestClient } from './slot-harness.js';

const BLOCK = FS.blockSizeBytes;
let harness: Harness;
let client: TestClient;
let nextChunk = 1;

async function start(fs: Partial<typeof FS> = {}): Promise<void> {
  harness = await Harness.start({ fs });
  client = await harness.client();
  nextChunk = 1;
}

beforeEach(() => start());

afterEach(async () => {
  await harness.checkAccounting();
  await harness.close();
});

/** A commit of one fresh chunk whose bytes go to [offset, offset + length) of the file. */
function write(offset: number, length: number) {
  const chunkId = nextChunk++ as ChunkId;
  const blocks: BlockExtents[] = [];
  for (let at = offset; at < offset + length;) {
    const block = Math.floor(at / BLOCK);
    const end = Math.min(offset + length, (block + 1) * BLOCK);
    const extent: Extent = { offset: at - block * BLOCK, length: end - at, chunkId, chunkOffset: at - offset };
    blocks.push({ block, extents: [extent] });
    at = end;
  }
  return { blocks, chunks: [{ chunkId, size: length }], sizeAtLeast: offset + length };
}

async function extentsOf(ino: Ino): Promise<BlockExtents[]> {
  const all: BlockExtents[] = [];
  for (let from = 0; from < 1 << 20;) {
    const value = { ino: BigInt(ino), firstBlock: from, blockCount: 1 << 20 };
    const { result } = await client.ok({ $case: 'readExtents', value });
    if (result?.$case !== 'extents') throw new Error('no extents');
    all.push(...blocksFromProto(result.value.blocks));
    from = result.value.nextBlock;
  }
  return all;
}

describe('commit', () => {
  test('lays data over data and frees chunks that nothing names', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    expect(await client.commit(ino, write(0, 10_000))).toMatchObject({ size: 10_000, allocatedBytes: 12_288 });
    expect(await client.commit(ino, write(4096, 100))).toMatchObject({ size: 10_000, allocatedBytes: 12_288 });
    expect((await extentsOf(ino))[0]!.extents.map(({ offset, length, chunkId }) => [offset, length, chunkId])).toEqual([
      [0, 4096, 1],
      [4096, 100, 2],
      [4196, 5804, 1],
    ]);
    await client.commit(ino, write(0, 20_000));
    expect((await harness.slot.usage()).deletesQueued).toBe(2);
    expect((await harness.slot.usage()).usedBytes).toBe(20_480);
  });

  test('deletes the objects of dead chunks, not before two minutes', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.commit(ino, write(0, 100));
    const key = chunkKey(harness.info.id, 1 as ChunkId);
    await harness.store.put(key, Buffer.alloc(104));
    await client.commit(ino, write(0, 100));
    harness.clock.advance(119_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await harness.store.head(key)).toBe(104);
    harness.clock.advance(2000);
    while ((await harness.slot.usage()).deletesQueued > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(harness.store.head(key)).rejects.toThrow();
    // a commit that comes late is refused, for as long as the chunk is remembered
    expect(await client.errno(commitOp(ino, { ...write(0, 5), chunks: [{ chunkId: 1 as ChunkId, size: 5 }] }))).toBe(
      'EINVAL',
    );
    nextChunk = 1;
    expect(await client.errno(commitOp(ino, write(0, 100)))).toBe('ESTALE');
    nextChunk = 10;
  });

  test('is clipped by truncations that it did not know of', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.setattr(ino, { size: 50_000 });
    await client.setattr(ino, { size: 5000 });
    await client.setattr(ino, { size: 90_000 });
    expect(await client.commit(ino, { ...write(0, 100_000), truncEpoch: 1 })).toMatchObject({
      size: 90_000,
      allocatedBytes: 8192,
    });
    expect(await extentsOf(ino)).toEqual([
      { block: 0, extents: [{ offset: 0, length: 5000, chunkId: 1, chunkOffset: 0 }] },
    ]);
    expect(await client.errno(commitOp(ino, { ...write(0, 10), truncEpoch: 9 }))).toBe('EINVAL');
  });

  test('that brings nothing leaves a chunk to be deleted', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.setattr(ino, { size: 0 });
    expect(await client.commit(ino, write(100, 50))).toMatchObject({ size: 0, allocatedBytes: 0, writerEpoch: 1 });
    expect((await harness.slot.usage()).deletesQueued).toBe(1);
  });

  test('without a size stays within the file', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.setattr(ino, { size: 4000 });
    const spec = { ...write(0, 8192), sizeAtLeast: undefined, truncEpoch: 1 };
    expect(await client.commit(ino, spec)).toMatchObject({ size: 4000, allocatedBytes: 4096 });
    await client.setattr(ino, { size: 10_000 });
    expect((await extentsOf(ino))[0]!.extents).toEqual([{ offset: 0, length: 4000, chunkId: 1, chunkOffset: 0 }]);
  });

  test('sets the time of the write unless times were set since', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    const at = (sec: number) => ({ sec: 1_700_000_000 + sec, nsec: 0 });
    expect(await client.commit(ino, { ...write(0, 10), mtime: at(5) })).toMatchObject({ mtime: at(5), ctime: at(5) });
    expect((await client.commit(ino, { ...write(0, 10), mtime: at(3) })).mtime).toEqual(at(5));
    await client.setattr(ino, { mtime: at(1000) });
    expect((await client.commit(ino, { ...write(0, 10), mtime: at(2000) })).mtime).toEqual(at(1000));
    expect((await client.commit(ino, { ...write(0, 10), mtime: at(7), timeEpoch: 1 })).mtime).toEqual(at(7));
  });

  test('takes privileges when asked', async () => {
    const { ino } = await client.create(ROOT_INO, 'f', { mode: 0o106755 });
    expect((await client.commit(ino, { ...write(0, 1), killPriv: true })).mode).toBe(0o100755);
  });

  test('refuses what makes no sense', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    const good = write(0, 100);
    const bad = async (spec: object) => client.errno(commitOp(ino, { ...good, ...spec }));
    expect(await bad({ chunks: [] })).toBe('EINVAL');
    expect(await bad({ chunks: [{ chunkId: 1, size: 99 }] })).toBe('EINVAL');
    expect(
      await bad({ blocks: [{ block: 0, extents: [{ ...good.blocks[0]!.extents[0]!, offset: BLOCK - 1 }] }] }),
    ).toBe('EINVAL');
    expect(await bad({ sizeAtLeast: 2 ** 51 })).toBe('EFBIG');
    expect(await client.errno(commitOp(ROOT_INO, good))).toBe('EINVAL');
    expect(await client.errno(commitOp(99 as Ino, good))).toBe('ENOENT');
    const other = await harness.client();
    await client.commit(ino, good);
    expect(await other.errno(commitOp(ino, good))).toBe('ESTALE');
  });

  test('counts foreign changes', async () => {
    const other = await harness.client();
    const { ino } = await client.create(ROOT_INO, 'f');
    // each asks for itself: for another session's records it must have ended
    const check = async (session: 1 | 2, change: number) => {
      const value = { sessionId: BigInt(session), ino: BigInt(ino), change: BigInt(change) };
      const { result } = await (session === 1 ? client : other).ok({ $case: 'adoptCheck', value });
      return result?.value;
    };
    const ours = { exists: true, foreignChange: false };
    const foreign = { exists: true, foreignChange: true };
    await client.commit(ino, write(0, 1));
    const first = await client.commit(ino, write(0, 1));
    expect(first).toMatchObject({ writerEpoch: 1, lastWriter: 1 });
    expect(await check(1, 1)).toEqual(ours);
    expect(await check(2, 1)).toEqual(foreign);
    expect(await check(2, first.change)).toEqual(ours);
    const second = await other.commit(ino, write(0, 1));
    expect(second).toMatchObject({ writerEpoch: 2, lastWriter: 2 });
    expect(await check(1, first.change)).toEqual(foreign);
    expect(await check(1, second.change)).toEqual(ours);
    expect(await check(2, first.change)).toEqual(ours);
    // the same other session once more: what was written in between is foreign to it
    await other.commit(ino, write(0, 1));
    expect(await check(1, second.change)).toEqual(foreign);
    expect(await check(2, first.change)).toEqual(ours);
    const value = { sessionId: 2n, ino: BigInt(ino), change: 1n };
    expect(await client.errno({ $case: 'adoptCheck', value })).toBe('EBUSY');
    expect(await client.errno({ $case: 'queryOps', value: { sessionId: 2n, opIds: [] } })).toBe('EBUSY');
    await harness.slot.sessions.end(other.id, 0, 'x');
    expect(await client.errno({ $case: 'adoptCheck', value })).toBe('OK');
    await client.ok(unlinkOp(ROOT_INO, 'f'));
    expect(await check(1, 1)).toEqual({ exists: false, foreignChange: false });
  });
});

describe('swap', () => {
  const swap = (ino: Ino, expected: BlockExtents[], replacement: BlockExtents[], size: number): Operation => ({
    $case: 'swapExtents',
    value: swapToProto(ino, { expected, replacement, chunks: [{ chunkId: 50 as ChunkId, size }] }),
  });

  test('replaces what is still there', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.commit(ino, write(0, 100));
    await client.commit(ino, write(100, 100));
    const before = await client.getattr(ino);
    const expected = await extentsOf(ino);
    const whole = [{ block: 0, extents: [{ offset: 0, length: 200, chunkId: 50 as ChunkId, chunkOffset: 0 }] }];
    expect(
      await client.errno(
        swap(ino, expected, [{ block: 0, extents: [{ ...whole[0]!.extents[0]!, length: 150 }] }], 200),
      ),
    ).toBe('EINVAL');
    const done = await client.ok(swap(ino, expected, whole, 200));
    expect(done.result).toEqual({ $case: 'swap', value: { swapped: true } });
    expect(await extentsOf(ino)).toEqual(whole);
    expect(first(done)).toEqual(before);
    expect((await harness.slot.usage()).deletesQueued).toBe(2);
    const again = await client.ok(swap(ino, expected, whole, 200));
    expect(again.result).toEqual({ $case: 'swap', value: { swapped: false } });
  });
});

describe('truncation', () => {
  test('of many blocks leaves the rows to the background, and readers do not see them', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    for (let i = 0; i < 50; i++) await client.commit(ino, write(i * 4 * BLOCK, 4 * BLOCK));
    expect((await harness.slot.usage()).usedBytes).toBe(200 * BLOCK);
    await client.setattr(ino, { size: BLOCK + 100 });
    await client.setattr(ino, { size: 200 * BLOCK });
    // written over a row that is not cut yet
    await client.commit(ino, { ...write(3 * BLOCK, 10), truncEpoch: 2 });
    const expected = [
      [0, [[0, BLOCK]]],
      [1, [[0, 100]]],
      [3, [[0, 10]]],
    ];
    const seen = async () =>
      (await extentsOf(ino)).map(({ block, extents }) => [
        block,
        extents.map(({ offset, length }) => [offset, length]),
      ]);
    expect(await seen()).toEqual(expected);
    while ((await harness.slot.usage()).usedBytes > 3 * BLOCK) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await seen()).toEqual(expected);
    expect(await client.getattr(ino)).toMatchObject({ allocatedBytes: BLOCK + 8192, size: 200 * BLOCK });
  });

  test('of a removed file frees every row in the background', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    for (let i = 0; i < 50; i++) await client.commit(ino, write(i * 4 * BLOCK, 4 * BLOCK));
    await client.ok(unlinkOp(ROOT_INO, 'f'));
    while ((await harness.slot.usage()).usedBytes > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await harness.slot.usage()).toMatchObject({ usedInodes: 1, deletesQueued: 50 });
  });

  test('by O_TRUNC', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.commit(ino, write(0, 100));
    const spec = { fh: 1 as Fh, write: true, truncate: true };
    const reply = await client.ok({ $case: 'open', value: openToProto(ino, spec) });
    expect(first(reply)).toMatchObject({ size: 0, allocatedBytes: 0, truncEpoch: 1 });
    expect(reply.result).toEqual({ $case: 'extents', value: { blocks: blocksToProto([]), nextBlock: 0 } });
    client.release(ino, 1);
  });
});

describe('files of thousands of extents, each a chunk of its own', () => {
  const EXTENTS = 2048;
  const BLOCKS = 10;

  beforeEach(async () => {
    await harness.close();
    // 128 rows of them would not fit into the real one either
    const engine = new (class extends MemoryEngine {
      override readonly properties = { ...new MemoryEngine().properties, batchBytesMax: 2 << 20 };
    })();
    harness = await Harness.start({ engine });
    client = await harness.client();
  });

  /** A file whose removal in one piece would change more rows than a batch takes. */
  const scatter = async (name: string): Promise<Ino> => {
    const { ino } = await client.create(ROOT_INO, name);
    for (let block = 0; block < BLOCKS; block++) {
      const chunks = Array.from({ length: EXTENTS }, () => ({ chunkId: nextChunk++ as ChunkId, size: 16 }));
      const extents = chunks.map(({ chunkId }, i) => ({ offset: i * 32, length: 16, chunkId, chunkOffset: 0 }));
      await client.commit(ino, { blocks: [{ block, extents }], chunks, sizeAtLeast: (block + 1) * BLOCK });
    }
    return ino;
  };

  const freed = async (): Promise<void> => {
    while ((await harness.slot.usage()).usedBytes > 0) await harness.clock.sleep(0);
  };

  test('are removed', async () => {
    await scatter('f');
    await client.ok(unlinkOp(ROOT_INO, 'f'));
    await freed();
  }, 60_000);

  test('are cut, and what is written meanwhile stays', async () => {
    const ino = await scatter('f');
    await client.setattr(ino, { size: 0 });
    expect(await extentsOf(ino)).toEqual([]);
    await client.commit(ino, { ...write(0, 4096), truncEpoch: 1 });
    while ((await harness.slot.usage()).usedBytes > 4096) await harness.clock.sleep(0);
    expect((await extentsOf(ino)).map(({ block, extents }) => [block, extents.length])).toEqual([[0, 1]]);
  }, 60_000);

  test('are not overwritten in one piece: E2BIG, and in smaller ones', async () => {
    const ino = await scatter('f');
    expect(await client.errno(commitOp(ino, write(0, BLOCKS * BLOCK)))).toBe('E2BIG');
    for (let block = 0; block < BLOCKS; block++) await client.commit(ino, write(block * BLOCK, BLOCK));
    expect((await extentsOf(ino)).map(({ extents }) => extents.length)).toEqual(
      Array.from({ length: BLOCKS }, () => 1),
    );
  }, 60_000);
});

describe('capacity', () => {
  const reserve = async (who: TestClient, bytes: number) => {
    const { result } = await who.ok({ $case: 'reserve', value: { bytes: BigInt(bytes), quota: 0n, ahead: 0n } });
    return result?.$case === 'reserve' ? Number(result.value.granted) : undefined;
  };

  test('is shared by reservations, and commits spend them', async () => {
    await harness.close();
    await start({ capacityBytes: 100 * 4096 });
    const other = await harness.client();
    expect(await reserve(client, 60 * 4096 - 5)).toBe(60 * 4096);
    expect(await reserve(other, 60 * 4096)).toBe(40 * 4096);
    expect(await reserve(client, 100 * 4096)).toBe(60 * 4096);
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.commit(ino, write(0, 50 * 4096));
    expect(await client.errno(commitOp(ino, write(100 * BLOCK, 11 * 4096)))).toBe('ENOSPC');
    await client.commit(ino, write(100 * BLOCK, 10 * 4096));
    expect(await harness.slot.usage()).toMatchObject({ usedBytes: 60 * 4096, capacityBytes: 100 * 4096 });
    await harness.slot.sessions.end(other.id, 0, 'done');
    await client.commit(ino, write(200 * BLOCK, 40 * 4096));
    expect(await reserve(client, 1)).toBe(0);
    await client.ok(unlinkOp(ROOT_INO, 'f'));
    expect(await reserve(client, 1000 * 4096)).toBe(100 * 4096);
  });

  test('a grant that falls short says whether more is being freed', async () => {
    await harness.close();
    await start({ capacityBytes: 40 * BLOCK });
    const { ino } = await client.create(ROOT_INO, 'f');
    await reserve(client, 40 * BLOCK);
    await client.commit(ino, write(0, 40 * BLOCK));
    const ask = async () => {
      const { result } = await client.ok({
        $case: 'reserve',
        value: { bytes: BigInt(40 * BLOCK), quota: 0n, ahead: 0n },
      });
      return result?.$case === 'reserve' ? result.value : undefined;
    };
    expect(await ask()).toEqual({ granted: 0n, freeing: false });
    const [, reply] = await Promise.all([client.ok(unlinkOp(ROOT_INO, 'f')), ask()]);
    expect(reply).toEqual({ granted: 0n, freeing: true });
    while ((await ask())?.freeing === true) await harness.clock.sleep(0);
    expect(await ask()).toEqual({ granted: BigInt(40 * BLOCK), freeing: false });
  });

  test('without a limit is not counted', async () => {
    expect(await reserve(client, 5)).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('ranges', () => {
  const fallocate = (ino: Ino, mode: FallocateSpec['mode'], offset: number, length: number): Operation => ({
    $case: 'fallocate',
    value: fallocateToProto(ino, { mode, offset, length, keepSize: true, sizeAtLeast: 0, killPriv: false }),
  });
  const doneOf = ({ result }: Response): number => {
    if (result?.$case !== 'range') throw new Error('no range');
    return Number(result.value.done);
  };

  test('a long one is done in parts', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    const length = 2000 * BLOCK;
    let parts = 0;
    for (let at = 100; at < length; parts++) {
      at += doneOf(await client.ok(fallocate(ino, 'allocate', at, length - at)));
    }
    expect(parts).toBe(4);
    expect(await client.getattr(ino)).toMatchObject({ size: 0, allocatedBytes: length });
    for (let at = BLOCK; at < length; parts++) at += doneOf(await client.ok(fallocate(ino, 'punch', at, length - at)));
    expect(parts).toBe(8);
    expect(await client.getattr(ino)).toMatchObject({ allocatedBytes: BLOCK });
    expect(doneOf(await client.ok(fallocate(ino, 'punch', BLOCK, 2 ** 45)))).toBe(2 ** 45);
  });

  test('take free space, never what is reserved for writes', async () => {
    await harness.close();
    await start({ capacityBytes: 100 * 4096 });
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.ok({ $case: 'reserve', value: { bytes: BigInt(60 * 4096), quota: 0n, ahead: 0n } });
    expect(await client.errno(fallocate(ino, 'allocate', 0, 41 * 4096))).toBe('ENOSPC');
    expect(await client.getattr(ino)).toMatchObject({ allocatedBytes: 0 });
    await client.ok(fallocate(ino, 'allocate', 0, 40 * 4096));
    await client.commit(ino, write(100 * BLOCK, 60 * 4096));
    // what is allocated can be written although nothing is free
    await client.commit(ino, write(0, 40 * 4096));
    expect(await client.errno(commitOp(ino, write(50 * BLOCK, 1)))).toBe('ENOSPC');
    await client.ok(fallocate(ino, 'punch', 0, 4096));
    await client.commit(ino, write(50 * BLOCK, 1));
  });

  test('a clone of many blocks is done in parts, and its chunks live until both files are gone', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    const length = 600 * BLOCK;
    await client.commit(ino, write(0, length));
    const copy = await client.create(ROOT_INO, 'copy');
    const rest = { source: ino, sizeAtLeast: 0, killPriv: false };
    for (let at = 0; at < length;) {
      const spec = { ...rest, sourceOffset: at, offset: at + 10, length: length - at };
      const done = doneOf(await client.ok({ $case: 'cloneRange', value: cloneToProto(copy.ino, spec) }));
      expect(done).toBeGreaterThan(0);
      at += done;
    }
    expect(await client.getattr(copy.ino)).toMatchObject({ size: length + 10 });
    await harness.checkAccounting();
    await client.ok(unlinkOp(ROOT_INO, 'f'));
    while ((await harness.slot.usage()).usedBytes > length + BLOCK)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await harness.slot.usage()).deletesQueued).toBe(0);
    await client.ok(unlinkOp(ROOT_INO, 'copy'));
    while ((await harness.slot.usage()).deletesQueued === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test('a read-only session notes no access times', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    const reader = await harness.client({ readOnly: true });
    const accesses = accessesToProto([{ ino, atime: { sec: 2 ** 33, nsec: 0 } }]);
    expect(await reader.errno({ $case: 'updateAtimes', value: accesses })).toBe('EROFS');
  });
});

test('bytes in the files are those of the last change, whatever the order of commits, truncations, holes and clones', async () => {
  const SIZE = 400_000;
  const UNWRITTEN = 65_535;
  const kind = fc.constantFrom('write', 'write', 'truncate', 'punch', 'zero', 'allocate', 'clone' as const);
  const step = fc.record({
    kind,
    file: fc.nat(1),
    at: fc.nat(300_000),
    length: fc.integer({ min: 1, max: 90_000 }),
    from: fc.nat(300_000),
    other: fc.boolean(),
  });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      // each byte's chunk, 0 = hole; in units of 100 bytes would hide edges, so bytes it is
      const files = [];
      for (const name of [`f${run}`, `g${run++}`]) {
        const { ino } = await client.create(ROOT_INO, name);
        files.push({ ino, bytes: new Uint16Array(SIZE), size: 0, epoch: 0 });
      }
      for (const { kind: what, file, at, length, from, other } of steps) {
        const target = files[file]!;
        const end = at + length;
        switch (what) {
          case 'write': {
            const spec = write(at, length);
            await client.commit(target.ino, { ...spec, truncEpoch: target.epoch });
            target.bytes.fill(spec.chunks[0]!.chunkId % 65_000, at, end);
            target.size = Math.max(target.size, end);
            break;
          }
          case 'truncate':
            await client.setattr(target.ino, { size: at });
            target.epoch++;
            if (at < target.size) target.bytes.fill(0, at);
            target.size = at;
            break;
          case 'clone': {
            const source = files[other ? 1 - file : file]!;
            if (source === target && Math.abs(from - at) < length) break;
            const { ino } = source;
            const spec = { source: ino, sourceOffset: from, offset: at, length, sizeAtLeast: 0, killPriv: false };
            const { result } = await client.ok({ $case: 'cloneRange', value: cloneToProto(target.ino, spec) });
            const count = Math.max(0, Math.min(length, source.size - from));
            expect(result).toMatchObject({ value: { done: BigInt(count) } });
            if (count === 0) break;
            target.bytes.set(
              source.bytes.slice(from, from + count).map((chunk) => (chunk === UNWRITTEN ? 0 : chunk)),
              at,
            );
            target.size = Math.max(target.size, at + count);
            break;
          }
          default: {
            const spec = { mode: what, offset: at, length, keepSize: other, sizeAtLeast: 0, killPriv: false };
            await client.ok({ $case: 'fallocate', value: fallocateToProto(target.ino, spec) });
            if (what === 'punch') target.bytes.fill(0, at, end);
            if (what === 'zero') target.bytes.fill(UNWRITTEN, at, end);
            if (what === 'allocate') for (let i = at; i < end; i++) target.bytes[i] ||= UNWRITTEN;
            if (what !== 'punch' && !other) target.size = Math.max(target.size, end);
          }
        }
      }
      for (const { ino, bytes, size } of files) {
        const seen = new Uint16Array(SIZE);
        for (const { block, extents } of await extentsOf(ino)) {
          for (const { offset, length, chunkId } of extents) {
            const value = chunkId === NO_CHUNK ? UNWRITTEN : chunkId % 65_000;
            seen.fill(value, block * BLOCK + offset, block * BLOCK + offset + length);
          }
        }
        expect(Buffer.compare(Buffer.from(seen.buffer), Buffer.from(bytes.buffer))).toBe(0);
        const units = new Set<number>();
        bytes.forEach((chunk, i) => chunk !== 0 && units.add(Math.floor(i / 4096)));
        expect(await client.getattr(ino)).toMatchObject({ size, allocatedBytes: units.size * 4096 });
      }
    }),
    { numRuns: 40 },
  );
  await harness.checkAccounting();
  expect(await client.errno(createOp(ROOT_INO, 'last'))).toBe('OK');
});
