import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuseUnsupported } from '../../../src/client/fuse-native-driver.js';
import { MountError } from '../../../src/client/launch/mount-error.js';
import { prepareCacheDir } from '../../../src/client/launch/prepare-cache-dir.js';
import { isInside, mountOf, prepareMountpoint } from '../../../src/client/launch/prepare-mountpoint.js';
import { mountFailure } from '../../../src/client/mount-failure.js';
import { kernelMountOptions } from '../../../src/client/mount-flags.js';
import { parseMountConfig } from '../../../src/config/mount-config.js';
import { parseMountInfo } from '../../../src/fuse/mount/mountinfo.js';
import { JournalError } from '../../../src/journal/journal-error.js';
import { RpcError } from '../../../src/wire/rpc-error.js';

const config = (options: string, mountpoint = '/mnt/x'): ReturnType<typeof parseMountConfig>['config'] =>
  parseMountConfig({ source: 'h:1:/fs', mountpoint, options: [options], uid: 0, home: undefined }).config;

describe('the mountpoint', () => {
  test('must be a directory; symbolic links are resolved', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'curvefs-prepare-'));
    try {
      writeFileSync(join(dir, 'file'), '');
      symlinkSync(dir, join(dir, 'link'));
      await expect(prepareMountpoint(join(dir, 'none'), 0)).rejects.toMatchObject({
        exitCode: 32,
        message: expect.stringContaining('does not exist') as unknown,
      });
      await expect(prepareMountpoint(join(dir, 'file'), 0)).rejects.toThrow(/not a directory/);
      await expect(prepareMountpoint(join(dir, 'file', 'x'), 0)).rejects.toThrow(/not a directory/);
      expect(await prepareMountpoint(join(dir, 'link'), 0)).toBe(await prepareMountpoint(dir, 0));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('the cache directory', () => {
  test('must not lie where the mount would wait for itself', async () => {
    await expect(prepareCacheDir(config('cache_dir=/mnt/x/cache'))).rejects.toMatchObject({ exitCode: 1 });
    await expect(prepareCacheDir(config('cache_dir=/tmp/c,log=/mnt/x/log'))).rejects.toThrow(/log \/mnt\/x\/log/);
  });

  test('a path is inside of a directory by whole names', () => {
    expect(isInside('/a/b', '/a')).toBe(true);
    expect(isInside('/a', '/a')).toBe(true);
    expect(isInside('/ab', '/a')).toBe(false);
    expect(isInside('/x', '/')).toBe(true);
  });

  test('the innermost mount is the one a path lies on', () => {
    const mounts = parseMountInfo(
      ['1 0 0:1 / / rw - ext4 d rw', '2 1 0:2 / /a rw - tmpfs t rw', '3 2 0:3 / /a/b rw - fuse.curvefs s rw', ''].join(
        '\n',
      ),
    );
    expect(mountOf(mounts, '/a/b/c')?.fsType).toBe('fuse.curvefs');
    expect(mountOf(mounts, '/a/bc')?.fsType).toBe('tmpfs');
    expect(mountOf(mounts, '/z')?.fsType).toBe('ext4');
  });
});

describe('failures', () => {
  test.each([
    [new RpcError('unreachable', 'no MDS answers at h:1'), 32, /no MDS answers/],
    [new JournalError('locked', 'pid 9'), 32, /cache_dir \/c is in use/],
    [new MountError(1, 'as it is'), 1, /as it is/],
    [new Error('two\nlines'), 32, /two; lines/],
  ])('%s', (error, exitCode, message) => {
    const failure = mountFailure(error, '/c');
    expect(failure.exitCode).toBe(exitCode);
    expect(failure.message).toMatch(message);
  });
});

describe('drivers', () => {
  test('what fuse-native cannot do is refused', () => {
    expect(() => refuseUnsupported(config('driver=fuse-native'))).not.toThrow();
    for (const option of ['allow_other', 'squash=all', 'noexec', 'nosuid']) {
      expect(() => refuseUnsupported(config(`driver=fuse-native,${option}`))).toThrow(MountError);
    }
  });

  test('the kernel checks permissions, and gets its flags', () => {
    expect(kernelMountOptions(config('ro,nosuid,noexec,nosymfollow'))).toMatchObject({
      defaultPermissions: true,
      allowOther: true,
      readOnly: true,
      nosuid: true,
      nodev: false,
      noexec: true,
      nosymfollow: true,
    });
  });
});
