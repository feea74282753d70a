import { afterEach, describe, expect, test } from '@jest/globals';
import { FsError } from '../../../src/common/fs-error.js';
import { ROOT_INO, type Fh, type Ino } from '../../../src/model/ids.js';
import { ObjectError } from '../../../src/object/object-error.js';
import { BLOCK, DataHarness, SEGMENT, bytes, type HarnessOptions } from './data-harness.js';

let h: DataHarness;
const open = async (options?: HarnessOptions): Promise<DataHarness> => (h = await DataHarness.open(options));
afterEach(() => h.close());

/** A gate that requests wait at. */
function gate(): { wait: () => Promise<void>; open: () => void; arrived: Promise<void> } {
  let release!: () => void;
  let arrive!: () => void;
  const opened = new Promise<void>((resolve) => (release = resolve));
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  return {
    wait: () => {
      arrive();
      return opened;
    },
    open: release,
    arrived,
  };
}

describe('MountData', () => {
  test('a write is done at once, is read back from the journal, and is read from the store after a flush', async () => {
    await open();
    const ino = await h.create('f');
    const data = bytes(3 * BLOCK + 100, 1);
    expect(h.data.write(ino, 10, data, { append: false, fromPageCache: false, killPriv: false })).toBe(data.length);
    expect(h.attr(ino).size).toBe(10 + data.length);
    expect((await h.read(ino, 0, 10 + data.length)).equals(Buffer.concat([Buffer.alloc(10), data]))).toBe(true);
    expect(h.store.gets).toBe(0);

    await h.data.flush(ino);
    expect(h.data.dirtyBytes).toBe(0);
    expect(h.namespace.attr(ino).size).toBe(10 + data.length);
    expect(
      (await h.read(ino, 5, data.length)).equals(Buffer.concat([Buffer.alloc(5), data]).subarray(0, data.length)),
    ).toBe(true);
    expect(h.store.gets).toBeGreaterThan(0);
    expect(await h.read(ino, 10 + data.length, 100)).toHaveLength(0);
  });

  test('complete blocks are uploaded by themselves', async () => {
    await open();
    const ino = await h.create('f');
    const stored = gate();
    h.store.beforePut = async () => void stored.wait();
    await h.write(ino, 0, bytes(BLOCK, 1));
    await stored.arrived;
  });

  test('scattered writes share chunks', async () => {
    await open();
    const ino = await h.create('f');
    for (let i = 0; i < 40; i++) await h.write(ino, i * BLOCK, bytes(1000, i));
    await h.data.flush(ino);
    expect(h.store.puts).toBe(1);
    for (let i = 0; i < 40; i++) expect((await h.read(ino, i * BLOCK, 1000)).equals(bytes(1000, i))).toBe(true);
  });

  test('appends go to the end, whatever the offset; page-cache writes never extend', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, Buffer.from('abc'));
    await h.write(ino, 0, Buffer.from('def'), { append: true });
    await h.write(ino, 4, Buffer.from('XYZ'), { fromPageCache: true });
    await h.write(ino, 100, Buffer.from('no'), { fromPageCache: true });
    expect((await h.read(ino, 0, 100)).toString()).toBe('abcdXY');
  });

  test('EFBIG past the largest size', async () => {
    await open();
    const ino = await h.create('f');
    await expect(h.write(ino, 2 ** 50, Buffer.from('x'))).rejects.toMatchObject({ code: 'EFBIG' });
  });

  test('later writes win over an upload in flight', async () => {
    await open();
    const ino = await h.create('f');
    const put = gate();
    h.store.beforePut = put.wait;
    await h.write(ino, 0, bytes(BLOCK, 1));
    await put.arrived;
    await h.write(ino, 100, bytes(1000, 2));
    h.store.beforePut = async () => undefined;
    put.open();
    await h.data.flush(ino);
    const expected = bytes(BLOCK, 1);
    bytes(1000, 2).copy(expected, 100);
    expect((await h.read(ino, 0, BLOCK)).equals(expected)).toBe(true);
  });

  test('a truncation clips an upload in flight', async () => {
    await open();
    const ino = await h.create('f');
    const put = gate();
    h.store.beforePut = put.wait;
    await h.write(ino, 0, bytes(BLOCK, 1));
    await put.arrived;
    await h.truncate(ino, 500);
    await h.truncate(ino, 2000);
    put.open();
    await h.data.flush(ino);
    const expected = Buffer.concat([bytes(BLOCK, 1).subarray(0, 500), Buffer.alloc(1500)]);
    expect((await h.read(ino, 0, BLOCK)).equals(expected)).toBe(true);
    expect(h.namespace.extents(ino, 0, 1)[0]?.extents.map(({ length }) => length)).toEqual([500]);
  });

  test('times and mode set before the flush are not undone by the late commit', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1), { killPriv: true });
    const mtime = { sec: 1_000_000, nsec: 5 };
    await h.data.setattr({ opId: h.metadata.clientOpId() }, ino, { mtime, atime: mtime });
    await h.data.setattr({ opId: h.metadata.clientOpId() }, ino, { mode: 0o4755 });
    expect(h.attr(ino)).toMatchObject({ mtime, size: 100 });
    await h.data.flush(ino);
    expect(h.namespace.attr(ino)).toMatchObject({ mtime, size: 100 });
    expect(h.namespace.attr(ino).mode & 0o7777).toBe(0o4755);
  });

  test('a write removes set-user-ID, at once here and by its commit at the server', async () => {
    await open();
    const ino = await h.create('f');
    await h.data.setattr({ opId: h.metadata.clientOpId() }, ino, { mode: 0o6755 });
    await h.write(ino, 0, bytes(100, 1), { killPriv: true });
    expect(h.attr(ino).mode & 0o7777).toBe(0o755);
    await h.data.flush(ino);
    expect(h.namespace.attr(ino).mode & 0o7777).toBe(0o755);
  });

  test('an atime set between write and commit leaves the mtime of the write', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    const { mtime } = h.attr(ino);
    await h.data.setattr({ opId: h.metadata.clientOpId() }, ino, { atime: { sec: 5, nsec: 0 } });
    await h.data.flush(ino);
    expect(h.namespace.attr(ino).mtime).toEqual(mtime);
  });

  test('a foreign truncation (another mount, or open with O_TRUNC) clips older writes', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(1000, 1));
    const attr = h.namespace.setattr(99 as never, ino, { size: 10 });
    h.data.opened(attr, undefined);
    expect((await h.read(ino, 0, 1000)).equals(bytes(1000, 1).subarray(0, 10))).toBe(true);
    await h.write(ino, 5, bytes(20, 2));
    await h.data.flush(ino);
    const expected = Buffer.concat([bytes(1000, 1).subarray(0, 5), bytes(20, 2)]);
    expect((await h.read(ino, 0, 1000)).equals(expected)).toBe(true);
  });

  test('a failed upload is told to fsync and to takeError, and is tried again', async () => {
    await open();
    const ino = await h.create('f');
    const mark = h.data.errorMark(ino);
    h.store.beforePut = () => Promise.reject(new ObjectError('access-denied', 'no'));
    await h.write(ino, 0, bytes(100, 1));
    await expect(h.data.fsync(ino)).rejects.toMatchObject({ code: 'EIO' });
    const taken = h.data.takeError(ino, mark);
    expect(taken?.error).toBeInstanceOf(FsError);
    h.store.beforePut = async () => undefined;
    await h.data.fsync(ino);
    expect(h.namespace.attr(ino).size).toBe(100);
    expect((await h.read(ino, 0, 100)).equals(bytes(100, 1))).toBe(true);
  });

  test('a commit without an answer is sent again with the same op id', async () => {
    await open();
    const ino = await h.create('f');
    h.repliesLost = 2;
    await h.write(ino, 0, bytes(100, 1));
    await h.data.flush(ino);
    expect(h.metadata.calls.filter((op) => op === 'commitExtents')).toHaveLength(3);
    expect(h.namespace.attr(ino)).toMatchObject({ size: 100, change: 2 });
  });

  test('commits that are refused again and again leave no intents in the journal', async () => {
    await open();
    const inos = [await h.create('a'), await h.create('b'), await h.create('c'), await h.create('d')];
    for (const ino of inos) for (let i = 0; i < 4000; i++) await h.write(ino, i * 16, Buffer.from('x'));
    const used = h.gauge('journal_used_bytes');
    let commits = 0;
    const growth = new Promise<number>((resolve) => {
      h.before = (op) => {
        if (op !== 'commitExtents') return;
        if (++commits <= 12) throw new FsError('ENOSPC');
        resolve(h.gauge('journal_used_bytes') - used);
      };
    });
    for (const ino of inos) await expect(h.data.fsync(ino)).rejects.toMatchObject({ code: 'ENOSPC' });
    // An intent is more than a third of a segment: those of one commit of each file, not of twelve.
    expect(await growth).toBeLessThanOrEqual(3 * SEGMENT);
    for (const ino of inos) await h.data.flush(ino);
    for (const ino of inos) expect(h.namespace.attr(ino).size).toBe(3999 * 16 + 1);
  });

  test('when the disk of the journal fails, what is in it is committed, and files can be changed', async () => {
    await open();
    const ino = await h.create('f');
    const other = await h.create('g');
    await h.write(ino, 0, bytes(1000, 1));
    await h.write(other, 0, bytes(1000, 2));
    h.journalBroken = true;
    await expect(h.write(ino, 1000, bytes(10, 3))).rejects.toMatchObject({ code: 'EIO' });
    expect((await h.truncate(ino, 500)).size).toBe(500);
    await h.data.setattr({ opId: h.metadata.clientOpId() }, other, { mode: 0o600 });
    await h.data.fsync(ino);
    await h.data.fsync(other);
    expect(h.data.dirtyBytes).toBe(0);
    expect((await h.read(ino, 0, 2000)).equals(bytes(1000, 1).subarray(0, 500))).toBe(true);
    expect((await h.read(other, 0, 2000)).equals(bytes(1000, 2))).toBe(true);
    await h.opened.close();
    h.journalBroken = false;
    await h.start();
    expect(h.opened.adopted).toEqual([]);
  });

  test('with write-back a commit without a durable intent is not sent', async () => {
    await open({ data: { writeback: true } });
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(1000, 1));
    h.journalBroken = true;
    await expect(h.data.fsync(ino)).rejects.toMatchObject({ code: 'EIO' });
    await expect(h.data.drain()).rejects.toMatchObject({ code: 'EIO' });
    expect(h.metadata.calls).not.toContain('commitExtents');
  });

  test('data of a deleted inode is dropped', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    h.before = (op) => {
      if (op === 'commitExtents') throw new FsError('ENOENT');
    };
    h.data.released(ino);
    await h.data.flush(ino);
    expect(h.data.dirtyBytes).toBe(0);
  });

  test('an inode that vanishes while it is open is an error, not a silent loss', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    h.before = (op) => {
      if (op === 'commitExtents') throw new FsError('ENOENT');
    };
    await expect(h.data.fsync(ino)).rejects.toMatchObject({ code: 'EIO' });
    await expect(h.write(ino, 0, bytes(100, 1))).rejects.toMatchObject({ code: 'ESTALE' });
  });

  test('what is waited for is uploaded before what is not', async () => {
    await open({ data: { uploadsMax: 1 } });
    const big = await h.create('big');
    const small = await h.create('small');
    const order: string[] = [];
    const put = gate();
    h.store.beforePut = async (key) => {
      order.push(key);
      await put.wait();
    };
    for (let i = 0; i < 6; i++) await h.write(big, i * BLOCK, bytes(BLOCK, i));
    await h.write(small, 0, bytes(10, 1));
    const flushed = h.data.flush(small);
    put.open();
    await flushed;
    expect(order.length).toBeLessThan(5);
  });

  test('a privilege kill that comes while a commit is under way is not lost', async () => {
    await open();
    const ino = await h.create('f');
    await h.data.setattr({ opId: h.metadata.clientOpId() }, ino, { mode: 0o6755 });
    const commit = gate();
    h.before = (op) => (op === 'commitExtents' ? commit.wait() : undefined);
    await h.write(ino, 0, bytes(100, 1));
    const flushed = h.data.flush(ino);
    await commit.arrived;
    await h.write(ino, 0, bytes(100, 2), { killPriv: true });
    commit.open();
    await flushed;
    expect(h.attr(ino).mode & 0o7777).toBe(0o755);
    await h.data.flush(ino);
    expect(h.namespace.attr(ino).mode & 0o7777).toBe(0o755);
  });

  test('discard does not fail when the journal takes no more notes', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    await h.opened.close();
    h.data.discard(ino);
    expect(h.data.dirtyBytes).toBe(0);
  });

  test('discard drops what is dirty and releases the journal', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(BLOCK / 2, 1));
    h.data.discard(ino);
    expect(h.data.dirtyBytes).toBe(0);
    h.data.released(ino);
    expect(h.store.puts).toBe(0);
  });

  test('a full journal makes writers wait for the uploader, and no longer than their signal', async () => {
    await open({ data: { journalSizeBytes: 4 * SEGMENT, flushIntervalMs: 60_000 } });
    const ino = await h.create('f');
    const put = gate();
    h.store.beforePut = put.wait;
    let written = 0;
    const write = (signal?: AbortSignal): Promise<number> | number => {
      const result = h.data.write(ino, written * 60_000, bytes(60_000, written), {
        append: false,
        fromPageCache: false,
        killPriv: false,
        signal,
      });
      if (typeof result === 'number') written++;
      return result;
    };
    let waiting: Promise<number> | number;
    const abort = new AbortController();
    do waiting = write(abort.signal);
    while (typeof waiting === 'number' && written < 100);
    expect(written).toBeLessThan(20);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'EINTR' });
    const next = write();
    expect(next).toBeInstanceOf(Promise);
    put.open();
    await next;
    written++;
    await h.data.flush(ino);
    for (let i = 0; i < written; i++)
      expect((await h.read(ino, i * 60_000, 60_000)).equals(bytes(60_000, i))).toBe(true);
  });

  test('too many dirty runs make writers wait', async () => {
    await open({ data: { dirtyExtentsMax: 10 } });
    const ino = await h.create('f');
    for (let i = 0; i < 50; i++) await h.write(ino, i * 1000, Buffer.from('x'));
    await h.data.flush(ino);
    expect(await h.read(ino, 49_000, 1)).toEqual(Buffer.from('x'));
  });

  test('a full filesystem is ENOSPC at the write, and overwriting in place goes on', async () => {
    await open({ fs: { capacityBytes: 40 * 4096 } });
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(20 * 4096, 1));
    expect(await h.write(ino, 20 * 4096, bytes(60 * 4096, 2))).toBe(20 * 4096);
    await expect(h.write(ino, 40 * 4096, bytes(1, 2))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(h.attr(ino).size).toBe(40 * 4096);
    await h.data.flush(ino);
    await h.truncate(ino, 39 * 4096);
    await h.write(ino, 0, bytes(4096, 3));
    await h.data.flush(ino);
    expect((await h.read(ino, 0, 4096)).equals(bytes(4096, 3))).toBe(true);
  });

  test('what is allocated can be written on a full filesystem, and reserved space does not keep it from being allocated', async () => {
    const CAPACITY = 64 * 4096;
    await open({ fs: { capacityBytes: CAPACITY } });
    const [ino, other] = [await h.create('f'), await h.create('g')];
    const allocate = (mode: 'allocate' | 'punch', offset: number, length: number): Promise<void> =>
      h.data.fallocate({ opId: h.metadata.clientOpId() }, ino, {
        ...{ mode, offset, length, keepSize: true },
      });
    await h.write(other, 0, bytes(4096, 1));
    await expect(allocate('allocate', 0, CAPACITY)).rejects.toMatchObject({ code: 'ENOSPC' });
    await allocate('allocate', 0, CAPACITY - 4096);
    await expect(h.write(other, 4096, bytes(1, 1))).rejects.toMatchObject({ code: 'ENOSPC' });
    const data = bytes(CAPACITY - 4096, 2);
    for (let at = 0; at < data.length; at += 10_000) {
      expect(await h.write(ino, at, data.subarray(at, at + 10_000))).toBe(Math.min(10_000, data.length - at));
    }
    await h.write(other, 0, bytes(4096, 3));
    await h.data.drain();
    expect((await h.read(ino, 0, data.length)).equals(data)).toBe(true);
    expect(h.namespace.usedBytes).toBe(CAPACITY);
    await allocate('punch', 0, 4096);
    await h.write(other, 4096, bytes(4096, 4));
    await h.data.drain();
    expect(h.namespace.usedBytes).toBe(CAPACITY);
  });

  describe('a filesystem takes as many bytes as its capacity, and says ENOSPC at the write', () => {
    const CAPACITY = 256 * 4096;

    const fill = async (inos: readonly Ino[], length: number): Promise<number> => {
      const ends = inos.map(() => 0);
      for (let i = 0; ; i = (i + 1) % inos.length) {
        try {
          ends[i]! += await h.write(inos[i]!, ends[i]!, bytes(length, i));
        } catch (error) {
          expect(error).toMatchObject({ code: 'ENOSPC' });
          return ends.reduce((sum, end) => sum + end, 0);
        }
      }
    };

    const committed = async (inos: readonly Ino[]): Promise<void> => {
      for (const ino of inos) await h.data.flush(ino);
      for (const ino of inos) expect(h.data.takeError(ino, 0)).toBeUndefined();
    };

    test.each([
      ['in 4 KiB writes', 1, 4096],
      ['in large writes', 1, 64 * 1024],
      ['in writes of odd length', 1, 4096 * 2 ** 3 - 512],
      ['in three files', 3, 4096],
      ['in eight files and large writes', 8, 32 * 1024],
    ])('%s', async (_how, files, length) => {
      await open({ fs: { capacityBytes: CAPACITY } });
      const inos = await Promise.all(Array.from({ length: files }, (_, i) => h.create(`f${i}`)));
      expect(await fill(inos, length)).toBeGreaterThan(CAPACITY - files * 4096);
      await committed(inos);
      expect(h.namespace.usedBytes).toBe(CAPACITY);
      // And again what a truncation gives back.
      await h.truncate(inos[0]!, 0);
      const again = await h.create('again');
      const free = CAPACITY - h.namespace.usedBytes;
      expect(await fill([again], 4096)).toBe(free);
      await committed([again]);
    });

    test('a page that the kernel writes back is written whole or not at all', async () => {
      await open({ fs: { capacityBytes: CAPACITY } });
      const ino = await h.create('f');
      await h.truncate(ino, CAPACITY * 2);
      const page = bytes(100 * 4096, 1);
      const write = (i: number) => h.write(ino, i * page.length, page.subarray(0, 50 * 4096), { fromPageCache: true });
      for (let i = 0; i < 5; i++) expect(await write(i)).toBe(50 * 4096);
      await expect(write(5)).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(await h.write(ino, 5 * page.length, page.subarray(0, 50 * 4096))).toBe(6 * 4096);
    });

    test('by several writers at once', async () => {
      await open({ fs: { capacityBytes: CAPACITY } });
      const inos = await Promise.all(Array.from({ length: 4 }, (_, i) => h.create(`f${i}`)));
      const written = await Promise.all(inos.map((ino) => fill([ino], 4096)));
      expect(written.reduce((sum, bytes) => sum + bytes, 0)).toBe(CAPACITY);
      await committed(inos);
    });

    test('waits for space that the server is freeing', async () => {
      await open({ fs: { capacityBytes: CAPACITY } });
      const ino = await h.create('f');
      const reserve = h.metadata.reserve.bind(h.metadata);
      let asked = 0;
      h.metadata.reserve = (bytes) => (asked++ < 3 ? Promise.resolve({ granted: 0, freeing: true }) : reserve(bytes));
      await h.write(ino, 0, bytes(4096, 1));
      expect(asked).toBe(4);
    });
  });

  test('a commit is paid from the quota that the server charged, not the one known before a rename', async () => {
    const [UNIT, LIMIT] = [4096, 6 * 4096];
    const [FROM, TO] = [7 as Ino, 8 as Ino];
    await open({ data: { reserveAheadBytes: 16 * UNIT } });
    let used = 0;
    let quota = TO;
    const create = h.metadata.create.bind(h.metadata);
    const commitExtents = h.metadata.commitExtents.bind(h.metadata);
    h.metadata.create = async (...args) => {
      const made = await create(...args);
      return { ...made, attr: { ...made.attr, quota } };
    };
    h.metadata.commitExtents = async (...args) => {
      const attr = await commitExtents(...args);
      used = h.namespace.usedBytes;
      return { ...attr, quota: TO };
    };
    h.metadata.reserve = async (bytes, _signal, of) => ({
      granted: of?.quota === TO ? Math.min(bytes, LIMIT - used) : Number.MAX_SAFE_INTEGER,
      freeing: false,
    });
    const stays = await h.create('stays');
    quota = FROM;
    const moved = await h.create('moved');
    await h.write(stays, 0, bytes(UNIT, 1));
    await h.write(moved, 0, bytes(3 * UNIT, 2));
    await h.data.flush(moved);
    await h.write(stays, UNIT, bytes(2 * UNIT, 3));
    await expect(h.write(stays, 3 * UNIT, bytes(UNIT, 4))).rejects.toMatchObject({ code: 'EDQUOT' });
  });

  test('fallocate waits for space that the server is freeing', async () => {
    await open({ fs: { capacityBytes: 64 * 4096 } });
    const ino = await h.create('f');
    const fallocate = h.metadata.fallocate.bind(h.metadata);
    const reserve = h.metadata.reserve.bind(h.metadata);
    let freeingFor = 3;
    h.metadata.reserve = (bytes) =>
      bytes > 0 && freeingFor-- > 0 ? Promise.resolve({ granted: 0, freeing: true }) : reserve(bytes);
    h.metadata.fallocate = (...args) =>
      freeingFor > 0 ? Promise.reject(new FsError('ENOSPC', 'full')) : fallocate(...args);
    const request = { mode: 'allocate', offset: 0, length: 32 * 4096, keepSize: false } as const;
    await h.data.fallocate({ opId: h.metadata.clientOpId() }, ino, request);
    expect(h.namespace.usedBytes).toBe(32 * 4096);
  });

  test.each(['ENOSPC', 'EINTR'] as const)('a copy that is stopped by %s says how far it came', async (code) => {
    await open();
    const [source, ino] = [await h.create('f'), await h.create('g')];
    await h.write(source, 0, bytes(3 * BLOCK, 1));
    const cloneRange = h.metadata.cloneRange.bind(h.metadata);
    h.metadata.cloneRange = async (ctx, to, spec) => {
      if (spec.offset > 0) throw new FsError(code, 'stopped');
      return cloneRange(ctx, to, { ...spec, length: BLOCK });
    };
    const copy = (offset: number) =>
      h.data.copyRange({ opId: h.metadata.clientOpId() }, ino, {
        source,
        sourceOffset: offset,
        offset,
        length: 3 * BLOCK - offset,
      });
    expect(await copy(0)).toBe(BLOCK);
    await expect(copy(BLOCK)).rejects.toMatchObject({ code });
    expect((await h.read(ino, 0, BLOCK)).equals(bytes(3 * BLOCK, 1).subarray(0, BLOCK))).toBe(true);
  });

  test('many writers at once are not told that a filesystem with room is full', async () => {
    await open({ fs: { capacityBytes: 1 << 30 }, data: { reserveAheadBytes: 4 * BLOCK } });
    const ino = await h.create('f');
    const writes = Array.from({ length: 40 }, (_, i) => h.write(ino, i * BLOCK, bytes(BLOCK, i)));
    await Promise.all(writes);
    await h.data.flush(ino);
    expect(h.namespace.attr(ino).size).toBe(40 * BLOCK);
  });

  test('a corrupt object is EIO, never wrong bytes; a missing one is looked for again', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(1000, 1));
    await h.data.flush(ino);
    const [object] = await h.objects.list('', '', 10);
    const good = Buffer.from(await h.objects.get(object!.key));
    const bad = Buffer.from(good);
    bad[10]! ^= 1;
    await h.objects.put(object!.key, bad);
    await expect(h.read(ino, 0, 1000)).rejects.toMatchObject({ code: 'EIO' });
    await h.objects.delete([object!.key]);
    await expect(h.read(ino, 0, 1000)).rejects.toMatchObject({ code: 'EIO' });
    await h.objects.put(object!.key, good);
    expect((await h.read(ino, 0, 1000)).equals(bytes(1000, 1))).toBe(true);
  });

  test('the status says what fails, until it is committed', async () => {
    await open();
    const ino = await h.create('f');
    expect(await h.opened.status()).toEqual({
      dirtyBytes: 0,
      failing: undefined,
      sessionLost: undefined,
      leftJournals: { count: 0, paths: [] },
    });
    h.store.beforePut = () => Promise.reject(new ObjectError('access-denied', 'AccessDenied'));
    const before = Date.now();
    await h.write(ino, 0, bytes(100, 1));
    await expect(h.data.flush(ino)).rejects.toMatchObject({ code: 'EIO' });
    const { dirtyBytes, failing } = await h.opened.status();
    expect(dirtyBytes).toBe(100);
    expect(failing).toMatchObject({ inodes: 1, lastError: expect.stringContaining('AccessDenied') as unknown });
    expect(failing!.sinceMs).toBeGreaterThanOrEqual(before);
    h.store.beforePut = () => Promise.resolve();
    h.before = (op) => {
      if (op === 'commitExtents') throw new FsError('EDQUOT', 'refused');
    };
    await expect(h.data.flush(ino)).rejects.toMatchObject({ code: 'EDQUOT' });
    expect((await h.opened.status()).failing).toEqual({
      ...failing,
      lastError: expect.stringContaining('refused') as unknown,
    });
    h.before = () => undefined;
    await h.data.flush(ino);
    expect(await h.opened.status()).toMatchObject({ dirtyBytes: 0, failing: undefined });
    h.before = (op) => {
      if (op === 'commitExtents') throw new FsError('ESHUTDOWN');
    };
    await h.write(ino, 0, bytes(100, 2));
    await expect(h.data.flush(ino)).rejects.toMatchObject({ code: 'EIO' });
    expect(await h.opened.status()).toMatchObject({ dirtyBytes: 100, sessionLost: expect.any(String) as unknown });
  });

  test('a commit that is too large for one operation is sent in parts', async () => {
    await open();
    const ino = await h.create('f');
    const put = gate();
    h.store.beforePut = put.wait;
    const data = bytes(8 * BLOCK, 1);
    for (let i = 0; i < 8; i++) await h.write(ino, i * BLOCK, data.subarray(i * BLOCK, (i + 1) * BLOCK));
    const commit = h.metadata.commitExtents.bind(h.metadata);
    const sizes: number[] = [];
    h.metadata.commitExtents = (ctx, target, spec) => {
      sizes.push(spec.blocks.length);
      return spec.blocks.length > 2 ? Promise.reject(new FsError('E2BIG')) : commit(ctx, target, spec);
    };
    const flushing = h.data.flush(ino);
    put.open();
    await flushing;
    expect(h.data.takeError(ino, 0)).toBeUndefined();
    expect(Math.max(...sizes)).toBeGreaterThan(2);
    expect((await h.read(ino, 0, data.length)).equals(data)).toBe(true);
  });

  test('a chunk that the server refuses is put again under a fresh id', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    let refused = 0;
    h.before = (op) => {
      if (op === 'commitExtents' && refused++ === 0) throw new FsError('ESTALE');
    };
    await h.data.flush(ino);
    expect(refused).toBe(2);
    const objects = await h.objects.list('', '', 10);
    expect(objects).toHaveLength(2);
    const [extent] = h.namespace.extents(ino, 0, 1)[0]!.extents;
    expect(objects[1]!.key.endsWith(`/${extent!.chunkId}`)).toBe(true);
    expect((await h.read(ino, 0, 200)).equals(bytes(100, 1))).toBe(true);
  });

  test('a lost session fails every flush, begun before or after, and every write', async () => {
    await open();
    const first = await h.create('first');
    const second = await h.create('second');
    await h.write(first, 0, bytes(100, 1));
    await h.write(second, 0, bytes(100, 2));
    const put = gate();
    h.store.beforePut = put.wait;
    const flushes = [h.data.flush(first), h.data.flush(second)];
    h.before = (op) => {
      if (op === 'commitExtents') throw new FsError('ESHUTDOWN');
    };
    await put.arrived;
    put.open();
    for (const flush of flushes) await expect(flush).rejects.toMatchObject({ code: 'EIO' });
    await expect(h.data.flush(second)).rejects.toMatchObject({ code: 'EIO' });
    await expect(h.write(first, 0, bytes(1, 1))).rejects.toMatchObject({ code: 'EIO' });
  });

  test('with write-back fsync rests on the journal', async () => {
    await open({ data: { writeback: true } });
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    expect(h.data.flush(ino)).toBeUndefined();
    await h.data.fsync(ino);
    expect(h.store.puts).toBe(0);
    await h.data.drain();
    expect(h.namespace.attr(ino).size).toBe(100);
  });

  test('compaction rewrites a fragmented block as one chunk', async () => {
    await open();
    const ino = await h.create('f');
    const expected = bytes(BLOCK, 1);
    await h.write(ino, 0, expected);
    await h.data.flush(ino);
    for (let i = 0; i < 20; i++) {
      const part = bytes(500, i);
      part.copy(expected, i * 3000);
      await h.write(ino, i * 3000, part);
    }
    await h.data.flush(ino);
    expect(await h.data.compactBlock(ino, 0)).toBe(true);
    expect(h.namespace.extents(ino, 0, 1)[0]?.extents).toHaveLength(1);
    expect((await h.read(ino, 0, BLOCK)).equals(expected)).toBe(true);
  });

  test('close does not wait for a compaction that hangs', async () => {
    await open();
    const ino = await h.create('f');
    for (const [i, at] of [0, 1000].entries()) {
      await h.write(ino, at, bytes(1000, i));
      await h.data.flush(ino);
    }
    const put = gate();
    h.store.beforePut = put.wait;
    const compacting = h.data.compactBlock(ino, 0);
    await put.arrived;
    await Promise.all([expect(compacting).rejects.toThrow(), h.opened.close()]);
    expect(h.metadata.calls).not.toContain('swapExtents');
  });

  test('a clean close leaves nothing in the cache directory', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    await h.data.drain();
    await h.opened.close();
    await h.start();
    expect(h.opened.adopted).toEqual([]);
  });
});

describe('recovery', () => {
  test('a later mount adopts what a crash left', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(3 * BLOCK, 1));
    await h.data.flush(ino);
    h.store.beforePut = () => new Promise(() => undefined);
    await h.write(ino, 100, bytes(1000, 2));
    await h.truncate(ino, 2 * BLOCK);
    await h.write(ino, 2 * BLOCK - 10, bytes(50, 3));
    await h.crash();
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 1, refusedInodes: 0, droppedInodes: 0 }]);
    const expected = bytes(3 * BLOCK, 1).subarray(0, 2 * BLOCK + 40);
    bytes(1000, 2).copy(expected, 100);
    bytes(50, 3).copy(expected, 2 * BLOCK - 10);
    expect((await h.read(ino, 0, 4 * BLOCK)).equals(expected)).toBe(true);
    await h.data.drain();
    expect((await h.read(ino, 0, 4 * BLOCK)).equals(expected)).toBe(true);
    await h.opened.close();
    await h.start();
    expect(h.opened.adopted).toEqual([]);
    expect((await h.read(ino, 0, 4 * BLOCK)).equals(expected)).toBe(true);
  });

  test('a read-only mount leaves what a crash left to a later one', async () => {
    await open();
    const ino = await h.create('f');
    h.store.beforePut = () => new Promise(() => undefined);
    await h.write(ino, 0, bytes(1000, 2));
    await h.crash();
    await h.start({ adopt: false });
    expect(h.opened.adopted).toEqual([]);
    expect(await h.read(ino, 0, 1000)).toHaveLength(0);
    await h.opened.close();
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 1, adoptedBytes: 1000 }]);
    expect((await h.read(ino, 0, 2000)).equals(bytes(1000, 2))).toBe(true);
  });

  /** A crash that leaves nothing of a file but a write that was to remove its set-user-ID bit. */
  async function crashBeforeKill(): Promise<Ino> {
    const pinning = await h.create('pinning');
    const ino = await h.create('f');
    await h.data.setattr({ opId: h.metadata.clientOpId() }, ino, { mode: 0o4755 });
    h.store.beforePut = () => new Promise(() => undefined);
    await h.write(pinning, 0, bytes(100, 1));
    await h.write(ino, 0, bytes(100, 2), { killPriv: true });
    await h.truncate(ino, 0);
    expect(h.namespace.attr(ino).mode & 0o7777).toBe(0o4755);
    await h.crash();
    return ino;
  }

  test('privileges that a write removes are removed after a crash, though nothing is left of its data', async () => {
    await open();
    const ino = await crashBeforeKill();
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 2, adoptedBytes: 100, refusedInodes: 0 }]);
    expect(h.namespace.attr(ino).mode & 0o7777).toBe(0o755);
  });

  test('privileges are left where another session changed the file since', async () => {
    await open();
    const ino = await crashBeforeKill();
    h.namespace.setattr(77 as never, ino, { size: 5 });
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 1, refusedInodes: 0 }]);
    expect(h.namespace.attr(ino).mode & 0o7777).toBe(0o4755);
  });

  test('what another session changed since is refused and kept', async () => {
    await open();
    const ino = await h.create('f');
    h.store.beforePut = () => new Promise(() => undefined);
    await h.write(ino, 0, bytes(1000, 2));
    await h.crash();
    h.namespace.setattr(77 as never, ino, { size: 5 });
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 0, refusedInodes: 1, refusedBytes: 1000 }]);
    const { leftJournals } = await h.opened.status();
    expect(leftJournals).toEqual({ count: 1, paths: [expect.stringMatching(/\/refused\/1$/)] });
    expect((await h.read(ino, 0, 100)).equals(Buffer.alloc(5))).toBe(true);
  });

  test('a crash in the middle of adoption loses nothing', async () => {
    await open();
    const inos = [];
    for (let i = 0; i < 5; i++) inos.push(await h.create(`f${i}`));
    h.store.beforePut = () => new Promise(() => undefined);
    for (const [i, ino] of inos.entries()) await h.write(ino, 0, bytes(1000, i));
    await h.crash();
    // The third question is never answered.
    let checks = 0;
    let asked!: () => void;
    const stuck = new Promise<void>((resolve) => (asked = resolve));
    h.before = (op) => {
      if (op !== 'adoptCheck' || ++checks < 3) return undefined;
      asked();
      return new Promise((_, reject) => (giveUp = () => reject(new FsError('ESHUTDOWN'))));
    };
    let giveUp!: () => void;
    const interrupted = h.start().catch(() => undefined);
    await stuck;
    h.cloneCache();
    giveUp();
    await interrupted;
    await h.opened.close();
    h.before = () => undefined;
    await h.start();
    for (const [i, ino] of inos.entries()) expect((await h.read(ino, 0, 2000)).equals(bytes(1000, i))).toBe(true);
    await h.data.drain();
    for (const [i, ino] of inos.entries()) expect((await h.read(ino, 0, 2000)).equals(bytes(1000, i))).toBe(true);
  });

  /** Fills the journal's segments with records that are released at once, so that later ones lie in others. */
  async function rollSegments(times: number): Promise<void> {
    const ino = await h.create(`filler${h.metadata.calls.length}`);
    for (let i = 0; i < times * (SEGMENT / BLOCK); i++) await h.write(ino, i * BLOCK, bytes(BLOCK, i));
    await h.data.flush(ino);
  }

  test('a write that was superseded does not come back when its segment outlives the one of its successor', async () => {
    await open();
    const pinning = await h.create('pinning');
    const ino = await h.create('f');
    await h.write(pinning, 0, bytes(100, 9));
    await h.write(ino, 0, bytes(1000, 1));
    await rollSegments(2);
    await h.write(ino, 0, bytes(1000, 2));
    await h.data.flush(ino);
    await rollSegments(3);
    await h.crash();
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 1 }]);
    await h.data.drain();
    expect((await h.read(ino, 0, 2000)).equals(bytes(1000, 2))).toBe(true);
    expect((await h.read(pinning, 0, 2000)).equals(bytes(100, 9))).toBe(true);
  });

  test('a write that was truncated away does not come back either', async () => {
    await open();
    const pinning = await h.create('pinning');
    const ino = await h.create('f');
    await h.write(pinning, 0, bytes(100, 9));
    await h.write(ino, 0, bytes(1000, 1));
    await rollSegments(2);
    await h.truncate(ino, 10);
    await h.truncate(ino, 500);
    await rollSegments(3);
    await h.crash();
    await h.start();
    const expected = Buffer.concat([bytes(1000, 1).subarray(0, 10), Buffer.alloc(490)]);
    expect((await h.read(ino, 0, 2000)).equals(expected)).toBe(true);
    await h.data.drain();
    expect((await h.read(ino, 0, 2000)).equals(expected)).toBe(true);
  });

  test('a commit that was executed and not answered is not done again over later ones', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(1000, 1));
    h.repliesLost = 1;
    void h.data.flush(ino)?.catch(() => undefined);
    while (h.repliesLost > 0) await new Promise((resolve) => setImmediate(resolve));
    await h.crash();
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 0, refusedInodes: 0 }]);
    expect((await h.read(ino, 0, 2000)).equals(bytes(1000, 1))).toBe(true);
  });

  test('tombstones do not keep segments for ever', async () => {
    await open({ data: { journalSizeBytes: 8 * SEGMENT } });
    const pinning = await h.create('pinning');
    const ino = await h.create('f');
    await h.write(pinning, 0, bytes(100, 9));
    for (let i = 0; i < 200; i++) {
      await h.write(ino, i * BLOCK, bytes(BLOCK, i));
      if (i % 3 === 0) await h.data.flush(ino);
    }
    await h.data.flush(ino);
    expect(h.store.puts).toBeGreaterThanOrEqual(200);
  });

  test('after a machine crash a journal that was not synced is adopted only where nothing changed since', async () => {
    await open();
    const changed = await h.create('changed');
    const same = await h.create('same');
    await h.write(changed, 0, bytes(100, 1));
    await h.write(same, 0, bytes(100, 2));
    await h.crash();
    h.otherBoot();
    // A later commit of the same session, of which the journal on disk knows nothing.
    h.namespace.setattr(1 as never, changed, { mode: 0o600 });
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ adoptedInodes: 1, refusedInodes: 1, refusedBytes: 100 }]);
    expect((await h.read(same, 0, 200)).equals(bytes(100, 2))).toBe(true);
    expect(await h.read(changed, 0, 200)).toHaveLength(0);
  });

  test('deleted inodes are counted and dropped', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    await h.crash();
    h.namespace.unlink(ROOT_INO, Buffer.from('f'));
    h.namespace.release(1 as never, ino, 1 as Fh);
    await h.start();
    expect(h.opened.adopted).toMatchObject([{ droppedInodes: 1, droppedBytes: 100, refusedInodes: 0 }]);
  });

  test('a journal of an unknown version stays where it is, and the mount comes up', async () => {
    await open();
    const ino = await h.create('f');
    await h.write(ino, 0, bytes(100, 1));
    await h.crash();
    h.spoilSegments((bytesOfFile) => (bytesOfFile[4] = 99));
    await h.start();
    expect(h.opened.adopted).toEqual([]);
    expect(h.sessionDirs()).toEqual(['1', '2']);
  });
});
