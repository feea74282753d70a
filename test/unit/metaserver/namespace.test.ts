import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG, S_ISGID } from '../../../src/model/inode.js';
import type { Fh, Ino } from '../../../src/model/ids.js';
import {
  createOp,
  first,
  FS,
  Harness,
  linkOp,
  lookupOp,
  renameOp,
  rmdirOp,
  ROOT_INO,
  unlinkOp,
  type TestClient,
} from './slot-harness.js';

let harness: Harness;
let client: TestClient;

beforeEach(async () => {
  harness = await Harness.start();
  client = await harness.client();
});

afterEach(async () => {
  await harness.checkAccounting();
  await harness.close();
});

const GONE = 999 as Ino;

describe('create', () => {
  test('answers with the object and its parent, and counts directories in nlink', async () => {
    harness.clock.advance(1000);
    const reply = await client.ok(createOp(ROOT_INO, 'd', { mode: S_IFDIR | 0o755 }));
    expect(reply.attrs.map(({ nlink }) => nlink)).toEqual([2, 3]);
    expect(reply.attrs[1]).toMatchObject({ ino: 1n, mtime: { sec: 1_700_000_001n, nsec: 0 }, change: 2n });
    expect(first(reply).parent).toBe(ROOT_INO);
    expect(reply.result).toEqual({ $case: 'create', value: { created: true } });
  });

  test('errors', async () => {
    const file = await client.create(ROOT_INO, 'f');
    await client.create(ROOT_INO, 'l', { mode: S_IFLNK | 0o777, target: Buffer.from('f') });
    await client.mkdir(ROOT_INO, 'd');
    const shared = { exclusive: false };
    expect(await client.errno(createOp(ROOT_INO, 'f'))).toBe('EEXIST');
    expect(await client.errno(createOp(ROOT_INO, 'f', { mode: S_IFDIR | 0o755, exclusive: false }))).toBe('EEXIST');
    expect(await client.errno(createOp(ROOT_INO, 'l', shared))).toBe('EEXIST');
    expect(await client.errno(createOp(ROOT_INO, 'd', shared))).toBe('EISDIR');
    expect(await client.errno(createOp(ROOT_INO, 'd'))).toBe('EEXIST');
    expect(await client.errno(createOp(file.ino, 'x'))).toBe('ENOTDIR');
    expect(await client.errno(createOp(GONE, 'x'))).toBe('ENOENT');
    expect(await client.errno(createOp(ROOT_INO, 'x'.repeat(256)))).toBe('ENAMETOOLONG');
    for (const bad of ['', '.', '..', 'a/b', 'a\0b'])
      expect(await client.errno(createOp(ROOT_INO, bad))).toBe('EINVAL');
    expect(await client.errno(createOp(ROOT_INO, 'x', { mode: 0o644 }))).toBe('EINVAL');
    expect(await client.errno(createOp(ROOT_INO, 'x'.repeat(255)))).toBe('OK');
  });

  test('without exclusive opens an existing regular file', async () => {
    const file = await client.create(ROOT_INO, 'f');
    const open = { fh: 5 as Fh, write: true, truncate: true };
    const reply = await client.ok(createOp(ROOT_INO, 'f', { exclusive: false, open }));
    expect(first(reply)).toMatchObject({ ino: file.ino, truncEpoch: 1 });
    expect(reply.result).toEqual({ $case: 'create', value: { created: false } });
    expect(harness.slot.opens.count(file.ino)).toBe(1);
    client.release(file.ino, 5);
  });

  test('hands the group of a set-group-ID directory down', async () => {
    const dir = await client.create(ROOT_INO, 'd', { mode: S_IFDIR | S_ISGID | 0o775, gid: 77 });
    const modes = async (name: string, mode: number, mayKeepSgid: boolean) => {
      const attr = await client.create(dir.ino, name, { mode, mayKeepSgid });
      return [attr.gid, attr.mode.toString(8)];
    };
    expect(await modes('sub', S_IFDIR | 0o755, false)).toEqual([77, '42755']);
    expect(await modes('a', S_IFREG | S_ISGID | 0o755, false)).toEqual([77, '100755']);
    expect(await modes('b', S_IFREG | S_ISGID | 0o755, true)).toEqual([77, '102755']);
    expect(await modes('c', S_IFREG | S_ISGID | 0o644, false)).toEqual([77, '102644']);
    const outside = await client.create(ROOT_INO, 'e', { mode: S_IFREG | S_ISGID | 0o755 });
    expect(outside.mode.toString(8)).toBe('102755');
  });

  test('keeps device numbers and targets', async () => {
    expect((await client.create(ROOT_INO, 'c', { mode: S_IFCHR | 0o600, rdev: 0x103 })).rdev).toBe(0x103);
    expect((await client.create(ROOT_INO, 'f', { rdev: 0x103 })).rdev).toBe(0);
    const link = await client.create(ROOT_INO, 'l', { mode: S_IFLNK | 0o777, target: Buffer.from([0xff, 0x41]) });
    expect(link.size).toBe(2);
    const { result } = await client.ok({ $case: 'readlink', value: { ino: BigInt(link.ino) } });
    expect(result).toEqual({ $case: 'readlink', value: { target: Buffer.from([0xff, 0x41]) } });
    const root = { $case: 'readlink' as const, value: { ino: 1n } };
    expect(await client.errno(root)).toBe('EINVAL');
  });

  test('stops at the limit of inodes', async () => {
    await harness.close();
    harness = await Harness.start({ fs: { inodesMax: 3 } });
    client = await harness.client();
    await client.create(ROOT_INO, 'a');
    await client.create(ROOT_INO, 'b');
    expect(await client.errno(createOp(ROOT_INO, 'c'))).toBe('ENOSPC');
    await client.ok(unlinkOp(ROOT_INO, 'a'));
    expect(await client.errno(createOp(ROOT_INO, 'c'))).toBe('OK');
  });

  test('is refused to a read-only session', async () => {
    const reader = await harness.client({ readOnly: true });
    expect(await reader.errno(createOp(ROOT_INO, 'a'))).toBe('EROFS');
    expect(await reader.errno(lookupOp(ROOT_INO, 'a'))).toBe('ENOENT');
  });
});

describe('unlink and rmdir', () => {
  test('errors', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    await client.create(dir.ino, 'f');
    expect(await client.errno(unlinkOp(ROOT_INO, 'none'))).toBe('ENOENT');
    expect(await client.errno(unlinkOp(ROOT_INO, 'd'))).toBe('EISDIR');
    expect(await client.errno(rmdirOp(dir.ino, 'f'))).toBe('ENOTDIR');
    expect(await client.errno(rmdirOp(ROOT_INO, 'd'))).toBe('ENOTEMPTY');
    expect(await client.errno(rmdirOp(ROOT_INO, 'none'))).toBe('ENOENT');
    await client.ok(unlinkOp(dir.ino, 'f'));
    const reply = await client.ok(rmdirOp(ROOT_INO, 'd'));
    expect(reply.attrs.map(({ nlink }) => nlink)).toEqual([0, 2]);
    expect(await client.errno(createOp(dir.ino, 'x'))).toBe('ENOENT');
  });

  test('a removed directory that is open takes no entries', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    await client.open(dir.ino, 1);
    await client.ok(rmdirOp(ROOT_INO, 'd'));
    expect(await client.getattr(dir.ino)).toMatchObject({ nlink: 0 });
    expect(await client.errno(createOp(dir.ino, 'x'))).toBe('ENOENT');
    expect(await client.names(dir.ino)).toEqual([]);
    client.release(dir.ino, 1);
    expect(await client.errno({ $case: 'getattr', value: { ino: BigInt(dir.ino) } })).toBe('ENOENT');
  });

  test('hard links count, and the last one counts', async () => {
    const file = await client.create(ROOT_INO, 'a');
    const dir = await client.mkdir(ROOT_INO, 'd');
    expect(first(await client.ok(linkOp(file.ino, dir.ino, 'b'))).nlink).toBe(2);
    expect(await client.errno(linkOp(file.ino, dir.ino, 'b'))).toBe('EEXIST');
    expect(await client.errno(linkOp(dir.ino, ROOT_INO, 'e'))).toBe('EPERM');
    expect(await client.errno(linkOp(GONE, ROOT_INO, 'e'))).toBe('ENOENT');
    expect(await client.errno(linkOp(file.ino, file.ino, 'e'))).toBe('ENOTDIR');
    expect(first(await client.ok(unlinkOp(ROOT_INO, 'a'))).nlink).toBe(1);
    await client.open(file.ino, 9);
    expect(first(await client.ok(unlinkOp(dir.ino, 'b'))).nlink).toBe(0);
    expect(await client.errno(linkOp(file.ino, ROOT_INO, 'e'))).toBe('ENOENT');
    expect(await client.getattr(file.ino)).toMatchObject({ nlink: 0 });
    client.release(file.ino, 9);
  });
});

describe('a file that is removed just after it was made', () => {
  beforeEach(async () => {
    await harness.close();
    harness = await Harness.start({ lingerMs: 1000, fs: { inodesMax: 4, capacityBytes: 16 * FS.blockSizeBytes } });
    client = await harness.client();
  });

  const isGone = async (ino: Ino): Promise<boolean> =>
    (await client.errno({ $case: 'getattr', value: { ino: BigInt(ino) } })) === 'ENOENT';

  test('can be opened for a moment, and lives until it is closed', async () => {
    const [a, b, old] = [
      await client.create(ROOT_INO, 'a'),
      await client.create(ROOT_INO, 'b'),
      await client.create(ROOT_INO, 'old'),
    ];
    await client.ok(unlinkOp(ROOT_INO, 'a'));
    await client.ok(renameOp([ROOT_INO, 'old'], [ROOT_INO, 'b']));
    await client.open(a.ino, 1);
    expect(await client.getattr(b.ino)).toMatchObject({ nlink: 0 });
    harness.clock.advance(1000);
    harness.slot.tick();
    expect(await isGone(b.ino)).toBe(true);
    expect(await isGone(a.ino)).toBe(false);
    client.release(a.ino, 1);
    expect(await isGone(a.ino)).toBe(true);
    await client.ok(unlinkOp(ROOT_INO, 'b'));
    expect(await isGone(old.ino)).toBe(true);
  });

  test('gives way when there is no other room', async () => {
    const names = ['a', 'b', 'c'];
    for (const name of names) await client.create(ROOT_INO, name);
    for (const name of names) {
      await client.ok(unlinkOp(ROOT_INO, name));
      await client.create(ROOT_INO, `${name}2`);
    }
    expect(await client.errno(createOp(ROOT_INO, 'more'))).toBe('ENOSPC');
  });

  test('is space to come only until it is opened', async () => {
    const { ino } = await client.create(ROOT_INO, 'a');
    const freeing = async (): Promise<boolean | undefined> => {
      const value = { bytes: BigInt(1 << 30), quota: 0n, ahead: 0n };
      const { result } = await client.ok({ $case: 'reserve', value });
      return result?.$case === 'reserve' ? result.value.freeing : undefined;
    };
    await client.ok(unlinkOp(ROOT_INO, 'a'));
    await client.open(ino, 1);
    expect(await freeing()).toBe(false);
    client.release(ino, 1);
    expect(await isGone(ino)).toBe(true);
  });

  test('is freed after a restart', async () => {
    const { ino } = await client.create(ROOT_INO, 'a');
    await client.ok(unlinkOp(ROOT_INO, 'a'));
    await harness.slot.sessions.end(client.id, 0, 'done');
    await harness.restart();
    client = await harness.client();
    while (!(await isGone(ino))) await harness.clock.sleep(0);
  });
});

describe('rename', () => {
  test('moves a directory and its links', async () => {
    const a = await client.mkdir(ROOT_INO, 'a');
    const b = await client.mkdir(ROOT_INO, 'b');
    const sub = await client.mkdir(a.ino, 'sub');
    const reply = await client.ok(renameOp([a.ino, 'sub'], [b.ino, 'moved']));
    expect(first(reply)).toMatchObject({ ino: sub.ino, parent: b.ino });
    expect((await client.getattr(a.ino)).nlink).toBe(2);
    expect((await client.getattr(b.ino)).nlink).toBe(3);
    expect(await client.names(a.ino)).toEqual([]);
    expect((await client.lookup(b.ino, 'moved')).ino).toBe(sub.ino);
  });

  test('errors in the order of the kernel', async () => {
    const a = await client.mkdir(ROOT_INO, 'a');
    const b = await client.mkdir(a.ino, 'b');
    const c = await client.mkdir(b.ino, 'c');
    await client.create(ROOT_INO, 'f');
    expect(await client.errno(renameOp([ROOT_INO, 'none'], [c.ino, 'x']))).toBe('ENOENT');
    expect(await client.errno(renameOp([ROOT_INO, 'a'], [a.ino, 'x']))).toBe('EINVAL');
    expect(await client.errno(renameOp([ROOT_INO, 'a'], [c.ino, 'x']))).toBe('EINVAL');
    expect(await client.errno(renameOp([b.ino, 'c'], [ROOT_INO, 'a']))).toBe('ENOTEMPTY');
    expect(await client.errno(renameOp([b.ino, 'c'], [ROOT_INO, 'a'], 2))).toBe('EINVAL');
    expect(await client.errno(renameOp([ROOT_INO, 'a'], [c.ino, 'x'], 2))).toBe('ENOENT');
    expect(await client.errno(renameOp([ROOT_INO, 'f'], [ROOT_INO, 'a']))).toBe('EISDIR');
    expect(await client.errno(renameOp([ROOT_INO, 'a'], [ROOT_INO, 'f']))).toBe('ENOTDIR');
    expect(await client.errno(renameOp([ROOT_INO, 'f'], [ROOT_INO, 'a'], 1))).toBe('EEXIST');
    expect(await client.errno(renameOp([ROOT_INO, 'f'], [ROOT_INO, 'g'], 3))).toBe('EINVAL');
    expect(await client.errno(renameOp([ROOT_INO, 'f'], [ROOT_INO, 'g'], 6))).toBe('EINVAL');
    expect(await client.errno(renameOp([ROOT_INO, 'f'], [ROOT_INO, 'g'], 8))).toBe('EINVAL');
    await client.mkdir(ROOT_INO, 'e');
    expect(await client.errno(renameOp([ROOT_INO, 'e'], [ROOT_INO, 'a']))).toBe('ENOTEMPTY');
  });

  test('replaces a file, which lives on while it is open', async () => {
    const a = await client.create(ROOT_INO, 'a');
    const b = await client.create(ROOT_INO, 'b');
    await client.open(b.ino, 1);
    await client.ok(renameOp([ROOT_INO, 'a'], [ROOT_INO, 'b']));
    expect((await client.lookup(ROOT_INO, 'b')).ino).toBe(a.ino);
    expect(await client.getattr(b.ino)).toMatchObject({ nlink: 0 });
    client.release(b.ino, 1);
    expect(await client.errno({ $case: 'getattr', value: { ino: BigInt(b.ino) } })).toBe('ENOENT');
  });

  test('of a directory onto an empty one of the same or another parent keeps links right', async () => {
    const a = await client.mkdir(ROOT_INO, 'a');
    await client.mkdir(a.ino, 'x');
    await client.mkdir(ROOT_INO, 'y');
    await client.ok(renameOp([a.ino, 'x'], [ROOT_INO, 'y']));
    expect((await client.getattr(ROOT_INO)).nlink).toBe(4);
    expect((await client.getattr(a.ino)).nlink).toBe(2);
    await client.mkdir(ROOT_INO, 'z');
    await client.ok(renameOp([ROOT_INO, 'y'], [ROOT_INO, 'z']));
    expect((await client.getattr(ROOT_INO)).nlink).toBe(4);
  });

  test('between two names of one file does nothing', async () => {
    const a = await client.create(ROOT_INO, 'a');
    await client.ok(linkOp(a.ino, ROOT_INO, 'b'));
    await client.ok(renameOp([ROOT_INO, 'a'], [ROOT_INO, 'b']));
    expect(await client.names(ROOT_INO)).toEqual(['a', 'b']);
    expect((await client.getattr(a.ino)).nlink).toBe(2);
  });

  test('exchange swaps, whatever the types', async () => {
    const a = await client.mkdir(ROOT_INO, 'a');
    const file = await client.create(a.ino, 'f');
    const d = await client.mkdir(ROOT_INO, 'd');
    await client.ok(renameOp([a.ino, 'f'], [ROOT_INO, 'd'], 2));
    expect((await client.lookup(a.ino, 'f')).ino).toBe(d.ino);
    expect((await client.lookup(ROOT_INO, 'd')).ino).toBe(file.ino);
    expect((await client.getattr(d.ino)).parent).toBe(a.ino);
    expect((await client.getattr(a.ino)).nlink).toBe(3);
    expect((await client.getattr(ROOT_INO)).nlink).toBe(3);
  });
});

describe('setattr', () => {
  test('changes what it is asked to, and no time goes backwards', async () => {
    const file = await client.create(ROOT_INO, 'f');
    harness.clock.advance(5000);
    const changed = await client.setattr(file.ino, { mode: 0o4755, uid: 5 });
    expect(changed).toMatchObject({ mode: S_IFREG | 0o4755, uid: 5, gid: 20, mtime: file.mtime, timeEpoch: 0 });
    expect(changed.ctime.sec - file.ctime.sec).toBe(5);
    harness.clock.advance(-9000);
    const later = await client.setattr(file.ino, { mtime: { sec: 1, nsec: 2 }, killPriv: true });
    expect(later).toMatchObject({
      mtime: { sec: 1, nsec: 2 },
      ctime: changed.ctime,
      mode: S_IFREG | 0o755,
      timeEpoch: 1,
    });
    expect(later.change).toBe(changed.change + 1);
    expect(await client.setattr(file.ino, { atime: 'now' })).toMatchObject({ timeEpoch: 1 });
  });

  test('sizes belong to regular files', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    const link = await client.create(ROOT_INO, 'l', { mode: S_IFLNK | 0o777, target: Buffer.from('x') });
    await expect(client.setattr(dir.ino, { size: 1 })).rejects.toThrow('EISDIR');
    await expect(client.setattr(link.ino, { size: 1 })).rejects.toThrow('EINVAL');
    const file = await client.create(ROOT_INO, 'f');
    await expect(client.setattr(file.ino, { size: 2 ** 51 })).rejects.toThrow('EFBIG');
    expect(await client.setattr(file.ino, { size: 2 ** 40 })).toMatchObject({
      size: 2 ** 40,
      truncEpoch: 1,
      lastWriter: 1,
    });
  });
});

describe('extended attributes', () => {
  const set = (ino: Ino, name: string, value: string, flags = 0) => ({
    $case: 'setxattr' as const,
    value: { ino: BigInt(ino), name: Buffer.from(name), value: Buffer.from(value), flags },
  });
  const named = <Case extends 'getxattr' | 'removexattr'>($case: Case, ino: Ino, name: string) => ({
    $case,
    value: { ino: BigInt(ino), name: Buffer.from(name) },
  });

  test('are set, listed, replaced and removed', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    expect(await client.errno(set(ino, 'user.a', '1', 2))).toBe('ENODATA');
    expect(first(await client.ok(set(ino, 'user.a', '1', 1))).hasXattrs).toBe(true);
    expect(await client.errno(set(ino, 'user.a', '2', 1))).toBe('EEXIST');
    await client.ok(set(ino, 'user.a', '3', 2));
    await client.ok(set(ino, 'user.b', ''));
    const get = await client.ok(named('getxattr', ino, 'user.a'));
    expect(get.result).toEqual({ $case: 'xattr', value: { found: true, value: Buffer.from('3') } });
    const list = await client.ok({ $case: 'listxattr', value: { ino: BigInt(ino) } });
    expect(list.result).toEqual({
      $case: 'xattrNames',
      value: { names: [Buffer.from('user.a'), Buffer.from('user.b')] },
    });
    await client.ok(named('removexattr', ino, 'user.a'));
    expect(await client.errno(named('removexattr', ino, 'user.a'))).toBe('ENODATA');
    expect(first(await client.ok(named('removexattr', ino, 'user.b'))).hasXattrs).toBe(false);
  });

  test('have limits', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    expect(await client.errno(set(ino, 'n'.repeat(256), ''))).toBe('ERANGE');
    expect(await client.errno(set(ino, 'n', 'v'.repeat(65_537)))).toBe('E2BIG');
    for (let i = 0; i < 3; i++) await client.ok(set(ino, `n${i}`, 'v'.repeat(65_536)));
    expect(await client.errno(set(ino, 'n4', 'v'.repeat(65_536)))).toBe('ENOSPC');
    await client.ok(unlinkOp(ROOT_INO, 'f'));
  });

  test('file capabilities go with the privileges', async () => {
    const { ino } = await client.create(ROOT_INO, 'f');
    await client.ok(set(ino, 'security.capability', 'cap'));
    expect(await client.setattr(ino, { uid: 1, killPriv: true })).toMatchObject({ hasXattrs: false });
    expect((await client.ok(named('getxattr', ino, 'security.capability'))).result).toMatchObject({
      value: { found: false },
    });
  });
});

describe('readdir', () => {
  test('lists a large directory in pages, each name once, whatever changes meanwhile', async () => {
    const dir = await client.mkdir(ROOT_INO, 'd');
    const all = Array.from({ length: 3000 }, (_, i) => `name-${i}`);
    await Promise.all(all.map((name) => client.create(dir.ino, name)));
    expect(await client.names(dir.ino)).toEqual([...all].sort());

    const seen: string[] = [];
    let after = 0n;
    for (let pages = 0; ; pages++) {
      const value = { ino: BigInt(dir.ino), afterCookie: after, withAttrs: true };
      const { result } = await client.ok({ $case: 'readdir', value });
      if (result?.$case !== 'readdir') throw new Error('no entries');
      const { entries, end } = result.value;
      for (const entry of entries) {
        expect(entry.cookie).toBeGreaterThan(after);
        after = entry.cookie;
        seen.push(entry.name.toString());
        expect(Number(entry.attr?.ino)).toBe(Number(entry.ino));
      }
      if (end) {
        expect(pages).toBeGreaterThan(1);
        break;
      }
      if (pages === 0) {
        for (const name of seen) await client.ok(unlinkOp(dir.ino, name));
        for (let i = 0; i < 100; i++) await client.create(dir.ino, `new-${i}`);
      }
    }
    const old = seen.filter((name) => name.startsWith('name-'));
    expect([...old].sort()).toEqual([...all].sort());
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe('limits of links', () => {
  /** Sets an inode's link count as if it had so many. */
  const withLinks = (ino: Ino, nlink: number): Promise<void> =>
    harness.slot.execute(async (op) => {
      const record = await op.mustInode(ino);
      op.putInode({ ...record, attr: { ...record.attr, nlink } });
    });

  test('a file has at most 65000 names, a directory 2^31 - 1 links', async () => {
    const file = await client.create(ROOT_INO, 'f');
    await withLinks(file.ino, 64_999);
    expect(await client.errno(linkOp(file.ino, ROOT_INO, 'last'))).toBe('OK');
    expect(await client.errno(linkOp(file.ino, ROOT_INO, 'more'))).toBe('EMLINK');
    const full = await client.mkdir(ROOT_INO, 'full');
    await client.mkdir(ROOT_INO, 'd');
    await withLinks(full.ino, 2 ** 31 - 1);
    expect(await client.errno(createOp(full.ino, 'd', { mode: S_IFDIR | 0o755 }))).toBe('EMLINK');
    expect(await client.errno(renameOp([ROOT_INO, 'd'], [full.ino, 'd']))).toBe('EMLINK');
    expect(await client.errno(createOp(full.ino, 'f'))).toBe('OK');
  });
});
