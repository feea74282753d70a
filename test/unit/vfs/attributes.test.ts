import { describe, expect, test } from '@jest/globals';
import { ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER, ACL_USER, ACL_USER_OBJ, encodeAcl } from '../../../src/model/acl.js';
import { type Ino, ROOT_INO } from '../../../src/model/ids.js';
import type { InodeAttr } from '../../../src/model/inode.js';
import { change, TestVfs } from '../../helpers/vfs.js';

const code = (value: string): object => ({ code: value });
const attempt = async <T>(work: () => T | Promise<T>): Promise<T> => work();
const set = (vfs: TestVfs, ino: Ino, given: object, uid = 0, gid = uid, tid = 0): Promise<InodeAttr> =>
  attempt(() => vfs.fs.setattr(vfs.by(uid, gid, tid), ino, change(given)));

describe('setattr', () => {
  test('chmod is the owner’s; outside of the group it drops set-group-ID', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await set(vfs, ino, { uid: 7, gid: 70 });
    await expect(set(vfs, ino, { mode: 0o600 }, 8)).rejects.toMatchObject(code('EPERM'));
    expect((await set(vfs, ino, { mode: 0o2755 }, 7)).mode & 0o7777).toBe(0o755);
    expect((await set(vfs, ino, { mode: 0o2755 }, 7, 70)).mode & 0o7777).toBe(0o2755);
  });

  test('groups come from /proc when uid and gid do not decide', async () => {
    const threads = new Map([[42, { fsuid: 7, fsgid: 7, groups: new Set([70]), capabilities: 0n }]]);
    const vfs = new TestVfs({ threads });
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await set(vfs, ino, { uid: 7 });
    await expect(set(vfs, ino, { gid: 70 }, 7)).rejects.toMatchObject(code('EPERM'));
    expect(await set(vfs, ino, { gid: 70 }, 7, 7, 42)).toMatchObject({ gid: 70 });
  });

  test('a thread that is another by now counts as unknown', async () => {
    const threads = new Map([[42, { fsuid: 9, fsgid: 7, groups: new Set([70]), capabilities: 0n }]]);
    const vfs = new TestVfs({ threads });
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await set(vfs, ino, { uid: 7 });
    await expect(set(vfs, ino, { gid: 70 }, 7, 7, 42)).rejects.toMatchObject(code('EPERM'));
  });

  test('chown drops setuid, of root’s too, and only the privileged give files away', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o755);
    await set(vfs, ino, { mode: 0o6755 });
    expect((await set(vfs, ino, { uid: 7 })).mode & 0o7777).toBe(0o755);
    await expect(set(vfs, ino, { uid: 8 }, 7)).rejects.toMatchObject(code('EPERM'));
  });

  test('directories keep their bits at chown', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.mkdir(ROOT_INO, 'd');
    await set(vfs, ino, { mode: 0o2775 });
    expect((await set(vfs, ino, { uid: 7 })).mode & 0o7777).toBe(0o2775);
  });

  test('an empty request on a regular file drops setuid and set-group-ID', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await set(vfs, ino, { mode: 0o6775 });
    expect((await set(vfs, ino, {})).mode & 0o7777).toBe(0o775);
    const before = await vfs.fs.getattr(vfs.by(), ino);
    expect((await set(vfs, ino, {})).change).toBeGreaterThan(before.change); // as chown(-1, -1), which moves the ctime
  });

  test('an empty request takes nothing from a file that the caller neither owns nor may write, and a write after it does', async () => {
    const vfs = new TestVfs({ kernelChecks: true });
    const { ino } = await vfs.file(ROOT_INO, 'a');
    const { fh } = await vfs.fs.open(vfs.by(), { ino, flags: 2, killPriv: false });
    await set(vfs, ino, { uid: 7, gid: 70 });
    await set(vfs, ino, { mode: 0o6775 });
    expect((await set(vfs, ino, {}, 8)).mode & 0o7777).toBe(0o6775);
    await vfs.write(ino, fh, 0, 'x', vfs.by(8));
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o775);
    await set(vfs, ino, { mode: 0o6775 });
    expect((await set(vfs, ino, {}, 8, 70)).mode & 0o7777).toBe(0o775);
    await set(vfs, ino, { mode: 0o6555 });
    expect((await set(vfs, ino, {}, 7)).mode & 0o7777).toBe(0o555);
  });

  test('a write takes them from a file whose attributes are not known', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'content', 0o666);
    const { fh } = await vfs.fs.open(vfs.by(), { ino, flags: 2, killPriv: false });
    const known = vfs.meta.knownAttr.bind(vfs.meta);
    for (const mode of [0o6777, 0o2666]) {
      await set(vfs, ino, { mode });
      vfs.meta.knownAttr = () => undefined;
      await vfs.write(ino, fh, 0, 'x', vfs.by(8));
      vfs.meta.knownAttr = known;
      expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(mode & 0o777);
    }
    const capability = Buffer.from('security.capability');
    await vfs.meta.setxattr({ opId: vfs.meta.clientOpId() }, ino, capability, Buffer.from('v'), 0);
    vfs.meta.knownAttr = () => undefined;
    await vfs.write(ino, fh, 0, 'x', vfs.by(), true);
    expect(await vfs.meta.getxattr(ino, capability)).toBeUndefined();
  });

  test('set-group-ID without execution by the group goes only when the caller could not set it', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'content', 0o666);
    await set(vfs, ino, { mode: 0o2666, gid: 70 });
    const { fh } = await vfs.fs.open(vfs.by(7, 70), { ino, flags: 2, killPriv: false });
    await vfs.write(ino, fh, 0, 'x', vfs.by(7, 70));
    await set(vfs, ino, { size: 3 }, 7, 70);
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o2666);
    await set(vfs, ino, { size: 2 }, 7);
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o666);
    await set(vfs, ino, { mode: 0o2666 });
    await vfs.write(ino, fh, 0, 'y', vfs.by(8));
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o666);
    await set(vfs, ino, { mode: 0o2666 });
    const opened = await vfs.fs.open(vfs.by(8), { ino, flags: 0o1002, killPriv: false });
    expect(opened.attr.mode & 0o7777).toBe(0o666);
  });

  test('who has CAP_FSETID keeps setuid at a write, root without it does not', async () => {
    const all = { fsuid: 7, fsgid: 7, groups: new Set<number>(), capabilities: 1n << 4n };
    const threads = new Map([
      [42, all],
      [43, { ...all, fsuid: 0, fsgid: 0, capabilities: 0n }],
    ]);
    const vfs = new TestVfs({ threads });
    const { ino } = await vfs.file(ROOT_INO, 'a', 'content', 0o777);
    await set(vfs, ino, { mode: 0o6777 });
    const { fh } = await vfs.fs.open(vfs.by(), { ino, flags: 2, killPriv: false });
    await vfs.write(ino, fh, 0, 'x', vfs.by(7, 7, 42));
    await vfs.write(ino, fh, 0, 'x', vfs.by());
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o6777);
    await vfs.write(ino, fh, 0, 'x', vfs.by(0, 0, 43));
    expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o777);
  });

  test('root that has given its capabilities up is held to the rules', async () => {
    const threads = new Map([[43, { fsuid: 0, fsgid: 0, groups: new Set<number>(), capabilities: 0n }]]);
    const vfs = new TestVfs({ threads });
    const dir = await vfs.mkdir(ROOT_INO, 'd', 0o777);
    await set(vfs, dir.ino, { uid: 7, mode: 0o1777 });
    const { ino } = await vfs.file(dir.ino, 'a', '', 0o600, vfs.by(7));
    const dropped = (): ReturnType<TestVfs['by']> => vfs.by(0, 0, 43);
    await expect(set(vfs, ino, { mode: 0o777 }, 0, 0, 43)).rejects.toMatchObject(code('EPERM'));
    await expect(set(vfs, ino, { uid: 0 }, 0, 0, 43)).rejects.toMatchObject(code('EPERM'));
    const opening = attempt(() => vfs.fs.open(dropped(), { ino, flags: 0, killPriv: false }));
    await expect(opening).rejects.toMatchObject(code('EACCES'));
    const removing = attempt(() => vfs.fs.unlink(dropped(), dir.ino, Buffer.from('a')));
    await expect(removing).rejects.toMatchObject(code('EPERM'));
    const device = { parent: dir.ino, name: Buffer.from('c'), mode: 0o020600, rdev: 0x103 };
    await expect(attempt(() => vfs.fs.mknod(dropped(), device))).rejects.toMatchObject(code('EPERM'));
    await vfs.fs.mknod(dropped(), { ...device, rdev: 0 }); // a whiteout
    const closed = await vfs.mkdir(ROOT_INO, 'closed', 0o700, vfs.by());
    await set(vfs, closed.ino, { uid: 7 });
    await expect(vfs.mkdir(closed.ino, 'x', 0o755, dropped())).rejects.toMatchObject(code('EACCES'));
    await expect(vfs.lookup(closed.ino, 'x', dropped())).rejects.toMatchObject(code('EACCES'));
  });

  test('what /proc said a moment ago does not deny', async () => {
    const threads = new Map([[42, { fsuid: 7, fsgid: 7, groups: new Set<number>(), capabilities: 0n }]]);
    const vfs = new TestVfs({ threads });
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o640);
    await set(vfs, ino, { gid: 70 });
    const read = (): Promise<unknown> => attempt(() => vfs.fs.access(vfs.by(7, 7, 42), ino, 4));
    await expect(read()).rejects.toMatchObject(code('EACCES'));
    threads.set(42, { fsuid: 7, fsgid: 7, groups: new Set([70]), capabilities: 0n });
    await read();
  });

  test('O_NOATIME is the owner’s', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o644);
    const open = (uid: number): Promise<unknown> =>
      attempt(() => vfs.fs.open(vfs.by(uid), { ino, flags: 0o1000000, killPriv: false }));
    await expect(open(7)).rejects.toMatchObject(code('EPERM'));
    await open(0);
  });

  test('truncate: needs write unless by a handle, and a regular file', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', 'hello', 0o644);
    await expect(set(vfs, ino, { size: 1 }, 7)).rejects.toMatchObject(code('EACCES'));
    const { fh } = await vfs.fs.open(vfs.by(), { ino, flags: 1, killPriv: false });
    expect(await set(vfs, ino, { size: 2, fh }, 7)).toMatchObject({ size: 2 });
    expect(await vfs.content(ino)).toBe('he');
    await expect(set(vfs, ROOT_INO, { size: 1 })).rejects.toMatchObject(code('EISDIR'));
    await expect(set(vfs, ino, { size: 2 ** 50 + 1 })).rejects.toMatchObject(code('EFBIG'));
  });

  test('times: explicit ones are the owner’s, the current time a writer’s too', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o666);
    const past = { sec: -86400, nsec: 999_999_999 };
    expect(await set(vfs, ino, { mtime: past })).toMatchObject({ mtime: past });
    await expect(set(vfs, ino, { mtime: past }, 7)).rejects.toMatchObject(code('EPERM'));
    await set(vfs, ino, { atime: 'now', mtime: 'now' }, 7);
    await expect(set(vfs, ino, { atime: 'now' }, 7)).rejects.toMatchObject(code('EPERM')); // the other one is UTIME_OMIT
    await set(vfs, ino, { mode: 0o644 });
    await expect(set(vfs, ino, { atime: 'now', mtime: 'now' }, 7)).rejects.toMatchObject(code('EACCES'));
  });
});

describe('access', () => {
  test('goes by mode', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o644);
    await vfs.fs.access(vfs.by(7), ino, 4);
    await expect(attempt(() => vfs.fs.access(vfs.by(7), ino, 2))).rejects.toMatchObject(code('EACCES'));
  });
});

describe('squash', () => {
  test('root acts as the given user, without its rights', async () => {
    const whole = new TestVfs();
    const open = await whole.mkdir(ROOT_INO, 'open', 0o777);
    const vfs = new TestVfs({
      metadata: { namespace: whole.meta.namespace, sessionId: 2 },
      squash: { who: 'root', uid: 65534, gid: 65534 },
    });
    expect(await vfs.mkdir(open.ino, 'd')).toMatchObject({ uid: 65534, gid: 65534 });
    await expect(attempt(() => vfs.mkdir(ROOT_INO, 'd'))).rejects.toMatchObject(code('EACCES'));
    expect(await vfs.mkdir(open.ino, 'e', 0o755, vfs.by(7))).toMatchObject({ uid: 7 });
  });
});

describe('statfs', () => {
  test('true numbers under limits', async () => {
    const vfs = new TestVfs({ metadata: { fs: { capacityBytes: 4096 * 1000, inodesMax: 50 } } });
    await vfs.file(ROOT_INO, 'a');
    expect(await vfs.fs.statfs(vfs.by(), ROOT_INO)).toMatchObject({
      blocks: 1000,
      files: 50,
      ffree: 50 - vfs.meta.namespace.inodeCount,
      namelen: 255,
      frsize: 4096,
    });
  });

  test('without limits there is always room', async () => {
    const vfs = new TestVfs();
    const found = await vfs.fs.statfs(vfs.by(), ROOT_INO);
    expect(found.bavail).toBeGreaterThan(2 ** 30);
    expect(found.ffree).toBeGreaterThan(2 ** 20);
  });
});

describe('extended attributes', () => {
  const name = (text: string): Buffer => Buffer.from(text);
  const put = (vfs: TestVfs, ino: Ino, key: string, value: string, uid = 0, flags = 0): Promise<void> =>
    attempt(() => vfs.fs.setxattr(vfs.by(uid), { ino, name: name(key), value: Buffer.from(value), flags }));
  const get = (vfs: TestVfs, ino: Ino, key: string, uid = 0): Promise<string> =>
    attempt(async () => Buffer.from(await vfs.fs.getxattr(vfs.by(uid), ino, name(key))).toString());

  test('set, get, list, remove', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await put(vfs, ino, 'user.x', 'value');
    expect(await get(vfs, ino, 'user.x')).toBe('value');
    await expect(put(vfs, ino, 'user.x', 'v', 0, 1)).rejects.toMatchObject(code('EEXIST'));
    await expect(put(vfs, ino, 'user.y', 'v', 0, 2)).rejects.toMatchObject(code('ENODATA'));
    await expect(put(vfs, ino, 'user.y', 'v', 0, 3)).rejects.toMatchObject(code('ENODATA'));
    await expect(put(vfs, ino, 'user.y', 'v', 0, 4)).rejects.toMatchObject(code('EINVAL'));
    await vfs.fs.removexattr(vfs.by(), ino, name('user.x'));
    await expect(get(vfs, ino, 'user.x')).rejects.toMatchObject(code('ENODATA'));
  });

  test('the probe for security.capability asks nobody', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    const calls = vfs.meta.calls.length;
    await expect(get(vfs, ino, 'security.capability')).rejects.toMatchObject(code('ENODATA'));
    expect(vfs.meta.calls.slice(calls)).toEqual(['getattr']);
  });

  test.each([
    ['system.posix_acl_access', 'EOPNOTSUPP'],
    ['other.thing', 'EOPNOTSUPP'],
    ['user.', 'EINVAL'],
    [`user.${'x'.repeat(251)}`, 'ERANGE'],
  ])('%s is %s', async (key, expected) => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await expect(put(vfs, ino, key, 'v')).rejects.toMatchObject(code(expected));
  });

  test('values over 64 KiB are E2BIG', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a');
    await put(vfs, ino, 'user.x', 'v'.repeat(65_536));
    await expect(put(vfs, ino, 'user.x', 'v'.repeat(65_537))).rejects.toMatchObject(code('E2BIG'));
  });

  test('trusted.* is for administrators and hidden from others', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o666);
    await put(vfs, ino, 'trusted.t', 'v');
    await put(vfs, ino, 'user.u', 'v', 7);
    await expect(put(vfs, ino, 'trusted.t', 'v', 7)).rejects.toMatchObject(code('EPERM'));
    await expect(get(vfs, ino, 'trusted.t', 7)).rejects.toMatchObject(code('ENODATA'));
    const listed = async (uid: number): Promise<string[]> =>
      (await vfs.fs.listxattr(vfs.by(uid), ino)).map((found) => Buffer.from(found).toString()).sort();
    expect(await listed(7)).toEqual(['user.u']);
    expect(await listed(0)).toEqual(['trusted.t', 'user.u']);
  });

  test('user.* goes by the file’s mode, and not on links', async () => {
    const vfs = new TestVfs();
    const { ino } = await vfs.file(ROOT_INO, 'a', '', 0o644);
    await expect(put(vfs, ino, 'user.x', 'v', 7)).rejects.toMatchObject(code('EACCES'));
    const link = await vfs.fs.symlink(vfs.by(), { parent: ROOT_INO, name: name('l'), target: name('a') });
    await expect(put(vfs, link.ino, 'user.x', 'v')).rejects.toMatchObject(code('EPERM'));
  });

  describe('ACLs', () => {
    const ACCESS = 'system.posix_acl_access';
    const acl = (uid: number, perm: number, group = 0): Buffer =>
      encodeAcl([
        { tag: ACL_USER_OBJ, perm: 6, id: 0 },
        { tag: ACL_USER, perm, id: uid },
        { tag: ACL_GROUP_OBJ, perm: group, id: 0 },
        { tag: ACL_MASK, perm: 7, id: 0 },
        { tag: ACL_OTHER, perm: 0, id: 0 },
      ]);
    const setAcl = (vfs: TestVfs, ino: Ino, value: Buffer, uid = 0, key = ACCESS): Promise<void> =>
      attempt(() => vfs.fs.setxattr(vfs.by(uid), { ino, name: name(key), value, flags: 0 }));

    test('decide over open, truncate, times, search, making and user.*', async () => {
      const vfs = new TestVfs({ acl: true });
      const dir = await vfs.mkdir(ROOT_INO, 'd', 0o700);
      const { ino } = await vfs.file(dir.ino, 'a', 'content', 0o600);
      const denied = code('EACCES');
      const open = (flags: number): Promise<unknown> =>
        attempt(() => vfs.fs.open(vfs.by(7), { ino, flags, killPriv: false }));
      const all = [
        () => open(2),
        () => set(vfs, ino, { size: 3 }, 7),
        () => set(vfs, ino, { atime: 'now', mtime: 'now' }, 7),
        () => put(vfs, ino, 'user.x', 'v', 7),
        () => get(vfs, ino, 'user.x', 7),
        () => vfs.lookup(dir.ino, 'a', vfs.by(7)),
        () => vfs.mkdir(dir.ino, 's', 0o755, vfs.by(7)),
        () => attempt(() => vfs.fs.rmdir(vfs.by(7), dir.ino, name('s'))),
        () => attempt(() => vfs.fs.access(vfs.by(7), dir.ino, 7)),
      ];
      for (const each of all) await expect(each()).rejects.toMatchObject(denied);
      await setAcl(vfs, ino, acl(7, 6));
      await setAcl(vfs, dir.ino, acl(7, 7));
      for (const each of all) await each();
      await setAcl(vfs, ino, acl(7, 4));
      await expect(open(1)).rejects.toMatchObject(denied);
      await open(0);
    });

    test('are the owner’s, and drop set-group-ID of who is not in the group', async () => {
      const vfs = new TestVfs({ acl: true });
      const { ino } = await vfs.file(ROOT_INO, 'a');
      await set(vfs, ino, { uid: 7, gid: 70 });
      await set(vfs, ino, { mode: 0o2755 });
      await expect(setAcl(vfs, ino, acl(7, 6), 8)).rejects.toMatchObject(code('EPERM'));
      await setAcl(vfs, ino, acl(8, 6), 7);
      expect((await vfs.fs.getattr(vfs.by(), ino)).mode & 0o7777).toBe(0o670);
      await attempt(() => vfs.fs.removexattr(vfs.by(7), ino, name(ACCESS)));
      await attempt(() => vfs.fs.removexattr(vfs.by(7), ino, name(ACCESS))); // none is what was asked for
      await expect(attempt(() => vfs.fs.removexattr(vfs.by(8), ino, name(ACCESS)))).rejects.toMatchObject(
        code('EPERM'),
      );
      const link = await vfs.fs.symlink(vfs.by(), { parent: ROOT_INO, name: name('l'), target: name('a') });
      await expect(setAcl(vfs, link.ino, acl(7, 6))).rejects.toMatchObject(code('EOPNOTSUPP'));
    });

    test('without acl they hold, and are neither shown nor changed', async () => {
      const other = new TestVfs({ acl: true });
      const { ino } = await other.file(ROOT_INO, 'a', '', 0o660);
      await set(other, ino, { gid: 70 });
      await setAcl(other, ino, acl(7, 6));
      const vfs = new TestVfs({ metadata: { namespace: other.meta.namespace, sessionId: 2 } });
      await expect(get(vfs, ino, ACCESS)).rejects.toMatchObject(code('EOPNOTSUPP'));
      await expect(setAcl(vfs, ino, acl(7, 6))).rejects.toMatchObject(code('EOPNOTSUPP'));
      expect(await vfs.fs.listxattr(vfs.by(), ino)).toEqual([]);
      expect(await other.fs.listxattr(other.by(), ino)).toEqual([name(ACCESS)]);
      await expect(attempt(() => vfs.fs.access(vfs.by(9, 70), ino, 4))).rejects.toMatchObject(code('EACCES'));
      await vfs.fs.access(vfs.by(7), ino, 6);
    });
  });

  test('noxattr: EOPNOTSUPP always', async () => {
    const vfs = new TestVfs({ xattrs: false });
    await expect(get(vfs, ROOT_INO, 'user.x')).rejects.toMatchObject(code('EOPNOTSUPP'));
    await expect(put(vfs, ROOT_INO, 'user.x', 'v')).rejects.toMatchObject(code('EOPNOTSUPP'));
    await expect(attempt(() => vfs.fs.listxattr(vfs.by(), ROOT_INO))).rejects.toMatchObject(code('EOPNOTSUPP'));
  });
});
