import { describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../../src/model/ids.js';
import { compareTime, type Timespec } from '../../../src/model/inode.js';
import type { AtimePolicy } from '../../../src/vfs/access-times.js';
import { O_NOATIME } from '../../../src/vfs/requests.js';
import { TestVfs } from '../../helpers/vfs.js';

const OLD = { sec: 1_000_000, nsec: 5 };

const attempt = async <T>(work: () => T | Promise<T>): Promise<T> => work();

async function make(policy: AtimePolicy, more: { directories?: boolean; readOnly?: boolean } = {}) {
  const vfs = new TestVfs({
    atime: { policy, directories: more.directories ?? true },
    readOnly: more.readOnly ?? false,
  });
  const { attr } = await vfs.meta.create({ opId: vfs.meta.clientOpId() }, ROOT_INO, Buffer.from('f'), {
    ...{ mode: 0o100644, uid: 0, gid: 0, mayKeepSgid: true, exclusive: true },
  });
  const atime = (ino: Ino): Timespec => vfs.meta.namespace.attr(ino).atime;
  const shown = async (ino: Ino): Promise<Timespec> => (await attempt(() => vfs.fs.getattr(vfs.by(), ino))).atime;
  const read = async (flags = 0): Promise<void> => {
    const { fh } = await attempt(() => vfs.fs.open(vfs.by(), { ino: attr.ino, flags, killPriv: false }));
    await attempt(() => vfs.fs.read(vfs.by(), attr.ino, fh, 0, 10));
    vfs.fs.release(attr.ino, fh);
  };
  const set = (time: { atime?: Timespec; mtime?: Timespec }): Promise<unknown> =>
    vfs.meta.setattr({ opId: vfs.meta.clientOpId() }, attr.ino, time);
  return { vfs, ino: attr.ino, atime, shown, read, set };
}

describe('access times', () => {
  test('are shown at once and sent later', async () => {
    const { vfs, ino, atime, shown, read, set } = await make('strictatime');
    await set({ atime: OLD });
    await read();
    expect(compareTime(await shown(ino), OLD)).toBeGreaterThan(0);
    expect(atime(ino)).toEqual(OLD);
    expect(vfs.fs.accessTimes).toBe(1);
    const seen = await shown(ino);
    await vfs.fs.close();
    expect(atime(ino)).toEqual(seen);
    expect(vfs.fs.accessTimes).toBe(0);
  });

  test('relatime: only when not after the last change, or a day old', async () => {
    const { ino, shown, read, set } = await make('relatime');
    const soon = { sec: Math.floor(Date.now() / 1000) + 3600, nsec: 0 };
    await set({ atime: soon });
    await read();
    expect(await shown(ino)).toEqual(soon);
    await set({ atime: OLD });
    await read();
    expect(await shown(ino)).not.toEqual(OLD);
  });

  test.each(['noatime', 'read-only', 'O_NOATIME'])('%s: never', async (how) => {
    const { ino, shown, read, set } = await make(how === 'noatime' ? how : 'strictatime', {
      readOnly: how === 'read-only',
    });
    await set({ atime: OLD });
    await read(how === 'O_NOATIME' ? O_NOATIME : 0);
    expect(await shown(ino)).toEqual(OLD);
  });

  test('setting them ends what was noted before', async () => {
    const { vfs, ino, atime, shown, read } = await make('strictatime');
    await read();
    const request = { fh: undefined, mode: undefined, uid: undefined, gid: undefined, size: undefined };
    const change = { ...request, atime: OLD, mtime: undefined, ctime: undefined, killPriv: false };
    await attempt(() => vfs.fs.setattr(vfs.by(), ino, change));
    expect(await shown(ino)).toEqual(OLD);
    await vfs.fs.close();
    expect(atime(ino)).toEqual(OLD);
  });

  test('set while those noted before fail to be sent: they stay as they were set', async () => {
    let sends = 0;
    let fail!: (error: Error) => void;
    const failed = new Promise<void>((_, reject) => (fail = reject));
    const vfs = new TestVfs({
      atime: { policy: 'strictatime', directories: true },
      metadata: {
        before: (op) => (op === 'updateAtimes' && sends++ === 0 ? failed : undefined),
      },
    });
    const { ino } = await vfs.file(ROOT_INO, 'a', 'x');
    const { fh } = await attempt(() => vfs.fs.open(vfs.by(), { ino, flags: 0, killPriv: false }));
    await attempt(() => vfs.fs.read(vfs.by(), ino, fh, 0, 1));
    const closing = vfs.fs.close();
    const request = { fh: undefined, mode: undefined, uid: undefined, gid: undefined, size: undefined };
    const change = { ...request, atime: OLD, mtime: undefined, ctime: undefined, killPriv: false };
    const set = attempt(() => vfs.fs.setattr(vfs.by(), ino, change));
    fail(new Error('away'));
    await Promise.all([closing, set]);
    await vfs.fs.close();
    expect(vfs.meta.namespace.attr(ino).atime).toEqual(OLD);
  });

  test.each([true, false])('of directories by listing them, if those are wanted: %p', async (directories) => {
    const { vfs, shown } = await make('strictatime', { directories });
    await vfs.meta.setattr({ opId: vfs.meta.clientOpId() }, ROOT_INO, { atime: OLD });
    const fh = await attempt(() => vfs.fs.opendir(vfs.by(), ROOT_INO));
    const sink = { add: () => true };
    await attempt(() => vfs.fs.readdir(vfs.by(), { ino: ROOT_INO, fh, cookie: 0, plus: false }, sink));
    expect(compareTime(await shown(ROOT_INO), OLD) > 0).toBe(directories);
  });

  test('what the server did not take is kept', async () => {
    let away = true;
    const vfs = new TestVfs({
      atime: { policy: 'strictatime', directories: true },
      metadata: {
        before: (op) => {
          if (away && op === 'updateAtimes') throw new Error('away');
        },
      },
    });
    const { ino } = await vfs.file(ROOT_INO, 'a', 'x');
    await attempt(() => vfs.fs.open(vfs.by(), { ino, flags: 0, killPriv: false }));
    const { fh } = await attempt(() => vfs.fs.open(vfs.by(), { ino, flags: 0, killPriv: false }));
    await attempt(() => vfs.fs.read(vfs.by(), ino, fh, 0, 1));
    await vfs.fs.close();
    expect(vfs.fs.accessTimes).toBe(1);
    away = false;
    await vfs.fs.close();
    expect(vfs.fs.accessTimes).toBe(0);
  });
});
