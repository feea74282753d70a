import { describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../../src/model/ids.js';
import { isDirectory, S_IFCHR, S_IFIFO } from '../../../src/model/inode.js';
import { change, TestVfs } from '../../helpers/vfs.js';

const code = (value: string): object => ({ code: value });
const attempt = async <T>(work: () => T | Promise<T>): Promise<T> => work();

describe('lookup', () => {
  test('finds what is there, says undefined for what is not', async () => {
    const vfs = new TestVfs();
    const made = await vfs.file(ROOT_INO, 'a', 'hello');
    expect(await vfs.lookup(ROOT_INO, 'a')).toMatchObject({ ino: made.ino, size: 5 });
    expect(await vfs.lookup(ROOT_INO, 'b')).toBeUndefined();
  });

  test('a hit is returned, not promised', async () => {
    const vfs = new TestVfs();
    await vfs.file(ROOT_INO, 'a');
    expect(vfs.fs.lookup(vfs.by(), ROOT_INO, Buffer.from('a'))).not.toBeInstanceOf(Promise);
    expect(vfs.fs.getattr(vfs.by(), ROOT_INO)).not.toBeInstanceOf(Promise);
  });

  test('names: 255 bytes that are no UTF-8 work, 256 do not', async () => {
    const vfs = new TestVfs();
    const name = Buffer.alloc(255, 0xff);
    await vfs.fs.mkdir(vfs.by(), { parent: ROOT_INO, name, mode: 0o755 });
    expect(await vfs.fs.lookup(vfs.by(), ROOT_INO, name)).toBeDefined();
    await expect(attempt(() => vfs.fs.lookup(vfs.by(), ROOT_INO, Buffer.alloc(256, 0x61)))).rejects.toMatchObject(
      code('ENAMETOOLONG'),
    );
  });

  test('. and .. for NFS export', async () => {
    const vfs = new TestVfs();
    const dir = await vfs.mkdir(ROOT_INO, 'd');
    expect(await vfs.lookup(dir.ino, '.')).toMatchObject({ ino: dir.ino });
    expect(await vfs.lookup(dir.ino, '..')).toMatchObject({ ino: ROOT_INO });
    expect(await vfs.lookup(ROOT_INO, '..')).toMatchObject({ ino: ROOT_INO });
  });

  test('needs search on the parent', async () => {
    const vfs = new TestVfs();
    const dir = await vfs.mkdir(ROOT_INO, 'd', 0o700);
    await expect(attempt(() => vfs.lookup(dir.ino, 'x', vfs.by(1000)))).rejects.toMatchObject(code('EACCES'));
  });
});

describe('making and removing', () => {
  test('what makes needs write on the parent, and belongs to the caller', async () => {
    const vfs = new TestVfs();
    const open = await vfs.mkdir(ROOT_INO, 'open', 0o777);
    expect(await vfs.mkdir(open.ino, 'mine', 0o755, vfs.by(7, 8))).toMatchObject({ uid: 7, gid: 8 });
    await expect(attempt(() => vfs.mkdir(ROOT_INO, 'no', 0o755, vfs.by(7)))).rejects.toMatchObject(code('EACCES'));
  });

  test('set-group-ID of the parent is inherited', async () => {
    const vfs = new TestVfs();
    const parent = await vfs.mkdir(ROOT_INO, 'd', 0o777);
    await vfs.fs.setattr(vfs.by(), parent.ino, change({ gid: 50 }));
    await vfs.fs.setattr(vfs.by(), parent.ino, change({ mode: 0o2777 }));
    expect(await vfs.mkdir(parent.ino, 'sub', 0o755, vfs.by(7))).toMatchObject({ gid: 50, mode: 0o42755 });
    const made = await vfs.file(parent.ino, 'f', '', 0o2775, vfs.by(7));
    expect(made).toMatchObject({ gid: 50, mode: 0o100775 });
  });

  test('mknod: a FIFO for anybody, a device for CAP_MKNOD, nothing of a made-up type', async () => {
    const vfs = new TestVfs();
    const parent = (await vfs.mkdir(ROOT_INO, 'd', 0o777)).ino;
    const make = (uid: number, mode: number): Promise<{ rdev: number }> =>
      attempt(() => vfs.fs.mknod(vfs.by(uid), { parent, name: Buffer.from(`n${mode}`), mode, rdev: 0x103 }));
    expect(await make(7, S_IFIFO | 0o600)).toMatchObject({ rdev: 0 });
    expect(await make(0, S_IFCHR | 0o600)).toMatchObject({ rdev: 0x103 });
    await expect(make(7, S_IFCHR | 0o600)).rejects.toMatchObject(code('EPERM'));
    await expect(make(0, 0o040755)).rejects.toMatchObject(code('EINVAL'));
  });

  test('symlink targets: empty ENOENT, over 4095 bytes ENAMETOOLONG', async () => {
    const vfs = new TestVfs();
    const link = (target: Buffer): Promise<{ ino: Ino }> =>
      attempt(() => vfs.fs.symlink(vfs.by(), { parent: ROOT_INO, name: Buffer.from('l'), target }));
    await expect(link(Buffer.alloc(0))).rejects.toMatchObject(code('ENOENT'));
    await expect(link(Buffer.alloc(4096, 0x61))).rejects.toMatchObject(code('ENAMETOOLONG'));
    const made = await link(Buffer.alloc(4095, 0x61));
    expect((await vfs.fs.readlink(vfs.by(), made.ino)).length).toBe(4095);
  });

  test('hard links share the inode', async () => {
    const vfs = new TestVfs();
    const file = await vfs.file(ROOT_INO, 'a', 'x');
    expect(await vfs.fs.link(vfs.by(), file.ino, ROOT_INO, Buffer.from('b'))).toMatchObject({
      ino: file.ino,
      nlink: 2,
    });
    await vfs.fs.unlink(vfs.by(), ROOT_INO, Buffer.from('a'));
    expect(await vfs.lookup(ROOT_INO, 'b')).toMatchObject({ nlink: 1, size: 1 });
  });

  test('a sticky directory keeps others from removing', async () => {
    const vfs = new TestVfs();
    const tmp = await vfs.mkdir(ROOT_INO, 'tmp', 0o1777);
    await vfs.file(tmp.ino, 'mine', '', 0o666, vfs.by(7));
    const remove = (uid: number): Promise<void> =>
      attempt(() => vfs.fs.unlink(vfs.by(uid), tmp.ino, Buffer.from('mine')));
    await expect(remove(8)).rejects.toMatchObject(code('EPERM'));
    await remove(7);
    expect(await vfs.lookup(tmp.ino, 'mine')).toBeUndefined();
  });
});

describe('rename', () => {
  const rename = (vfs: TestVfs, from: [Ino, string], to: [Ino, string], flags = 0, uid = 0): Promise<void> =>
    attempt(() =>
      vfs.fs.rename(vfs.by(uid), {
        parent: from[0],
        name: Buffer.from(from[1]),
        newParent: to[0],
        newName: Buffer.from(to[1]),
        flags,
      }),
    );

  test('replaces, refuses with NOREPLACE, exchanges with EXCHANGE', async () => {
    const vfs = new TestVfs();
    const a = await vfs.file(ROOT_INO, 'a');
    const b = await vfs.file(ROOT_INO, 'b');
    await expect(rename(vfs, [ROOT_INO, 'a'], [ROOT_INO, 'b'], 1)).rejects.toMatchObject(code('EEXIST'));
    await rename(vfs, [ROOT_INO, 'a'], [ROOT_INO, 'b'], 2);
    expect(await vfs.lookup(ROOT_INO, 'a')).toMatchObject({ ino: b.ino });
    await rename(vfs, [ROOT_INO, 'a'], [ROOT_INO, 'b']);
    expect(await vfs.lookup(ROOT_INO, 'b')).toMatchObject({ ino: b.ino });
    expect(await vfs.lookup(ROOT_INO, 'a')).toBeUndefined();
    expect(vfs.meta.knownAttr(a.ino)).toBeUndefined();
  });

  test.each([3, 6, 8])('flags %i are EINVAL', async (flags) => {
    const vfs = new TestVfs();
    await vfs.file(ROOT_INO, 'a');
    await expect(rename(vfs, [ROOT_INO, 'a'], [ROOT_INO, 'b'], flags)).rejects.toMatchObject(code('EINVAL'));
  });

  test('moving a directory of another’s elsewhere needs write on it, as its .. changes', async () => {
    const vfs = new TestVfs();
    const p = await vfs.mkdir(ROOT_INO, 'p', 0o777);
    const q = await vfs.mkdir(ROOT_INO, 'q', 0o777);
    await vfs.mkdir(p.ino, 'd', 0o755);
    await expect(rename(vfs, [p.ino, 'd'], [q.ino, 'd'], 0, 9)).rejects.toMatchObject(code('EACCES'));
    await rename(vfs, [p.ino, 'd'], [p.ino, 'e'], 0, 9);
    await rename(vfs, [p.ino, 'e'], [q.ino, 'd']);
  });

  test('the sticky bit of the target directory protects what would be replaced', async () => {
    const vfs = new TestVfs();
    const tmp = await vfs.mkdir(ROOT_INO, 'tmp', 0o1777);
    await vfs.file(tmp.ino, 'theirs', '', 0o666, vfs.by(7));
    await vfs.file(tmp.ino, 'mine', '', 0o666, vfs.by(8));
    await expect(rename(vfs, [tmp.ino, 'mine'], [tmp.ino, 'theirs'], 0, 8)).rejects.toMatchObject(code('EPERM'));
  });
});

describe('readdir', () => {
  test.each([1, 3, 7, 1000])('every entry once, in buffers of %i', async (batch) => {
    const vfs = new TestVfs({ metadata: { entriesPerPage: 5 } });
    const names = Array.from({ length: 23 }, (_, i) => `f${i}`);
    for (const name of names) await vfs.file(ROOT_INO, name);
    const listed = await vfs.list(ROOT_INO, batch);
    expect(listed.slice(0, 2)).toEqual(['.', '..']);
    expect(listed.slice(2).sort()).toEqual([...names].sort());
  });

  test('an entry removed by this mount does not come back with attributes from a page read before', async () => {
    const vfs = new TestVfs();
    for (let i = 0; i < 6; i++) await vfs.file(ROOT_INO, `f${i}`);
    const fh = await vfs.fs.opendir(vfs.by(), ROOT_INO);
    const seen: string[] = [];
    let cookie = 0;
    const read = async (room: number): Promise<void> => {
      await vfs.fs.readdir(
        vfs.by(),
        { ino: ROOT_INO, fh, cookie, plus: true },
        {
          add: (name, at) => {
            if (room-- === 0) return false;
            cookie = at;
            seen.push(Buffer.from(name).toString());
            return true;
          },
        },
      );
    };
    await read(3);
    const rest = Array.from({ length: 6 }, (_, i) => `f${i}`).filter((name) => !seen.includes(name));
    await vfs.fs.unlink(vfs.by(), ROOT_INO, Buffer.from(rest[2]!));
    await read(100);
    expect(seen).not.toContain(rest[2]);
    expect(seen).toHaveLength(7);
  });

  test('a page that is too old when it arrives is listed without attributes', async () => {
    const vfs = new TestVfs({ metadata: { attrTimeoutSec: -1, entriesPerPage: 2 } });
    for (let i = 0; i < 5; i++) await vfs.file(ROOT_INO, `f${i}`);
    const fh = await vfs.fs.opendir(vfs.by(), ROOT_INO);
    const seen: string[] = [];
    let cookie = 0;
    for (let before = -1; before < seen.length;) {
      before = seen.length;
      await vfs.fs.readdir(
        vfs.by(),
        { ino: ROOT_INO, fh, cookie, plus: true },
        {
          add: (name, at, _ino, _type, attr) => {
            cookie = at;
            seen.push(Buffer.from(name).toString());
            expect(attr).toBeUndefined();
            return true;
          },
        },
      );
    }
    expect(seen.sort()).toEqual(['.', '..', 'f0', 'f1', 'f2', 'f3', 'f4']);
  });

  test('a listing starts anew at cookie 0', async () => {
    const vfs = new TestVfs();
    await vfs.file(ROOT_INO, 'a');
    const fh = await vfs.fs.opendir(vfs.by(), ROOT_INO);
    const names = async (): Promise<string[]> => {
      const found: string[] = [];
      const sink = { add: (name: Uint8Array): boolean => found.push(Buffer.from(name).toString()) > 0 };
      await vfs.fs.readdir(vfs.by(), { ino: ROOT_INO, fh, cookie: 0, plus: false }, sink);
      return found;
    };
    expect(await names()).toEqual(['.', '..', 'a']);
    await vfs.file(ROOT_INO, 'b');
    expect((await names()).sort()).toEqual(['.', '..', 'a', 'b']);
  });
});

describe('a mount of a sub-directory', () => {
  test('shows it as inode 1 whose parent is itself', async () => {
    const whole = new TestVfs();
    const sub = await whole.mkdir(ROOT_INO, 'sub');
    const inner = await whole.mkdir(sub.ino, 'inner');
    const vfs = new TestVfs({ metadata: { namespace: whole.meta.namespace, sessionId: 2 }, rootIno: sub.ino });
    const root = await vfs.fs.getattr(vfs.by(), ROOT_INO);
    expect(root.ino).toBe(ROOT_INO);
    expect(isDirectory(root.mode)).toBe(true);
    expect(await vfs.lookup(ROOT_INO, 'inner')).toMatchObject({ ino: inner.ino });
    expect(await vfs.lookup(ROOT_INO, '..')).toMatchObject({ ino: ROOT_INO });
    expect(await vfs.lookup(inner.ino, '..')).toMatchObject({ ino: ROOT_INO });
    await vfs.file(ROOT_INO, 'new');
    expect(await whole.lookup(sub.ino, 'new')).toBeDefined();
  });
});

describe('a read-only mount', () => {
  test('answers EROFS to everything that changes', async () => {
    const whole = new TestVfs();
    const file = await whole.file(ROOT_INO, 'a', 'x');
    const vfs = new TestVfs({ metadata: { namespace: whole.meta.namespace, sessionId: 2 }, readOnly: true });
    const name = Buffer.from('a');
    const { fs } = vfs;
    const by = vfs.by();
    const attempts: (() => unknown)[] = [
      () => fs.mkdir(by, { parent: ROOT_INO, name, mode: 0 }),
      () => fs.unlink(by, ROOT_INO, name),
      () => fs.rmdir(by, ROOT_INO, name),
      () => fs.link(by, file.ino, ROOT_INO, Buffer.from('b')),
      () => fs.setattr(by, file.ino, change({ mode: 0o600 })),
      () => fs.open(by, { ino: file.ino, flags: 1, killPriv: false }),
      () => fs.create(by, { parent: ROOT_INO, name, mode: 0, flags: 1, killPriv: false }),
      () => fs.setxattr(by, { ino: file.ino, name: Buffer.from('user.x'), value: name, flags: 0 }),
      () => fs.rename(by, { parent: ROOT_INO, name, newParent: ROOT_INO, newName: Buffer.from('b'), flags: 0 }),
    ];
    for (const work of attempts) await expect(attempt(work)).rejects.toMatchObject(code('EROFS'));
    expect(await vfs.fs.open(by, { ino: file.ino, flags: 0, killPriv: false })).toBeDefined();
  });
});
