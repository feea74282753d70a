import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Metadata } from '../../src/meta/metadata.js';
import { NO_CHUNK } from '../../src/model/extent.js';
import { ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER, ACL_USER, ACL_USER_OBJ, encodeAcl } from '../../src/model/acl.js';
import { ROOT_INO, type Fh, type Ino } from '../../src/model/ids.js';
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG, S_ISGID, type InodeAttr } from '../../src/model/inode.js';
import { LOCK_END_MAX, type LockSpec } from '../../src/model/lock.js';
import {
  FIRST_COOKIE,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  XATTR_KILL_SGID,
  type CommitSpec,
  type CreateSpec,
  type FallocateMode,
} from '../../src/model/operation.js';

export interface MetadataUnderTest {
  readonly meta: Metadata;
  close(): Promise<void>;
}

const bytes = (text: string): Buffer => Buffer.from(text);
const spec = (mode: number, more: Partial<CreateSpec> = {}): CreateSpec => ({
  mode,
  uid: 10,
  gid: 20,
  mayKeepSgid: false,
  exclusive: true,
  ...more,
});
const FILE = S_IFREG | 0o644;
const DIR = S_IFDIR | 0o755;
/** A write's time that is not before the file's own: times do not go back. */
const LATER = { sec: 5_000_000_000, nsec: 0 };
const code = (errno: string): unknown => expect.objectContaining({ code: errno });

/** What every {@link Metadata} does, on an empty filesystem with blocks of 64 KiB at least. */
export function metadataSuite(name: string, open: () => Promise<MetadataUnderTest>): void {
  describe(name, () => {
    let subject: MetadataUnderTest;
    let meta: Metadata;

    beforeEach(async () => {
      subject = await open();
      meta = subject.meta;
    });
    afterEach(() => subject.close());

    const ctx = () => ({ opId: meta.clientOpId() });
    const make = async (parent: Ino, entry: string, mode = FILE): Promise<InodeAttr> =>
      (await meta.create(ctx(), parent, bytes(entry), spec(mode))).attr;
    const find = async (parent: Ino, entry: string): Promise<InodeAttr | undefined> =>
      meta.lookup(parent, bytes(entry));
    const attr = async (ino: Ino): Promise<InodeAttr> => meta.getattr(ino);
    const ref = (parent: Ino, entry: string) => ({ parent, name: bytes(entry) });
    async function list(ino: Ino): Promise<string[]> {
      const names: string[] = [];
      for (let cookie = 0; ;) {
        const page = await meta.readdir(ino, cookie, true);
        for (const entry of page.entries) {
          expect(entry.cookie).toBeGreaterThan(cookie);
          expect(entry.cookie).toBeGreaterThanOrEqual(FIRST_COOKIE);
          expect(entry.attr?.ino).toBe(entry.ino);
          names.push(Buffer.from(entry.name).toString());
          cookie = entry.cookie;
        }
        if (page.end) return names.sort();
      }
    }

    test('the root', async () => {
      expect(await attr(ROOT_INO)).toMatchObject({
        ino: 1,
        mode: S_IFDIR | 0o755,
        nlink: 2,
        uid: 0,
        gid: 0,
        parent: 1,
      });
      expect(await list(ROOT_INO)).toEqual([]);
      expect(await find(ROOT_INO, 'nothing')).toBeUndefined();
    });

    test('create: attributes as asked, the parent changes', async () => {
      const before = await attr(ROOT_INO);
      const file = await make(ROOT_INO, 'f');
      expect(file).toMatchObject({
        mode: FILE,
        nlink: 1,
        uid: 10,
        gid: 20,
        size: 0,
        allocatedBytes: 0,
        hasXattrs: false,
      });
      expect(await find(ROOT_INO, 'f')).toEqual(file);
      const dir = await make(ROOT_INO, 'd', DIR);
      expect(dir).toMatchObject({ mode: DIR, nlink: 2, parent: ROOT_INO });
      const after = await attr(ROOT_INO);
      expect(after.nlink).toBe(before.nlink + 1);
      expect(after.change).toBe(before.change + 2);
      expect(await list(ROOT_INO)).toEqual(['d', 'f']);
    });

    test('create: an existing name', async () => {
      const file = await make(ROOT_INO, 'f');
      await make(ROOT_INO, 'd', DIR);
      await expect(make(ROOT_INO, 'f')).rejects.toEqual(code('EEXIST'));
      const opened = { fh: 5 as Fh, write: true, truncate: false };
      const again = await meta.create(ctx(), ROOT_INO, bytes('f'), spec(FILE, { exclusive: false, open: opened }));
      expect(again).toMatchObject({ created: false, attr: { ino: file.ino } });
      await expect(
        meta.create(ctx(), ROOT_INO, bytes('d'), spec(FILE, { exclusive: false, open: { ...opened, fh: 6 as Fh } })),
      ).rejects.toThrow();
    });

    test('a set-group-ID directory hands its group down', async () => {
      const dir = (await meta.create(ctx(), ROOT_INO, bytes('d'), spec(DIR | S_ISGID, { gid: 77 }))).attr;
      expect(await make(dir.ino, 'f')).toMatchObject({ gid: 77 });
      expect(await make(dir.ino, 'sub', DIR)).toMatchObject({ gid: 77, mode: DIR | S_ISGID });
    });

    test('names: bytes, at most 255 of them', async () => {
      const name = Buffer.from([0xff, 0xfe, 0x2e, 0x80]);
      const file = (await meta.create(ctx(), ROOT_INO, name, spec(FILE))).attr;
      expect((await meta.lookup(ROOT_INO, name))?.ino).toBe(file.ino);
      expect(Buffer.from((await meta.readdir(ROOT_INO, 0, false)).entries[0]!.name)).toEqual(name);
      await make(ROOT_INO, 'x'.repeat(255));
      await expect(make(ROOT_INO, 'x'.repeat(256))).rejects.toEqual(code('ENAMETOOLONG'));
    });

    test('a file is no directory', async () => {
      const file = await make(ROOT_INO, 'f');
      await expect(make(file.ino, 'x')).rejects.toEqual(code('ENOTDIR'));
      await expect(list(file.ino)).rejects.toEqual(code('ENOTDIR'));
    });

    test('unlink and rmdir', async () => {
      const file = await make(ROOT_INO, 'f');
      const dir = await make(ROOT_INO, 'd', DIR);
      await make(dir.ino, 'x');
      await expect(meta.unlink(ctx(), ROOT_INO, bytes('d'))).rejects.toEqual(code('EISDIR'));
      await expect(meta.rmdir(ctx(), ROOT_INO, bytes('f'))).rejects.toEqual(code('ENOTDIR'));
      await expect(meta.rmdir(ctx(), ROOT_INO, bytes('d'))).rejects.toEqual(code('ENOTEMPTY'));
      await expect(meta.unlink(ctx(), ROOT_INO, bytes('none'))).rejects.toEqual(code('ENOENT'));
      await meta.unlink(ctx(), dir.ino, bytes('x'));
      await meta.rmdir(ctx(), ROOT_INO, bytes('d'));
      await meta.unlink(ctx(), ROOT_INO, bytes('f'));
      expect(await list(ROOT_INO)).toEqual([]);
      expect((await attr(ROOT_INO)).nlink).toBe(2);
      expect(await find(ROOT_INO, 'f')).toBeUndefined();
      await expect(make(dir.ino, 'x')).rejects.toEqual(code('ENOENT'));
      await expect(meta.open(ctx(), file.ino, { fh: 1 as Fh, write: false, truncate: false })).rejects.toEqual(
        code('ENOENT'),
      );
    });

    test('an unlinked file lives while it is open', async () => {
      const file = await make(ROOT_INO, 'f');
      await meta.open(ctx(), file.ino, { fh: 8 as Fh, write: true, truncate: false });
      await meta.unlink(ctx(), ROOT_INO, bytes('f'));
      expect(await attr(file.ino)).toMatchObject({ nlink: 0 });
      expect(await meta.setattr(ctx(), file.ino, { size: 10 })).toMatchObject({ size: 10 });
      await expect(meta.link(ctx(), file.ino, ROOT_INO, bytes('again'))).rejects.toEqual(code('ENOENT'));
      meta.release(file.ino, 8 as Fh);
      await meta.barrier();
      await expect(
        (async () => {
          for (let i = 0; i < 50; i++) await meta.setattr(ctx(), file.ino, { mode: 0o600 });
        })(),
      ).rejects.toEqual(code('ENOENT'));
    });

    test('link', async () => {
      const file = await make(ROOT_INO, 'f');
      const dir = await make(ROOT_INO, 'd', DIR);
      expect(await meta.link(ctx(), file.ino, dir.ino, bytes('g'))).toMatchObject({ ino: file.ino, nlink: 2 });
      expect(await find(dir.ino, 'g')).toMatchObject({ ino: file.ino, nlink: 2 });
      await expect(meta.link(ctx(), file.ino, dir.ino, bytes('g'))).rejects.toEqual(code('EEXIST'));
      await expect(meta.link(ctx(), dir.ino, ROOT_INO, bytes('e'))).rejects.toEqual(code('EPERM'));
      await meta.unlink(ctx(), ROOT_INO, bytes('f'));
      expect(await find(dir.ino, 'g')).toMatchObject({ nlink: 1 });
    });

    describe('a file without a name', () => {
      const unnamed = async (fh: number, exclusive = false): Promise<InodeAttr> => {
        const open = { fh: fh as Fh, write: true, truncate: false };
        const made = await meta.create(ctx(), ROOT_INO, bytes(''), spec(FILE, { unnamed: true, exclusive, open }));
        expect(made.created).toBe(true);
        return made.attr;
      };

      test('no directory shows it; it is gone with its open', async () => {
        const before = await attr(ROOT_INO);
        const file = await unnamed(1);
        expect(file).toMatchObject({ nlink: 0, mode: FILE, uid: 10, gid: 20 });
        expect(await meta.setattr(ctx(), file.ino, { size: 5 })).toMatchObject({ size: 5, nlink: 0 });
        expect(await list(ROOT_INO)).toEqual([]);
        expect((await attr(ROOT_INO)).change).toBe(before.change);
        meta.release(file.ino, 1 as Fh);
        await meta.barrier();
        await expect(meta.setattr(ctx(), file.ino, { mode: 0o600 })).rejects.toEqual(code('ENOENT'));
      });

      test('may be linked once, and is a file like any other from then on', async () => {
        const file = await unnamed(1);
        expect(await meta.link(ctx(), file.ino, ROOT_INO, bytes('named'))).toMatchObject({ ino: file.ino, nlink: 1 });
        meta.release(file.ino, 1 as Fh);
        await meta.barrier();
        expect(await find(ROOT_INO, 'named')).toMatchObject({ ino: file.ino, nlink: 1 });
        await meta.open(ctx(), file.ino, { fh: 2 as Fh, write: false, truncate: false });
        await meta.unlink(ctx(), ROOT_INO, bytes('named'));
        await expect(meta.link(ctx(), file.ino, ROOT_INO, bytes('again'))).rejects.toEqual(code('ENOENT'));
      });

      test('with O_EXCL is never linked; a directory that is gone takes none', async () => {
        const file = await unnamed(1, true);
        await expect(meta.link(ctx(), file.ino, ROOT_INO, bytes('named'))).rejects.toEqual(code('ENOENT'));
        const dir = await make(ROOT_INO, 'd', DIR);
        await meta.rmdir(ctx(), ROOT_INO, bytes('d'));
        const open = { fh: 2 as Fh, write: true, truncate: false };
        await expect(meta.create(ctx(), dir.ino, bytes(''), spec(FILE, { unnamed: true, open }))).rejects.toEqual(
          code('ENOENT'),
        );
      });
    });

    test('symlink', async () => {
      const { attr: link } = await meta.create(
        ctx(),
        ROOT_INO,
        bytes('l'),
        spec(S_IFLNK | 0o777, { target: bytes('to/there') }),
      );
      expect(link.size).toBe(8);
      expect(Buffer.from(await meta.readlink(link.ino)).toString()).toBe('to/there');
      const file = await make(ROOT_INO, 'f');
      await expect((async () => meta.readlink(file.ino))()).rejects.toEqual(code('EINVAL'));
    });

    describe('rename', () => {
      let a: InodeAttr;
      let b: InodeAttr;
      let dir: InodeAttr;
      beforeEach(async () => {
        a = await make(ROOT_INO, 'a');
        b = await make(ROOT_INO, 'b');
        dir = await make(ROOT_INO, 'd', DIR);
      });

      test('within a directory and to another one', async () => {
        await meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(ROOT_INO, 'c'), 0);
        expect(await list(ROOT_INO)).toEqual(['b', 'c', 'd']);
        await meta.rename(ctx(), ref(ROOT_INO, 'c'), ref(dir.ino, 'x'), 0);
        expect(await find(ROOT_INO, 'c')).toBeUndefined();
        expect((await find(dir.ino, 'x'))?.ino).toBe(a.ino);
      });

      test('over a name: what had it is gone', async () => {
        await meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(ROOT_INO, 'b'), 0);
        expect(await list(ROOT_INO)).toEqual(['b', 'd']);
        expect((await find(ROOT_INO, 'b'))?.ino).toBe(a.ino);
        await expect(meta.open(ctx(), b.ino, { fh: 1 as Fh, write: false, truncate: false })).rejects.toEqual(
          code('ENOENT'),
        );
      });

      test('the flags', async () => {
        await expect(meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(ROOT_INO, 'b'), RENAME_NOREPLACE)).rejects.toEqual(
          code('EEXIST'),
        );
        await meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(ROOT_INO, 'b'), RENAME_EXCHANGE);
        expect((await find(ROOT_INO, 'a'))?.ino).toBe(b.ino);
        expect((await find(ROOT_INO, 'b'))?.ino).toBe(a.ino);
        await expect(meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(ROOT_INO, 'no'), RENAME_EXCHANGE)).rejects.toEqual(
          code('ENOENT'),
        );
        await meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(dir.ino, 'n'), RENAME_NOREPLACE);
        expect(await list(ROOT_INO)).toEqual(['b', 'd']);
      });

      test('RENAME_WHITEOUT leaves a character device 0/0 at the old name', async () => {
        const owner = { uid: 3, gid: 4 };
        await meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(dir.ino, 'x'), RENAME_WHITEOUT, owner);
        const whiteout = await find(ROOT_INO, 'a');
        expect(whiteout).toMatchObject({ mode: S_IFCHR, rdev: 0, nlink: 1, ...owner });
        expect((await find(dir.ino, 'x'))?.ino).toBe(a.ino);
        expect(await list(ROOT_INO)).toEqual(['a', 'b', 'd']);
        await meta.rename(ctx(), ref(ROOT_INO, 'd'), ref(ROOT_INO, 'e'), RENAME_WHITEOUT | RENAME_NOREPLACE, owner);
        expect(await list(ROOT_INO)).toEqual(['a', 'b', 'd', 'e']);
        expect((await attr(ROOT_INO)).nlink).toBe(3);
        await expect(
          meta.rename(ctx(), ref(ROOT_INO, 'b'), ref(ROOT_INO, 'e'), RENAME_WHITEOUT | RENAME_EXCHANGE, owner),
        ).rejects.toEqual(code('EINVAL'));
      });

      test('exchanging a file with a directory elsewhere keeps link counts and parents', async () => {
        const other = await make(ROOT_INO, 'e', DIR);
        const inner = await make(other.ino, 'inner', DIR);
        await meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(other.ino, 'inner'), RENAME_EXCHANGE);
        expect(await attr(inner.ino)).toMatchObject({ parent: ROOT_INO });
        expect((await attr(other.ino)).nlink).toBe(2);
        expect((await attr(ROOT_INO)).nlink).toBe(5);
      });

      test('directories: moved with their parent and link counts, never into themselves, only over empty ones', async () => {
        const target = await make(ROOT_INO, 't', DIR);
        await meta.rename(ctx(), ref(ROOT_INO, 'd'), ref(target.ino, 'd'), 0);
        expect(await attr(dir.ino)).toMatchObject({ parent: target.ino });
        expect((await attr(ROOT_INO)).nlink).toBe(3);
        expect((await attr(target.ino)).nlink).toBe(3);
        await expect(meta.rename(ctx(), ref(ROOT_INO, 't'), ref(dir.ino, 'loop'), 0)).rejects.toEqual(code('EINVAL'));
        await make(ROOT_INO, 'u', DIR);
        await expect(meta.rename(ctx(), ref(ROOT_INO, 'u'), ref(ROOT_INO, 't'), 0)).rejects.toEqual(code('ENOTEMPTY'));
        await expect(meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(ROOT_INO, 'u'), 0)).rejects.toEqual(code('EISDIR'));
        await expect(meta.rename(ctx(), ref(ROOT_INO, 'u'), ref(ROOT_INO, 'a'), 0)).rejects.toEqual(code('ENOTDIR'));
        await meta.rename(ctx(), ref(ROOT_INO, 'u'), ref(target.ino, 'd'), 0);
        expect(await list(target.ino)).toEqual(['d']);
        expect((await attr(target.ino)).nlink).toBe(3);
      });

      test('one link of a file onto another does nothing', async () => {
        await meta.link(ctx(), a.ino, dir.ino, bytes('l'));
        await meta.rename(ctx(), ref(ROOT_INO, 'a'), ref(dir.ino, 'l'), 0);
        expect((await find(ROOT_INO, 'a'))?.nlink).toBe(2);
        expect((await find(dir.ino, 'l'))?.ino).toBe(a.ino);
      });
    });

    test('a listing by pages shows each name once, while others come and go', async () => {
      const names = Array.from({ length: 300 }, (_, i) => `${i}-${'n'.repeat(200)}`);
      await Promise.all(names.map((entry) => make(ROOT_INO, entry)));
      const first = await meta.readdir(ROOT_INO, 0, false);
      const seen = first.entries.map((entry) => Buffer.from(entry.name).toString());
      let cookie = first.entries[100]!.cookie;
      const kept = seen.slice(0, 101);
      await meta.unlink(ctx(), ROOT_INO, bytes(seen[0]!));
      await make(ROOT_INO, 'late');
      for (let end = false; !end;) {
        const page = await meta.readdir(ROOT_INO, cookie, false);
        kept.push(...page.entries.map((entry) => Buffer.from(entry.name).toString()));
        cookie = page.entries.at(-1)?.cookie ?? cookie;
        end = page.end;
      }
      expect(new Set(kept).size).toBe(kept.length);
      expect(names.filter((entry) => !kept.includes(entry))).toEqual([]);
    });

    test('setattr: what is asked and no more; times count their epoch', async () => {
      const file = await make(ROOT_INO, 'f');
      const mtime = { sec: -5, nsec: 17 };
      const changed = await meta.setattr(ctx(), file.ino, { mode: 0o4711, uid: 1, mtime });
      expect(changed).toMatchObject({ mode: S_IFREG | 0o4711, uid: 1, gid: 20, mtime, atime: file.atime });
      expect(changed.timeEpoch).toBeGreaterThan(file.timeEpoch);
      expect(changed.change).toBeGreaterThan(file.change);
      const killed = await meta.setattr(ctx(), file.ino, { killPriv: true });
      expect(killed.mode).toBe(S_IFREG | 0o711);
      const dir = await make(ROOT_INO, 'd', DIR);
      await expect(meta.setattr(ctx(), dir.ino, { size: 0 })).rejects.toEqual(code('EISDIR'));
    });

    describe('content', () => {
      let file: InodeAttr;
      beforeEach(async () => {
        file = await make(ROOT_INO, 'f');
      });

      /** Bytes [from, to) of block 0, in a chunk of their own. */
      async function commit(
        from: number,
        to: number,
        under: InodeAttr,
        more: Partial<CommitSpec> = {},
      ): Promise<InodeAttr> {
        const chunkId = await meta.allocateChunkId();
        return meta.commitExtents(ctx(), file.ino, {
          blocks: [{ block: 0, extents: [{ offset: from, length: to - from, chunkId, chunkOffset: 0 }] }],
          chunks: [{ chunkId, size: to - from }],
          sizeAtLeast: to,
          mtime: LATER,
          truncEpoch: under.truncEpoch,
          timeEpoch: under.timeEpoch,
          killPriv: false,
          ...more,
        });
      }
      const ranges = async (): Promise<number[][]> =>
        (await meta.readExtents(file.ino, 0, 4)).blocks.flatMap(({ extents }) =>
          extents.map(({ offset, length, chunkOffset }) => [offset, offset + length, chunkOffset]),
        );

      test('a commit stores extents, size, time and usage; the newer one wins where they overlap', async () => {
        const first = await commit(0, 10_000, file);
        expect(first).toMatchObject({ size: 10_000, allocatedBytes: 12_288, mtime: LATER });
        expect(first.lastWriter).toBe(meta.sessionId);
        await commit(4000, 6000, first);
        expect(await ranges()).toEqual([
          [0, 4000, 0],
          [4000, 6000, 0],
          [6000, 10_000, 6000],
        ]);
        const open = await meta.open(ctx(), file.ino, { fh: 3 as Fh, write: false, truncate: false });
        expect(open.attr.size).toBe(10_000);
        if (open.extents !== undefined) expect(open.extents.blocks[0]?.extents).toHaveLength(3);
      });

      test('a commit does not shrink, nor extend when it may not', async () => {
        const first = await commit(0, 10_000, file);
        expect(await commit(0, 100, first)).toMatchObject({ size: 10_000 });
        expect(await commit(10_000, 20_000, first, { sizeAtLeast: undefined })).toMatchObject({ size: 10_000 });
      });

      test('truncation cuts extents; a commit made before it is clipped', async () => {
        const first = await commit(0, 10_000, file);
        const cut = await meta.setattr(ctx(), file.ino, { size: 5000 });
        expect(cut).toMatchObject({ size: 5000, allocatedBytes: 8192 });
        expect(cut.truncEpoch).toBeGreaterThan(first.truncEpoch);
        expect(await ranges()).toEqual([[0, 5000, 0]]);
        expect(await commit(4000, 9000, first)).toMatchObject({ size: 5000 });
        expect((await ranges()).at(-1)).toEqual([4000, 5000, 0]);
        expect(await meta.setattr(ctx(), file.ino, { size: 20_000 })).toMatchObject({
          size: 20_000,
          allocatedBytes: 8192,
        });
      });

      test('times set after the write stay', async () => {
        const mtime = { sec: 5, nsec: 5 };
        await meta.setattr(ctx(), file.ino, { mtime });
        expect(await commit(0, 10, file)).toMatchObject({ mtime });
      });

      test('open with O_TRUNC', async () => {
        await commit(0, 10_000, file);
        const { attr: truncated } = await meta.open(ctx(), file.ino, { fh: 4 as Fh, write: true, truncate: true });
        expect(truncated).toMatchObject({ size: 0, allocatedBytes: 0 });
        expect(await ranges()).toEqual([]);
      });

      test('swap: only while the expected extents are there', async () => {
        await commit(0, 100, file);
        const { blocks: expected } = await meta.readExtents(file.ino, 0, 1);
        const chunkId = await meta.allocateChunkId();
        const replacement = [{ block: 0, extents: [{ offset: 0, length: 100, chunkId, chunkOffset: 0 }] }];
        const swap = { expected, replacement, chunks: [{ chunkId, size: 100 }] };
        expect(await meta.swapExtents(ctx(), file.ino, swap)).toBe(true);
        expect((await meta.readExtents(file.ino, 0, 1)).blocks).toEqual(replacement);
        const other = await meta.allocateChunkId();
        const elsewhere = [{ block: 0, extents: [{ offset: 0, length: 100, chunkId: other, chunkOffset: 0 }] }];
        const stale = { expected, replacement: elsewhere, chunks: [{ chunkId: other, size: 100 }] };
        expect(await meta.swapExtents(ctx(), file.ino, stale)).toBe(false);
      });

      const range = (mode: FallocateMode, offset: number, length: number, keepSize = false) => ({
        ...{ mode, offset, length, keepSize, sizeAtLeast: 0, killPriv: false },
      });
      const kinds = async (ino: Ino): Promise<string[]> =>
        (await meta.readExtents(ino, 0, 4)).blocks.flatMap(({ block, extents }) =>
          extents.map(({ offset, length, chunkId }) => {
            const start = block * meta.fs.blockSizeBytes + offset;
            return `${start}-${start + length} ${chunkId === NO_CHUNK ? 'empty' : 'data'}`;
          }),
        );

      test('fallocate gives holes space and keeps what is there', async () => {
        await commit(4096, 8192, file);
        const { attr: grown, done } = await meta.fallocate(ctx(), file.ino, range('allocate', 0, 20_000));
        expect(done).toBe(20_000);
        expect(grown).toMatchObject({ size: 20_000, allocatedBytes: 20_480 });
        expect(await kinds(file.ino)).toEqual(['0-4096 empty', '4096-8192 data', '8192-20000 empty']);
        const kept = await meta.fallocate(ctx(), file.ino, range('allocate', 0, 40_000, true));
        expect(kept.attr).toMatchObject({ size: 20_000, allocatedBytes: 40_960 });
        expect(await commit(20_000, 40_000, kept.attr)).toMatchObject({ size: 40_000, allocatedBytes: 40_960 });
        expect(await meta.setattr(ctx(), file.ino, { size: 0 })).toMatchObject({ allocatedBytes: 0 });
      });

      test('fallocate punches holes and makes zeros', async () => {
        await commit(0, 10_000, file);
        const { attr: punched } = await meta.fallocate(ctx(), file.ino, range('punch', 4096, 100_000));
        expect(punched).toMatchObject({ size: 10_000, allocatedBytes: 4096 });
        expect(await kinds(file.ino)).toEqual(['0-4096 data']);
        const { attr: zeroed } = await meta.fallocate(ctx(), file.ino, range('zero', 100, 9000));
        expect(zeroed).toMatchObject({ size: 10_000, allocatedBytes: 12_288 });
        expect(await kinds(file.ino)).toEqual(['0-100 data', '100-9100 empty']);
        const beyond = { ...range('punch', 50_000, 10), sizeAtLeast: 70_000 };
        expect((await meta.fallocate(ctx(), file.ino, beyond)).attr).toMatchObject({ size: 70_000 });
        await expect(meta.fallocate(ctx(), file.ino, range('zero', 0, 0))).rejects.toEqual(code('EINVAL'));
        await expect(meta.fallocate(ctx(), file.ino, range('zero', 2 ** 50, 1))).rejects.toEqual(code('EFBIG'));
      });

      test('fallocate changes times, privileges and the change number as a write does', async () => {
        const before = await meta.setattr(ctx(), file.ino, { mode: 0o4755, mtime: { sec: 1, nsec: 1 } });
        const { attr: after } = await meta.fallocate(ctx(), file.ino, { ...range('allocate', 0, 1), killPriv: true });
        expect(after.mode & 0o7777).toBe(0o755);
        expect(after.mtime).toEqual(after.ctime);
        expect(after.change).toBeGreaterThan(before.change);
        expect(after.lastWriter).toBe(meta.sessionId);
      });

      test('a clone shares the chunks of its source, at any offset', async () => {
        await commit(100, 10_000, file);
        await meta.fallocate(ctx(), file.ino, range('punch', 5000, 1000));
        const copy = await make(ROOT_INO, 'copy');
        const clone = { source: file.ino, sourceOffset: 0, offset: 65_000, sizeAtLeast: 0, killPriv: false };
        const { attr: cloned, done } = await meta.cloneRange(ctx(), copy.ino, { ...clone, length: 1 << 20 });
        expect(done).toBe(10_000);
        expect(cloned).toMatchObject({ size: 75_000, allocatedBytes: 16_384 });
        expect(await kinds(copy.ino)).toEqual(
          meta.fs.blockSizeBytes > 75_000
            ? ['65100-70000 data', '71000-75000 data']
            : ['65100-65536 data', '65536-70000 data', '71000-75000 data'],
        );
        await meta.unlink(ctx(), ROOT_INO, bytes('f'));
        const [block] = (await meta.readExtents(copy.ino, 0, 1)).blocks;
        expect(block?.extents[0]).toMatchObject({ chunkOffset: 0 });
        const past = { ...clone, source: copy.ino, sourceOffset: 75_000, offset: 0, length: 10 };
        expect(await meta.cloneRange(ctx(), copy.ino, past)).toMatchObject({ done: 0, attr: { size: 75_000 } });
        const overlap = { ...clone, source: copy.ino, sourceOffset: 65_000, offset: 65_010, length: 11 };
        await expect(meta.cloneRange(ctx(), copy.ino, overlap)).rejects.toEqual(code('EINVAL'));
      });

      test('a clone over data replaces it, with holes too', async () => {
        await commit(0, 4096, file);
        const copy = await make(ROOT_INO, 'copy');
        const clone = { source: file.ino, sourceOffset: 0, offset: 0, length: 4096, sizeAtLeast: 0, killPriv: false };
        await meta.cloneRange(ctx(), copy.ino, clone);
        await meta.setattr(ctx(), file.ino, { size: 0 });
        await meta.setattr(ctx(), file.ino, { size: 8192 });
        await meta.cloneRange(ctx(), copy.ino, { ...clone, offset: 1000, length: 2000 });
        expect(await kinds(copy.ino)).toEqual(['0-1000 data', '3000-4096 data']);
      });

      test('times of access grow, and nothing else changes', async () => {
        const before = await attr(file.ino);
        const atime = { sec: before.atime.sec + 10, nsec: 7 };
        await meta.updateAtimes([
          { ino: file.ino, atime },
          { ino: 999_999 as Ino, atime },
        ]);
        expect(await attr(file.ino)).toEqual({ ...before, atime });
        await meta.updateAtimes([{ ino: file.ino, atime: { sec: 1, nsec: 0 } }]);
        expect((await attr(file.ino)).atime).toEqual(atime);
      });

      test('chunk ids are never the same', async () => {
        const ids = await Promise.all(Array.from({ length: 100 }, async () => meta.allocateChunkId()));
        expect(new Set(ids).size).toBe(100);
      });
    });

    test('extended attributes', async () => {
      const file = await make(ROOT_INO, 'f');
      const get = async (key: string): Promise<string | undefined> => {
        const value = await meta.getxattr(file.ino, bytes(key));
        return value === undefined ? undefined : Buffer.from(value).toString();
      };
      expect(await get('user.a')).toBeUndefined();
      await meta.setxattr(ctx(), file.ino, bytes('user.a'), bytes('1'), 0);
      await meta.setxattr(ctx(), file.ino, bytes('user.empty'), bytes(''), 0);
      expect([await get('user.a'), await get('user.empty'), await get('user.b')]).toEqual(['1', '', undefined]);
      expect((await meta.listxattr(file.ino)).map(String).sort()).toHaveLength(2);
      expect(await attr(file.ino)).toMatchObject({ hasXattrs: true });
      await expect(meta.setxattr(ctx(), file.ino, bytes('user.a'), bytes('2'), 1)).rejects.toEqual(code('EEXIST'));
      await expect(meta.setxattr(ctx(), file.ino, bytes('user.b'), bytes('2'), 2)).rejects.toEqual(code('ENODATA'));
      await meta.removexattr(ctx(), file.ino, bytes('user.a'));
      await meta.removexattr(ctx(), file.ino, bytes('user.empty'));
      await expect(meta.removexattr(ctx(), file.ino, bytes('user.a'))).rejects.toEqual(code('ENODATA'));
      expect(await attr(file.ino)).toMatchObject({ hasXattrs: false });
      expect(await get('user.a')).toBeUndefined();
    });

    describe('ACLs', () => {
      const ACCESS = bytes('system.posix_acl_access');
      const DEFAULT = bytes('system.posix_acl_default');
      /** `u::rwx,u:5:r-x,…` as short as can be: pairs of tag and permissions, ids for the named ones. */
      const acl = (owner: number, group: number, other: number, named?: { uid: number; perm: number; mask: number }) =>
        encodeAcl([
          { tag: ACL_USER_OBJ, perm: owner, id: 0 },
          ...(named === undefined ? [] : [{ tag: ACL_USER, perm: named.perm, id: named.uid }]),
          { tag: ACL_GROUP_OBJ, perm: group, id: 0 },
          ...(named === undefined ? [] : [{ tag: ACL_MASK, perm: named.mask, id: 0 }]),
          { tag: ACL_OTHER, perm: other, id: 0 },
        ]);
      const named = { uid: 5, perm: 7, mask: 5 };
      const get = async (ino: Ino, name: Buffer): Promise<string | undefined> => {
        const value = await meta.getxattr(ino, name);
        return value === undefined ? undefined : Buffer.from(value).toString('hex');
      };
      const hex = (value: Buffer): string => value.toString('hex');
      const bits = async (ino: Ino): Promise<string> => ((await attr(ino)).mode & 0o7777).toString(8);

      test('an access ACL sets the mode, and follows it', async () => {
        const file = await make(ROOT_INO, 'f', S_IFREG | 0o4600);
        expect(file.aclChange).toBe(0);
        await meta.setxattr(ctx(), file.ino, ACCESS, acl(6, 4, 0, named), 0);
        expect(await bits(file.ino)).toBe('4650');
        const first = await attr(file.ino);
        expect(first).toMatchObject({ hasXattrs: true, aclChange: first.change });
        expect(await get(file.ino, ACCESS)).toBe(hex(acl(6, 4, 0, named)));
        const changed = await meta.setattr(ctx(), file.ino, { mode: 0o724 });
        expect(changed.aclChange).toBeGreaterThan(first.aclChange);
        expect(await get(file.ino, ACCESS)).toBe(hex(acl(7, 4, 4, { ...named, mask: 2 })));
        expect((await meta.setattr(ctx(), file.ino, { uid: 3 })).aclChange).toBe(changed.aclChange);
        await meta.removexattr(ctx(), file.ino, ACCESS);
        expect(await bits(file.ino)).toBe('724');
        expect(await attr(file.ino)).toMatchObject({ hasXattrs: false, aclChange: 0 });
        expect(await get(file.ino, ACCESS)).toBeUndefined();
        await expect(meta.removexattr(ctx(), file.ino, ACCESS)).rejects.toEqual(code('ENODATA'));
      });

      test('an ACL that the mode expresses is not kept', async () => {
        const file = await make(ROOT_INO, 'f', S_IFREG | 0o2610);
        await meta.setxattr(ctx(), file.ino, ACCESS, acl(6, 4, 0, named), 0);
        await meta.setxattr(ctx(), file.ino, ACCESS, acl(7, 5, 1), 0);
        expect(await bits(file.ino)).toBe('2751');
        expect(await attr(file.ino)).toMatchObject({ hasXattrs: false, aclChange: 0 });
        await meta.setxattr(ctx(), file.ino, ACCESS, acl(7, 5, 1, named), XATTR_KILL_SGID);
        expect(await bits(file.ino)).toBe('751');
        await meta.setxattr(ctx(), file.ino, ACCESS, bytes('\x02\0\0\0'), 0);
        expect(await attr(file.ino)).toMatchObject({ hasXattrs: false, aclChange: 0 });
        expect(await bits(file.ino)).toBe('751');
      });

      test('a default ACL is handed down in place of the umask', async () => {
        const dir = await make(ROOT_INO, 'd', DIR);
        const given = acl(7, 5, 1, { ...named, mask: 7 });
        await meta.setxattr(ctx(), dir.ino, DEFAULT, given, 0);
        expect(await bits(dir.ino)).toBe('755');
        const create = async (name: string, mode: number): Promise<InodeAttr> =>
          (await meta.create(ctx(), dir.ino, bytes(name), spec(mode, { umask: 0o077 }))).attr;
        const file = await create('f', S_IFREG | 0o666);
        expect(file.mode & 0o777).toBe(0o660);
        expect(await get(file.ino, ACCESS)).toBe(hex(acl(6, 5, 0, { ...named, mask: 6 })));
        expect(await get(file.ino, DEFAULT)).toBeUndefined();
        const sub = await create('s', S_IFDIR | 0o1777);
        expect(sub.mode & 0o7777).toBe(0o1771);
        expect(await get(sub.ino, DEFAULT)).toBe(hex(given));
        expect(await get(sub.ino, ACCESS)).toBe(hex(acl(7, 5, 1, { ...named, mask: 7 })));
        const open = { fh: 9 as Fh, write: true, truncate: false };
        const unnamed = spec(S_IFREG | 0o606, { umask: 0o077, unnamed: true, open });
        const made = await meta.create(ctx(), dir.ino, bytes(''), unnamed);
        expect(await get(made.attr.ino, ACCESS)).toBe(hex(acl(6, 5, 0, { ...named, mask: 0 })));
        meta.release(made.attr.ino, open.fh);
        const link = await meta.create(ctx(), dir.ino, bytes('l'), spec(S_IFLNK | 0o777, { target: bytes('f') }));
        expect(link.attr).toMatchObject({ mode: S_IFLNK | 0o777, aclChange: 0 });
        await meta.removexattr(ctx(), dir.ino, DEFAULT);
        expect((await create('g', S_IFREG | 0o666)).mode & 0o777).toBe(0o600);
      });

      test('a default ACL without names leaves a mode alone', async () => {
        const dir = await make(ROOT_INO, 'd', DIR);
        await meta.setxattr(ctx(), dir.ino, DEFAULT, acl(7, 5, 0), 0);
        const made = await meta.create(ctx(), dir.ino, bytes('f'), spec(S_IFREG | 0o666, { umask: 0o777 }));
        expect(made.attr).toMatchObject({ mode: S_IFREG | 0o640, hasXattrs: false, aclChange: 0 });
      });

      test('an ACL that changed between two files of the same change number is not mixed up', async () => {
        const dir = await make(ROOT_INO, 'd', DIR);
        await meta.setxattr(ctx(), dir.ino, DEFAULT, acl(7, 5, 0, named), 0);
        const { ino } = (await meta.create(ctx(), dir.ino, bytes('f'), spec(S_IFREG | 0o777))).attr;
        expect(await get(ino, ACCESS)).toBe(hex(acl(7, 5, 0, named)));
        await meta.setxattr(ctx(), ino, ACCESS, acl(6, 1, 0, { ...named, mask: 1 }), 0);
        expect(await get(ino, ACCESS)).toBe(hex(acl(6, 1, 0, { ...named, mask: 1 })));
      });

      test('what is refused', async () => {
        const file = await make(ROOT_INO, 'f');
        const set = (name: Buffer, value: Buffer): Promise<void> => meta.setxattr(ctx(), file.ino, name, value, 0);
        await expect(set(ACCESS, bytes('nonsense'))).rejects.toEqual(code('EOPNOTSUPP'));
        await expect(set(ACCESS, acl(7, 5, 0).subarray(0, 20))).rejects.toEqual(code('EINVAL'));
        await expect(set(DEFAULT, acl(7, 5, 0))).rejects.toEqual(code('EACCES'));
        await expect(set(ACCESS, Buffer.alloc(4100, acl(7, 5, 0)))).rejects.toEqual(code('E2BIG'));
        expect(await attr(file.ino)).toEqual(file);
      });
    });

    test('an operation that comes twice is executed once', async () => {
      const again = ctx();
      const [first, second] = await Promise.all([
        meta.create(again, ROOT_INO, bytes('once'), spec(FILE)),
        meta.create(again, ROOT_INO, bytes('once'), spec(FILE)),
      ]);
      expect(second).toEqual(first);
      expect(await meta.queryOps(meta.sessionId, [meta.clientOpId()])).toEqual([false]);
    });

    test('aborted before it is sent: EINTR, and nothing happens', async () => {
      const signal = AbortSignal.abort();
      await expect(meta.create({ ...ctx(), signal }, ROOT_INO, bytes('no'), spec(FILE))).rejects.toEqual(code('EINTR'));
      expect(await find(ROOT_INO, 'no')).toBeUndefined();
    });

    test('statfs and reserve without limits', async () => {
      const usage = await meta.statfs(ROOT_INO);
      expect(usage).toMatchObject({ capacityBytes: 0, inodesMax: 0 });
      expect(await meta.reserve(1 << 30)).toEqual({ granted: Infinity, freeing: false });
    });

    describe('locks', () => {
      const all = { start: 0n, end: LOCK_END_MAX };
      const write = (owner: bigint, more: Partial<LockSpec> = {}): LockSpec => ({
        ...{ kind: 'posix', owner, ...all, type: 'write', pid: Number(owner) + 100, wait: false, ofd: false },
        ...more,
      });
      const set = (ino: Ino, spec: LockSpec) => meta.setLock(meta.clientOpId(), ino, spec);

      test('are granted with the attributes, refused, found and dropped by range', async () => {
        const { ino } = await make(ROOT_INO, 'f');
        expect(await set(ino, write(1n, { start: 10n, end: 20n }))).toMatchObject({ ino });
        await expect(set(ino, write(2n))).rejects.toEqual(code('EAGAIN'));
        await set(ino, write(2n, { start: 20n }));
        await set(ino, write(1n, { start: 12n, end: 14n, type: 'read' }));
        await set(ino, write(2n, { start: 12n, end: 13n, type: 'read' }));
        const query = { kind: 'posix', owner: 2n, ...all, type: 'read' } as const;
        expect(await meta.getLock(ino, query)).toEqual({ start: 10n, end: 12n, type: 'write', pid: 101 });
        expect(await meta.getLock(ino, { ...query, start: 12n, end: 14n })).toBeUndefined();
        expect(await meta.getLock(ino, { ...query, owner: 1n, start: 15n })).toMatchObject({ start: 20n, pid: 102 });
        expect(await set(ino, write(1n, { type: undefined }))).toBeUndefined();
        expect(await meta.getLock(ino, query)).toBeUndefined();
        await set(ino, write(2n));
      });

      test('flock and fcntl do not see each other; a flock that cannot be converted is gone', async () => {
        const { ino } = await make(ROOT_INO, 'f');
        const flock = (owner: bigint, type: LockSpec['type']) => set(ino, write(owner, { kind: 'flock', type }));
        await set(ino, write(1n));
        await flock(2n, 'write');
        await flock(2n, 'read');
        await flock(3n, 'read');
        await expect(flock(3n, 'write')).rejects.toEqual(code('EAGAIN'));
        await flock(2n, 'write');
      });

      test('are waited for', async () => {
        const { ino } = await make(ROOT_INO, 'f');
        await set(ino, write(1n));
        let granted = false;
        const waiting = set(ino, write(2n, { wait: true })).then((attr) => {
          granted = true;
          return attr;
        });
        await meta.getLock(ino, { kind: 'posix', owner: 3n, ...all, type: 'read' });
        expect(granted).toBe(false);
        await set(ino, write(1n, { type: undefined }));
        expect(await waiting).toMatchObject({ ino });
        await expect(set(ino, write(1n))).rejects.toEqual(code('EAGAIN'));
      });

      test('a wait is cancelled, a granted lock is not', async () => {
        const { ino } = await make(ROOT_INO, 'f');
        const held = meta.clientOpId();
        await meta.setLock(held, ino, write(1n));
        await meta.cancelLock(held);
        const waiting = meta.clientOpId();
        const wait = meta.setLock(waiting, ino, write(2n, { wait: true }));
        const failed = expect(wait).rejects.toEqual(code('EINTR'));
        await meta.cancelLock(waiting);
        await failed;
        await expect(set(ino, write(2n))).rejects.toEqual(code('EAGAIN'));
        await set(ino, write(1n, { type: undefined }));
        await set(ino, write(3n));
      });
    });
  });
}
