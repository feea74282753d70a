import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ChunkId, Fh, Ino } from '../../../src/model/ids.js';
import type { InodeAttr } from '../../../src/model/inode.js';
import type { QuotaLimits } from '../../../src/model/quota.js';
import { createOp, Harness, linkOp, renameOp, rmdirOp, ROOT_INO, unlinkOp, type TestClient } from './slot-harness.js';

const UNIT = 4096;

let harness: Harness;
let client: TestClient;
let chunk: number;

beforeEach(async () => {
  harness = await Harness.start();
  client = await harness.client();
  chunk = 1;
});

afterEach(async () => {
  await harness.slot.quotas.settled();
  await harness.checkAccounting();
  await harness.close();
});

const at = (path: string): Buffer => Buffer.from(path);
const quotas = () => harness.slot.quotas;
const set = (path: string, limits: Partial<QuotaLimits>) => quotas().set(at(path), limits);
async function usage(path: string): Promise<{ usedBytes: number; usedInodes: number }> {
  await quotas().settled();
  const { usedBytes, usedInodes } = await quotas().get(at(path));
  return { usedBytes, usedInodes };
}
/** A commit of so many units at the start of a file. */
async function fill(ino: Ino, units: number, by = client): Promise<InodeAttr> {
  const chunkId = chunk++ as ChunkId;
  const length = units * UNIT;
  return by.commit(ino, {
    blocks: [{ block: 0, extents: [{ offset: 0, length, chunkId, chunkOffset: 0 }] }],
    chunks: [{ chunkId, size: length }],
    sizeAtLeast: length,
  });
}
async function reserve(quota: Ino, units: number, by = client, ahead = 0): Promise<number> {
  const value = { bytes: BigInt(units * UNIT), quota: BigInt(quota), ahead: BigInt(ahead * UNIT) };
  const { result } = await by.ok({ $case: 'reserve', value });
  if (result?.$case !== 'reserve') throw new Error('no grant');
  return Number(result.value.granted) / UNIT;
}
async function statfs(
  ino: Ino,
): Promise<{ capacityBytes: number; usedBytes: number; inodesMax: number; usedInodes: number }> {
  const { result } = await client.ok({ $case: 'statfs', value: { ino: BigInt(ino) } });
  if (result?.$case !== 'statfs') throw new Error('no usage');
  const { capacityBytes, usedBytes, inodesMax, usedInodes } = result.value;
  return {
    capacityBytes: Number(capacityBytes),
    usedBytes: Number(usedBytes),
    inodesMax: Number(inodesMax),
    usedInodes: Number(usedInodes),
  };
}

describe('usage', () => {
  test('follows creates, commits, truncations and removals, without the directory itself', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    expect(await set('d', {})).toMatchObject({ ino: dir.ino, usedInodes: 0, counting: false });
    const sub = await client.mkdir(dir.ino, 'sub');
    const file = await client.create(sub.ino, 'f');
    expect(file.quota).toBe(dir.ino);
    await fill(file.ino, 5);
    expect(await usage('/d/')).toEqual({ usedBytes: 5 * UNIT, usedInodes: 2 });
    await client.setattr(file.ino, { size: UNIT });
    expect(await usage('d')).toEqual({ usedBytes: UNIT, usedInodes: 2 });
    await client.create(ROOT_INO, 'outside');
    await client.ok(linkOp(file.ino, dir.ino, 'g'));
    await client.ok(unlinkOp(sub.ino, 'f'));
    expect(await usage('d')).toEqual({ usedBytes: UNIT, usedInodes: 2 });
    await client.ok(unlinkOp(dir.ino, 'g'));
    await client.ok(rmdirOp(dir.ino, 'sub'));
    expect(await usage('d')).toEqual({ usedBytes: 0, usedInodes: 0 });
  });

  test('of an unlinked file lasts while it is open, beyond the directory', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    await set('d', {});
    const file = await client.create(dir.ino, 'f');
    await client.open(file.ino, 9);
    await fill(file.ino, 2);
    await client.ok(unlinkOp(dir.ino, 'f'));
    expect(await usage('d')).toEqual({ usedBytes: 2 * UNIT, usedInodes: 1 });
    await client.ok(rmdirOp(ROOT_INO, 'd'));
    await expect(usage('d')).rejects.toMatchObject({ code: 'not-found' });
    expect(await quotas().list()).toEqual([]);
    client.release(file.ino, 9);
    await harness.slot.execute(() => Promise.resolve());
    expect(
      await harness.slot.execute(async (op) => op.tx.get(harness.slot.tables.quotas, harness.slot.keys.quota(dir.ino))),
    ).toBeUndefined();
  });

  test('of what was there is counted, at any depth and in steps, and again after a restart', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    let deep = dir.ino;
    for (let i = 0; i < 5; i++) deep = (await client.mkdir(deep, 'sub')).ino;
    const file = await client.create(deep, 'f');
    await fill(file.ino, 3);
    await client.ok(linkOp(file.ino, dir.ino, 'hard'));
    await Promise.all(Array.from({ length: 300 }, (_, i) => client.create(dir.ino, `n${i}`)));
    expect((await set('d', { inodesMax: 1 })).counting).toBe(true);
    await harness.restart();
    expect(await usage('d')).toEqual({ usedBytes: 3 * UNIT, usedInodes: 306 });
    expect(await quotas().list()).toMatchObject([{ ino: dir.ino, path: at('/d'), inodesMax: 1, counting: false }]);
  });

  test('stays exact when the tree changes while it is counted', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    const a = await client.mkdir(dir.ino, 'a');
    const b = await client.mkdir(dir.ino, 'b');
    await Promise.all(Array.from({ length: 200 }, (_, i) => client.create(i % 2 ? a.ino : b.ino, `n${i}`)));
    await set('d', {});
    const moves = Array.from({ length: 200 }, (_, i) =>
      client.send(renameOp([i % 2 ? a.ino : b.ino, `n${i}`], [i % 2 ? b.ino : a.ino, `m${i}`])),
    );
    const made = Array.from({ length: 50 }, (_, i) => client.create(a.ino, `late${i}`));
    await Promise.all([...moves, ...made]);
    expect(await usage('d')).toEqual({ usedBytes: 0, usedInodes: 252 });
  });
});

test('a list holds up nobody, however large the directories are that it looks through', async () => {
  const dirs = await Promise.all(Array.from({ length: 20 }, (_, i) => client.mkdir(ROOT_INO, `d${i}`)));
  await Promise.all(Array.from({ length: 1500 }, (_, i) => client.create(ROOT_INO, `n${i}`)));
  for (const i of dirs.keys()) await set(`d${i}`, {});
  const order: string[] = [];
  const listed = quotas()
    .list()
    .then((list) => order.push(`${list.length} listed`));
  for (let i = 0; i < 10; i++) await client.getattr(dirs[0]!.ino);
  order.push('others served');
  await listed;
  expect(order).toEqual(['others served', '20 listed']);
});

describe('limits', () => {
  test('of inodes are kept by whatever makes one', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    await set('d', { inodesMax: 2 });
    await Promise.all(Array.from({ length: 5 }, (_, i) => client.send(createOp(dir.ino, `n${i}`))));
    expect(await usage('d')).toEqual({ usedBytes: 0, usedInodes: 2 });
    expect(await client.errno(createOp(dir.ino, 'more'))).toBe('EDQUOT');
    const open = { fh: 1 as Fh, write: true, truncate: false };
    expect(await client.errno(createOp(dir.ino, '', { unnamed: true, exclusive: false, open }))).toBe('EDQUOT');
    await client.create(ROOT_INO, 'o');
    expect(await client.errno(renameOp([ROOT_INO, 'o'], [dir.ino, 'o']))).toBe('EDQUOT');
    await set('d', { inodesMax: 3 });
    expect(await client.errno(createOp(dir.ino, 'more'))).toBe('OK');
    await set('d', { inodesMax: 0 });
    expect(await client.errno(createOp(dir.ino, 'most'))).toBe('OK');
  });

  test('of bytes are granted to sessions once, and what is granted can be committed', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    const other = await harness.client();
    await set('d', { bytesMax: 100 * UNIT });
    const file = await client.create(dir.ino, 'f');
    expect(await reserve(dir.ino, 60)).toBe(60);
    expect(await reserve(dir.ino, 60, other)).toBe(40);
    await fill(file.ino, 16);
    expect(await reserve(dir.ino, 1000)).toBe(44);
    await fill(file.ino, 16);
    expect(await usage('d')).toEqual({ usedBytes: 16 * UNIT, usedInodes: 1 });
    expect(await reserve(dir.ino, 1000, other)).toBe(40);
    await harness.metaserver.closeSession(harness.info.id, other.id);
    expect(await reserve(dir.ino, 1000)).toBe(84);
    expect(await reserve(dir.ino, 1000, client, 1000)).toBe(4);
    expect(await reserve(999 as Ino, 5)).toBe(Number.MAX_SAFE_INTEGER / UNIT);
  });

  test('have room to come only where something of the quota is being freed', async () => {
    const BLOCKS = 40;
    const outer = await client.mkdir(ROOT_INO, 'o');
    const dir = await client.mkdir(outer.ino, 'd');
    await set('o', { bytesMax: BLOCKS * 2 * UNIT });
    await set('o/d', { bytesMax: BLOCKS * UNIT });
    await quotas().settled();
    const large = async (parent: Ino): Promise<Ino> => {
      const { ino } = await client.create(parent, 'large');
      const chunkId = chunk++ as ChunkId;
      const extent = (block: number) => ({ offset: 0, length: UNIT, chunkId, chunkOffset: block * UNIT });
      await client.commit(ino, {
        blocks: Array.from({ length: BLOCKS }, (_, block) => ({ block, extents: [extent(block)] })),
        chunks: [{ chunkId, size: BLOCKS * UNIT }],
        sizeAtLeast: BLOCKS * 65_536,
      });
      return ino;
    };
    const freeing = async (quota: Ino): Promise<boolean | undefined> => {
      const value = { bytes: BigInt(BLOCKS * 4 * UNIT), quota: BigInt(quota), ahead: 0n };
      const { result } = await client.ok({ $case: 'reserve', value });
      return result?.$case === 'reserve' ? result.value.freeing : undefined;
    };
    const [outside, around, inside] = [await large(ROOT_INO), await large(outer.ino), await large(dir.ino)];
    const whileCut = async (ino: Ino): Promise<(boolean | undefined)[]> => {
      const [, ...answers] = await Promise.all([
        client.setattr(ino, { size: 0 }),
        freeing(outer.ino),
        freeing(dir.ino),
      ]);
      while ((await client.getattr(ino)).allocatedBytes > 0) await harness.clock.sleep(0);
      return answers;
    };
    expect(await whileCut(outside)).toEqual([false, false]);
    expect(await whileCut(inside)).toEqual([true, true]);
    // the inner one's own limit stays
    expect(await whileCut(around)).toEqual([true, false]);
  });

  test('never refuse what was acknowledged before', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    const file = await client.create(dir.ino, 'f');
    await set('d', { bytesMax: UNIT });
    await quotas().settled();
    expect((await fill(file.ino, 4)).allocatedBytes).toBe(4 * UNIT);
    expect(await usage('d')).toEqual({ usedBytes: 4 * UNIT, usedInodes: 1 });
    expect(await reserve(dir.ino, 1)).toBe(0);
  });

  test('nested: the tighter one holds, and both count', async () => {
    const outer = await client.mkdir(ROOT_INO, 'o');
    const inner = await client.mkdir(outer.ino, 'i');
    await set('o', { bytesMax: 10 * UNIT, inodesMax: 4 });
    await set('o/i', { bytesMax: 100 * UNIT, inodesMax: 2 });
    await quotas().settled();
    const file = await client.create(inner.ino, 'f');
    expect(await reserve(inner.ino, 50)).toBe(10);
    expect(await reserve(outer.ino, 50)).toBe(0);
    await fill(file.ino, 6);
    expect(await usage('o')).toEqual({ usedBytes: 6 * UNIT, usedInodes: 2 });
    expect(await usage('o/i')).toEqual({ usedBytes: 6 * UNIT, usedInodes: 1 });
    expect(await statfs(file.ino)).toEqual({
      capacityBytes: 100 * UNIT,
      usedBytes: 96 * UNIT,
      inodesMax: 2,
      usedInodes: 1,
    });
    expect(await statfs(outer.ino)).toEqual({
      capacityBytes: 10 * UNIT,
      usedBytes: 6 * UNIT,
      inodesMax: 4,
      usedInodes: 2,
    });
    expect(await statfs(ROOT_INO)).toMatchObject({ capacityBytes: 0, usedInodes: 4 });
    await client.create(inner.ino, 'g');
    expect(await client.errno(createOp(inner.ino, 'h'))).toBe('EDQUOT');
    await client.create(outer.ino, 'x');
    expect(await client.errno(createOp(outer.ino, 'y'))).toBe('EDQUOT');
  });
});

describe('moves', () => {
  let a: InodeAttr;
  let b: InodeAttr;
  beforeEach(async () => {
    a = await client.mkdir(ROOT_INO, 'a');
    b = await client.mkdir(ROOT_INO, 'b');
    await set('a', {});
    await set('b', { bytesMax: 8 * UNIT, inodesMax: 5 });
  });

  test('a file or a small tree takes its charge along, both ways', async () => {
    const sub = await client.mkdir(a.ino, 'sub');
    const file = await client.create(sub.ino, 'f');
    await fill(file.ino, 3);
    await client.ok(renameOp([a.ino, 'sub'], [b.ino, 'sub']));
    expect(await usage('a')).toEqual({ usedBytes: 0, usedInodes: 0 });
    expect(await usage('b')).toEqual({ usedBytes: 3 * UNIT, usedInodes: 2 });
    expect((await client.getattr(file.ino)).quota).toBe(b.ino);
    await client.ok(renameOp([sub.ino, 'f'], [ROOT_INO, 'f']));
    expect(await usage('b')).toEqual({ usedBytes: 0, usedInodes: 1 });
    expect((await client.getattr(file.ino)).quota).toBe(0);
  });

  test('what does not fit stays where it is', async () => {
    const file = await client.create(a.ino, 'f');
    await fill(file.ino, 9);
    expect(await client.errno(renameOp([a.ino, 'f'], [b.ino, 'f']))).toBe('EDQUOT');
    expect((await client.lookup(a.ino, 'f')).quota).toBe(a.ino);
  });

  test('names of one file stay in one tree; exchanges too', async () => {
    const file = await client.create(a.ino, 'f');
    expect(await client.errno(linkOp(file.ino, b.ino, 'g'))).toBe('EXDEV');
    await client.ok(linkOp(file.ino, a.ino, 'g'));
    expect(await client.errno(renameOp([a.ino, 'f'], [b.ino, 'f']))).toBe('EXDEV');
    await client.create(b.ino, 'x');
    expect(await client.errno(renameOp([a.ino, 'f'], [b.ino, 'x'], 2))).toBe('EXDEV');
    await client.ok(renameOp([a.ino, 'f'], [a.ino, 'h']));
  });

  test('a file with several names in a tree takes its charge along once', async () => {
    const sub = await client.mkdir(a.ino, 'sub');
    const [x, y] = [await client.mkdir(sub.ino, 'x'), await client.mkdir(sub.ino, 'y')];
    const file = await client.create(x.ino, 'f');
    await fill(file.ino, 3);
    await client.ok(linkOp(file.ino, y.ino, 'g'));
    await fill((await client.create(a.ino, 'other')).ino, 4);
    await client.ok(renameOp([a.ino, 'sub'], [b.ino, 'sub']));
    expect(await usage('a')).toEqual({ usedBytes: 4 * UNIT, usedInodes: 1 });
    expect(await usage('b')).toEqual({ usedBytes: 3 * UNIT, usedInodes: 4 });
  });

  test('a tree whose files have names outside of it stays where it is', async () => {
    const sub = await client.mkdir(a.ino, 'sub');
    const file = await client.create(a.ino, 'f');
    await client.ok(linkOp(file.ino, sub.ino, 'f'));
    await client.ok(linkOp(file.ino, sub.ino, 'g'));
    expect(await client.errno(renameOp([a.ino, 'sub'], [b.ino, 'sub']))).toBe('EXDEV');
    await client.ok(unlinkOp(a.ino, 'f'));
    await client.ok(renameOp([a.ino, 'sub'], [b.ino, 'sub']));
    expect(await usage('b')).toEqual({ usedBytes: 0, usedInodes: 2 });
  });

  test('a file without a name is charged to where it gets one', async () => {
    const open = { fh: 1 as Fh, write: true, truncate: false };
    const file = await client.create(a.ino, '', { unnamed: true, exclusive: false, open });
    expect(await usage('a')).toEqual({ usedBytes: 0, usedInodes: 1 });
    await client.ok(linkOp(file.ino, b.ino, 'named'));
    expect(await usage('a')).toEqual({ usedBytes: 0, usedInodes: 0 });
    expect(await usage('b')).toEqual({ usedBytes: 0, usedInodes: 1 });
  });

  test('a tree of more than 1024 inodes is EXDEV between quotas, unless it has a quota of its own', async () => {
    const big = await client.mkdir(ROOT_INO, 'big');
    await Promise.all(Array.from({ length: 1100 }, (_, i) => client.create(big.ino, `n${i}`)));
    expect(await client.errno(renameOp([ROOT_INO, 'big'], [a.ino, 'big']))).toBe('EXDEV');
    await set('big', {});
    await quotas().settled();
    await client.ok(renameOp([ROOT_INO, 'big'], [a.ino, 'big']));
    expect(await usage('a')).toEqual({ usedBytes: 0, usedInodes: 1101 });
    expect(await client.errno(renameOp([a.ino, 'big'], [b.ino, 'big']))).toBe('EDQUOT');
    await client.ok(renameOp([a.ino, 'big'], [ROOT_INO, 'big']));
    expect(await usage('a')).toEqual({ usedBytes: 0, usedInodes: 0 });
  });
});

describe('the end of a quota', () => {
  test('lifts the limits at once and charges what was there to the one around it', async () => {
    const outer = await client.mkdir(ROOT_INO, 'o');
    const inner = await client.mkdir(outer.ino, 'i');
    await set('o', {});
    await set('o/i', { inodesMax: 1 });
    await quotas().settled();
    const file = await client.create(inner.ino, 'f');
    await fill(file.ino, 2);
    await quotas().delete(at('o/i'));
    expect(await client.errno(createOp(inner.ino, 'g'))).toBe('OK');
    await quotas().settled();
    expect((await client.getattr(file.ino)).quota).toBe(outer.ino);
    expect(await usage('o')).toEqual({ usedBytes: 2 * UNIT, usedInodes: 3 });
    await expect(quotas().get(at('o/i'))).rejects.toMatchObject({ code: 'not-found' });
    expect((await quotas().list()).map(({ ino }) => ino)).toEqual([outer.ino]);
    await set('o/i', { inodesMax: 3 });
    expect(await usage('o/i')).toEqual({ usedBytes: 2 * UNIT, usedInodes: 2 });
  });

  test('leaves what is charged to it still, and does not keep the directory from a new one', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    await set('d', { bytesMax: 100 * UNIT });
    const file = await client.create(dir.ino, 'f');
    await client.open(file.ino, 9);
    await client.ok(unlinkOp(dir.ino, 'f'));
    expect(await reserve(dir.ino, 10)).toBe(10);
    await quotas().delete(at('d'));
    await quotas().settled();
    await set('d', { inodesMax: 2 });
    expect(await usage('d')).toEqual({ usedBytes: 0, usedInodes: 1 });
    await client.create(dir.ino, 'g');
    expect(await client.errno(createOp(dir.ino, 'h'))).toBe('EDQUOT');
    client.release(file.ino, 9);
    await harness.slot.execute(() => Promise.resolve());
    expect(await usage('d')).toEqual({ usedBytes: 0, usedInodes: 1 });
  });

  test('has to be over before a new one elsewhere', async () => {
    await client.mkdir(ROOT_INO, 'o');
    const dir = await client.mkdir(ROOT_INO, 'd');
    await set('d', {});
    const file = await client.create(dir.ino, 'f');
    await client.open(file.ino, 9);
    await client.ok(unlinkOp(dir.ino, 'f'));
    await quotas().delete(at('d'));
    await quotas().settled();
    await set('o', {});
    await client.ok(renameOp([ROOT_INO, 'd'], [(await client.lookup(ROOT_INO, 'o')).ino, 'd']));
    await expect(set('o/d', {})).rejects.toMatchObject({ code: 'refused' });
    client.release(file.ino, 9);
    await harness.slot.execute(() => Promise.resolve());
    await set('o/d', {});
  });

  test('is for directories that have one', async () => {
    await client.create(ROOT_INO, 'f');
    await client.mkdir(ROOT_INO, 'd');
    await expect(set('f', {})).rejects.toMatchObject({ code: 'invalid' });
    await expect(set('none/x', {})).rejects.toMatchObject({ code: 'not-found' });
    await expect(quotas().delete(at('d'))).rejects.toMatchObject({ code: 'not-found' });
    expect(await set('/', { inodesMax: 2 })).toMatchObject({ path: at('/') });
    await quotas().settled();
    expect(await client.errno(createOp(ROOT_INO, 'x'))).toBe('EDQUOT');
  });
});
