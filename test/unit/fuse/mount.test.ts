import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../../src/common/logger.js';
import { FUSE_IN_HEADER } from '../../../src/fuse/abi/structs.js';
import { struct } from '../../../src/fuse/abi/struct.js';
import { createDevice } from '../../../src/fuse/device/create-device.js';
import { deviceEnd } from '../../../src/fuse/device/native-device.js';
import {
  escapeFusermountValue,
  fusermountOptions,
  mountCommandOptions,
  mountData,
  mountFlags,
} from '../../../src/fuse/mount/mount-options.js';
import { mountFuse } from '../../../src/fuse/mount/mount-fuse.js';
import { findMount, parseMountInfo } from '../../../src/fuse/mount/mountinfo.js';
import { probeMount } from '../../../src/fuse/mount/probe-mount.js';
import { runCommand } from '../../../src/fuse/mount/run-command.js';

const plain = { defaultPermissions: true, allowOther: true };
const identity = { fd: 7, rootMode: 0o040000, uid: 0, gid: 0 };

describe('mount options', () => {
  test('flags and data of mount(2)', () => {
    const all = {
      ...plain,
      readOnly: true,
      nosuid: true,
      nodev: true,
      noexec: true,
      sync: true,
      dirsync: true,
      noatime: true,
    };
    expect(mountFlags(plain)).toBe(0);
    expect(mountFlags(all)).toBe(1 + 2 + 4 + 8 + 16 + 128 + 1024);
    expect(mountData(identity, all)).toBe('fd=7,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other');
    expect(mountData(identity, { defaultPermissions: false, allowOther: false, maxReadBytes: 131_072 })).toBe(
      'fd=7,rootmode=40000,user_id=0,group_id=0,max_read=131072',
    );
  });

  test('options of mount(8) and fusermount3', () => {
    expect(mountCommandOptions({ ...identity, fd: 3 }, { ...plain, readOnly: true, nodev: true })).toBe(
      'ro,nodev,fd=3,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other',
    );
    expect(fusermountOptions('h:1,h:2:/fs\\x', 'curvefs', { ...plain, allowOther: false })).toBe(
      'default_permissions,fsname=h:1\\,h:2:/fs\\\\x,subtype=curvefs',
    );
    expect(escapeFusermountValue('a,b\\c')).toBe('a\\,b\\\\c');
  });
});

describe('mountinfo', () => {
  const text = [
    '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
    '40 22 0:35 / /mnt/a\\040b\\134c rw,nosuid shared:12 master:1 - fuse.curvefs 127.0.0.1:6700:/demo rw,user_id=0',
    '41 40 0:36 /sub /mnt/a\\040b\\134c ro - tmpfs none rw',
    '42 22 0:37 / /mnt/x rw - tmpfs  rw',
    'garbage',
    '',
  ].join('\n');

  test('fields, octal escapes, optional fields', () => {
    const mounts = parseMountInfo(text);
    expect(mounts).toHaveLength(4);
    expect(mounts[1]).toEqual({
      ...{ mountId: 40, parentId: 22, device: '0:35', root: '/', mountPoint: '/mnt/a b\\c', options: 'rw,nosuid' },
      ...{ fsType: 'fuse.curvefs', source: '127.0.0.1:6700:/demo', superOptions: 'rw,user_id=0' },
    });
    expect(mounts[3]).toMatchObject({ source: '', superOptions: 'rw' });
  });

  test('the topmost mount of a path is the one that counts', () => {
    const mounts = parseMountInfo(text);
    expect(findMount(mounts, '/mnt/a b\\c')?.fsType).toBe('tmpfs');
    expect(findMount(mounts, '/mnt')).toBeUndefined();
  });

  test('paths that are not ASCII', () => {
    const line = '40 22 0:35 / /mnt/é rw - tmpfs none rw';
    expect(findMount(parseMountInfo(Buffer.from(line).toString('latin1')), '/mnt/é')).toBeDefined();
  });
});

describe('commands', () => {
  test('status and message', async () => {
    expect(await runCommand('sh', ['-c', 'echo out; echo err >&2; exit 3'], { timeoutMs: 5000 })).toEqual({
      ...{ status: 3, message: 'err', stdout: 'out\n', timedOut: false },
    });
    expect(await runCommand('/nonexistent', [], { timeoutMs: 5000 })).toMatchObject({
      status: undefined,
      timedOut: false,
    });
  });

  test('one that hangs is given up', async () => {
    expect(await runCommand('sleep', ['60'], { timeoutMs: 50 })).toMatchObject({ status: undefined, timedOut: true });
  });

  test('a path that is no mountpoint', async () => {
    expect(await probeMount('/nonexistent')).toBe('none');
    await expect(
      mountFuse({ fd: -1, source: 's', target: '/nonexistent', subtype: 'curvefs', options: plain }),
    ).rejects.toMatchObject({ code: 'bad-mountpoint' });
    await expect(
      mountFuse({ fd: -1, source: 's', target: '/dev/null', subtype: 'curvefs', options: plain }),
    ).rejects.toMatchObject({ code: 'bad-mountpoint', message: '/dev/null: not a directory' });
  });
});

describe('abi', () => {
  test('a table that the C compiler would lay out otherwise does not load', () => {
    expect(FUSE_IN_HEADER.offset.total_extlen).toBe(36);
    expect(() => struct('wrong', 8, [['a', 'u32']])).toThrow('struct wrong is 4 bytes');
    expect(() =>
      struct('wrong', 12, [
        ['a', 'u32'],
        ['b', 'u64'],
      ]),
    ).toThrow('wrong.b is not aligned');
  });

  test('what the errno of a read means', () => {
    expect(deviceEnd(19)).toEqual({ kind: 'unmounted' });
    expect(deviceEnd(103)).toEqual({ kind: 'aborted' });
    expect(deviceEnd(5)).toEqual({ kind: 'failed', errno: 5 });
  });

  test('the fallback device can be chosen', () => {
    expect(createDevice({ logger: silentLogger }, { fd: -1, kind: 'fallback', maxWriteBytes: 4096 }).kind).toBe(
      'fallback',
    );
  });
});
