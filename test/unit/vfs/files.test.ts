import { describe, expect, test } from '@jest/globals';
import { FsError } from '../../../src/common/fs-error.js';
import { type Fh, type Ino, ROOT_INO } from '../../../src/model/ids.js';
import { handleMode } from '../../../src/vfs/handle-table.js';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  O_APPEND,
  O_EXCL,
  O_EXEC,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  SEEK_DATA,
  SEEK_HOLE,
  type OpenReply,
} from '../../../src/vfs/requests.js';
import { change, TestVfs } from '../../helpers/vfs.js';

const code = (value: string): object => ({ code: value });
const attempt = async <T>(work: () => T | Promise<T>): Promise<T> => work();
const open = (vfs: TestVfs, ino: Ino, flags: number, uid = 0): Promise<OpenReply> =>
  attempt(() => vfs.fs.open(vfs.by(uid), { ino, flags, killPriv: false }));

describe('open', () => {
  test('the number of a handle tells its mode', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    const { fh } = await open(vfs, ino, O_WRONLY | O_APPEND);
    expect(handleMode(fh)).toEqual({ read: false, write: true, append: true, directory: false });
    expect((await open(vfs, ino, 0)).fh).not.toBe(fh);
  });

  test('is checked by mode; what is open stays open', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'secret', 0o600);
    await expect(open(vfs, ino, 0, 7)).rejects.toMatchObject(code('EACCES'));
    const { fh } = await open(vfs, ino, O_RDWR);
    const parts = await vfs.fs.read(vfs.by(7), ino, fh, 0, 100);
    expect(Buffer.concat(parts).toString()).toBe('secret');
  });

  test('to execute, the right to read is not needed', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o711);
    await expect(open(vfs, ino, 0, 7)).rejects.toMatchObject(code('EACCES'));
    await open(vfs, ino, O_EXEC, 7);
  });

  test('of a file that is gone is stale, so that the kernel looks its name up again', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await vfs.fs.unlink(vfs.by(), ROOT_INO, Buffer.from('a'));
    await expect(open(vfs, ino, 0)).rejects.toMatchObject(code('ESTALE'));
  });

  test('O_TRUNC empties, and needs write', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello', 0o644);
    await expect(open(vfs, ino, O_TRUNC, 7)).rejects.toMatchObject(code('EACCES'));
    expect(await vfs.content(ino)).toBe('hello');
    expect((await open(vfs, ino, O_WRONLY | O_TRUNC)).attr.size).toBe(0);
    expect(await vfs.content(ino)).toBe('');
  });

  test('a truncation that fails leaves no open behind', async () => {
    let broken = false;
    const vfs = new TestVfs({
      metadata: {
        before: (op) => {
          if (broken && op === 'setattr') throw new FsError('ENOSPC');
        },
      },
    });
    const { ino } = await vfs.file(ROOT_INO, 'a', 'x');
    broken = true;
    await expect(open(vfs, ino, O_WRONLY | O_TRUNC)).rejects.toMatchObject(code('ENOSPC'));
    expect(vfs.meta.namespace.openCount(ino)).toBe(0);
    expect(vfs.fs.openFiles).toBe(0);
  });

  test('the kernel’s pages are kept while only this mount writes', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'x');
    expect((await open(vfs, ino, 0)).keepCache).toBe(true);
    const other = new TestVfs({ metadata: { namespace: vfs.meta.namespace, sessionId: 2 } });
    await other.fs.setattr(other.by(), ino, change({ size: 1 }));
    expect((await open(vfs, ino, 0)).keepCache).toBe(false);
    expect((await open(vfs, ino, 0)).keepCache).toBe(true);
    vfs.fs.forget(ino);
    expect((await open(vfs, ino, 0)).keepCache).toBe(false);
  });
});

describe('create', () => {
  const create = (vfs: TestVfs, flags: number, uid = 0, mode = 0o644): Promise<OpenReply & { created: boolean }> =>
    attempt(() =>
      vfs.fs.create(vfs.by(uid), { parent: ROOT_INO, name: Buffer.from('a'), flags, mode, killPriv: false }),
    );

  test('makes and opens in one operation, whatever the mode', async () => {
    const vfs = new TestVfs();
    const made = await create(vfs, O_RDWR, 0, 0);
    expect(made.created).toBe(true);
    await vfs.write(made.attr.ino, made.fh, 0, 'x');
    expect(vfs.meta.calls.filter((op) => op === 'create' || op === 'open')).toEqual(['create']);
  });

  test('opens what is there, empties it with O_TRUNC, refuses with O_EXCL', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello');
    expect(await create(vfs, O_RDWR)).toMatchObject({ created: false, attr: { ino, size: 5 } });
    expect(await create(vfs, O_RDWR | O_TRUNC)).toMatchObject({ created: false, attr: { ino, size: 0 } });
    await expect(create(vfs, O_RDWR | O_EXCL)).rejects.toMatchObject(code('EEXIST'));
  });

  test('what is there is checked as open checks it, and no open stays behind', async () => {
    const vfs = new TestVfs();
    const root = await vfs.fs.setattr(vfs.by(), ROOT_INO, change({ mode: 0o777 }));
    expect(root.mode & 0o777).toBe(0o777);
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello', 0o600);
    await expect(create(vfs, O_RDWR | O_TRUNC, 7)).rejects.toMatchObject(code('EACCES'));
    expect(vfs.meta.namespace.openCount(ino)).toBe(0);
    expect(await vfs.content(ino)).toBe('hello');
  });
});

describe('read and write', () => {
  test('go by the handle’s mode', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello');
    const reader = await open(vfs, ino, 0);
    await expect(vfs.write(ino, reader.fh, 0, 'x')).rejects.toMatchObject(code('EBADF'));
    const dir = await vfs.fs.opendir(vfs.by(), ROOT_INO);
    await expect(attempt(() => vfs.fs.read(vfs.by(), ino, dir, 0, 1))).rejects.toMatchObject(code('EBADF'));
  });

  test('appends at once to a file with capabilities all succeed, and take them', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    const name = Buffer.from('security.capability');
    await vfs.fs.setxattr(vfs.by(), { ino, name, value: Buffer.from('cap'), flags: 0 });
    const { fh } = await open(vfs, ino, O_WRONLY | O_APPEND);
    await Promise.all(['x', 'y'].map((data) => vfs.write(ino, fh, 0, data, vfs.by(), true)));
    expect(await vfs.content(ino)).toBe('xy');
    await expect(attempt(() => vfs.fs.getxattr(vfs.by(), ino, name))).rejects.toMatchObject(code('ENODATA'));
  });

  test('append goes to the end', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello');
    const writer = await open(vfs, ino, O_WRONLY | O_APPEND);
    await vfs.write(ino, writer.fh, 0, ' world', vfs.by(), true);
    expect(await vfs.content(ino)).toBe('hello world');
    expect(writer.direct).toBe(true);
  });

  test('past the largest file is EFBIG', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    const { fh } = await open(vfs, ino, O_WRONLY);
    await expect(vfs.write(ino, fh, 2 ** 50, 'x')).rejects.toMatchObject(code('EFBIG'));
  });

  test('a writer that is not root drops setuid; root’s write does not', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o666);
    await vfs.fs.setattr(vfs.by(), ino, change({ mode: 0o6777 }));
    const { fh } = await open(vfs, ino, O_WRONLY, 7);
    await vfs.write(ino, fh, 0, 'x');
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o6777);
    await vfs.write(ino, fh, 0, 'x', vfs.by(7));
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o777);
  });
});

describe('errors of uploads', () => {
  test('are reported once per handle, and not to handles opened later', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    const first = await open(vfs, ino, O_WRONLY);
    const second = await open(vfs, ino, O_WRONLY);
    vfs.data.fail(ino, new FsError('EIO', 'the upload failed'));
    const late = await open(vfs, ino, O_WRONLY);
    const flush = (fh: Fh): Promise<void> => attempt(() => vfs.fs.flush(vfs.by(), ino, fh));
    const fsync = (fh: Fh): Promise<void> => attempt(() => vfs.fs.fsync(vfs.by(), ino, fh));
    await expect(flush(first.fh)).rejects.toMatchObject(code('EIO'));
    await flush(first.fh);
    await fsync(first.fh);
    await expect(fsync(second.fh)).rejects.toMatchObject(code('EIO'));
    await flush(late.fh);
  });
});

describe('unlinked and open', () => {
  test('stays readable, is not uploaded at close, and its data goes with the last handle', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'temporary');
    const { fh } = await open(vfs, ino, O_RDWR);
    await vfs.fs.unlink(vfs.by(), ROOT_INO, Buffer.from('a'));
    expect(await vfs.fs.getattr(vfs.by(), ino)).toMatchObject({ nlink: 0, size: 9 });
    await vfs.write(ino, fh, 0, 'T');
    await vfs.fs.flush(vfs.by(), ino, fh);
    expect(vfs.data.calls).not.toContain(`flush ${ino}`);
    expect(Buffer.concat(await vfs.fs.read(vfs.by(), ino, fh, 0, 100)).toString()).toBe('Temporary');
    vfs.fs.release(ino, fh);
    await expect(attempt(() => vfs.fs.getattr(vfs.by(), ino))).rejects.toMatchObject(code('ESTALE'));
  });
});

describe('ranges', () => {
  const fallocate = (vfs: TestVfs, reply: OpenReply, mode: number, offset = 0, length = 5): Promise<void> =>
    attempt(() => vfs.fs.fallocate(vfs.by(), { ino: reply.attr.ino, fh: reply.fh, offset, length, mode }));

  test('fallocate knows its modes, and refuses the others and handles that may not write', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello, world');
    const opened = await open(vfs, ino, O_RDWR);
    await fallocate(vfs, opened, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    expect(await vfs.content(ino)).toBe('\0\0\0\0\0, world');
    await fallocate(vfs, opened, FALLOC_FL_ZERO_RANGE, 10, 4);
    expect(await vfs.content(ino)).toBe('\0\0\0\0\0, wor\0\0\0\0');
    await fallocate(vfs, opened, FALLOC_FL_KEEP_SIZE, 0, 100);
    await fallocate(vfs, opened, 0, 0, 15);
    expect((await vfs.content(ino)).length).toBe(15);
    for (const mode of [FALLOC_FL_PUNCH_HOLE, 8, 32, 64]) {
      await expect(fallocate(vfs, opened, mode)).rejects.toMatchObject(code('EOPNOTSUPP'));
    }
    await expect(fallocate(vfs, opened, 0, 0, 0)).rejects.toMatchObject(code('EINVAL'));
    await expect(fallocate(vfs, opened, 0, 2 ** 50, 1)).rejects.toMatchObject(code('EFBIG'));
    await expect(fallocate(vfs, await open(vfs, ino, 0), 0)).rejects.toMatchObject(code('EBADF'));
  });

  test('what changes content by others than root drops setuid, and the kernel is told', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'x', 0o4777);
    const { fh } = await open(vfs, ino, O_RDWR);
    await attempt(() => vfs.fs.fallocate(vfs.by(7), { ino, fh, offset: 0, length: 1, mode: 0 }));
    expect((await attempt(() => vfs.fs.getattr(vfs.by(), ino))).mode & 0o7777).toBe(0o777);
  });

  test('copy_file_range needs a handle to read and one to write', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello');
    const to = await vfs.file(ROOT_INO, 'b', '');
    const [read, write] = [(await open(vfs, ino, 0)).fh, (await open(vfs, to.ino, O_WRONLY)).fh];
    const request = {
      source: ino,
      sourceFh: read,
      sourceOffset: 1,
      ino: to.ino,
      fh: write,
      offset: 2,
      length: 100,
      flags: 0,
    };
    const copy = (more: object): Promise<number> =>
      attempt(() => vfs.fs.copyFileRange(vfs.by(), { ...request, ...more }));
    expect(await copy({})).toBe(4);
    expect(await vfs.content(to.ino)).toBe('\0\0ello');
    await expect(copy({ sourceFh: write })).rejects.toMatchObject(code('EBADF'));
    await expect(copy({ fh: read })).rejects.toMatchObject(code('EBADF'));
    await expect(copy({ flags: 1 })).rejects.toMatchObject(code('EINVAL'));
    expect(await copy({ length: 0 })).toBe(0);
  });

  test('lseek: only data and holes', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello');
    expect(await attempt(() => vfs.fs.lseek(vfs.by(), { ino, offset: 1, whence: SEEK_DATA }))).toBe(1);
    expect(await attempt(() => vfs.fs.lseek(vfs.by(), { ino, offset: 1, whence: SEEK_HOLE }))).toBe(5);
    const seek = (offset: number, whence: number): Promise<number> =>
      attempt(() => vfs.fs.lseek(vfs.by(), { ino, offset, whence }));
    await expect(seek(5, SEEK_HOLE)).rejects.toMatchObject(code('ENXIO'));
    await expect(seek(0, 1)).rejects.toMatchObject(code('EINVAL'));
  });
});
