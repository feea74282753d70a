import { describe, expect, test } from '@jest/globals';
import { runMountHelper } from '../../../src/cli/run-mount-helper.js';
import { MountError } from '../../../src/client/launch/mount-error.js';
import type { MountConfig } from '../../../src/config/mount-config.js';
import { fakeDeps } from './fake-deps.js';

async function run(...args: readonly string[]) {
  const recorded = fakeDeps();
  const code = await runMountHelper(args, recorded.deps);
  const [, config] = (recorded.calls[0] ?? []) as [string?, MountConfig?];
  return { ...recorded, code, config };
}

describe('mount.curvefs', () => {
  test.each([
    [['h:1:/fs', '/mnt', '-o', 'rw']],
    [['-o', 'rw', 'h:1:/fs', '/mnt']],
    [['h:1:/fs', '-n', '/mnt', '-t', 'fuse.curvefs', '-orw']],
    [['--options=rw', '-w', '--', 'h:1:/fs', '/mnt']],
    [['--types', 'curvefs', 'h:1:/fs', '/mnt', '--no-mtab']],
    [['h:1:/fs', '/mnt', '-nv', '-o', 'rw,_netdev,nofail,x-systemd.automount,user']],
  ])('mounts: %j', async (args) => {
    const { code, config, calls } = await run(...args);
    expect(code).toBe(0);
    expect(config).toMatchObject({ source: { text: 'h:1:/fs' }, mountpoint: '/mnt', readOnly: false });
    expect(calls).toHaveLength(1);
  });

  test.each([
    [['h:1:/fs', '/mnt', '-r'], true],
    [['h:1:/fs', '/mnt', '-o', 'ro'], true],
    [['h:1:/fs', '/mnt', '-r', '-w'], false],
    [['-rv', 'h:1:/fs', '/mnt'], true],
    [['h:1:/fs', '/mnt', '--read-only'], true],
  ])('%j: read-only %s', async (args, readOnly) => {
    expect((await run(...args)).config?.readOnly).toBe(readOnly);
  });

  test('quoted values arrive whole', async () => {
    const { config } = await run('h:1:/fs/a,b', '/mnt', '-o', 'rw,log="/var/log/a,b",noatime');
    expect(config).toMatchObject({ log: '/var/log/a,b', kernelFlags: ['noatime'], source: { subdir: ['a,b'] } });
  });

  test('-f does everything but the mount', async () => {
    const good = await run('h:1:/fs', '/mnt', '-f', '-v', '-o', 'rw');
    expect([good.code, good.calls]).toEqual([0, []]);
    expect(good.err()).toBe('mount.curvefs: would mount h:1:/fs on /mnt\n');
    const bad = await run('h:1:/fs', '/mnt', '-f', '-o', 'nosuch');
    expect([bad.code, bad.calls]).toEqual([1, []]);
  });

  test('-s drops what it does not know', async () => {
    const { code, calls, err } = await run('h:1:/fs', '/mnt', '-sv', '-o', 'quota');
    expect([code, calls.length]).toEqual([0, 1]);
    expect(err()).toContain('unknown option "quota" dropped');
  });

  test('remount goes to the kernel with its own flags', async () => {
    const options = 'ro,nosuid,relatime,user_id=0,group_id=0,allow_other,cache_dir=/c,remount';
    const { code, calls } = await run('h:1:/fs', '/mnt', '-o', options);
    expect([code, calls]).toEqual([0, [['remount', '/mnt', 'remount,ro,nosuid,relatime']]]);
  });

  test.each([
    [[], 'expected a source and a mountpoint, got 0'],
    [['h:1:/fs'], 'got 1 operands'],
    [['h:1:/fs', '/mnt', '/more'], 'got 3 operands'],
    [['h:1:/fs', '/mnt', '-o'], '-o needs a value'],
    [['h:1:/fs', '/mnt', '-x'], 'unknown argument "-x"'],
    [['h:1:/fs', '/mnt', '--foreground'], 'unknown argument "--foreground"'],
    [['h:1:/fs', '/mnt', '--fake=1'], '--fake takes no value'],
    [['h:1:/fs', '/mnt', '-N', '/proc/1/ns/mnt'], 'nsenter --mount=/proc/1/ns/mnt'],
    [['h:1:/fs', '/mnt', '-o', 'uploads=none'], 'mount option "uploads"'],
    [['fs', '/mnt'], 'HOST:PORT'],
  ])('wrong usage is exit code 1: %j', async (args, message) => {
    const { code, calls, err } = await run(...args);
    expect([code, calls]).toEqual([1, []]);
    expect(err()).toContain(message);
    expect(err()).toMatch(/^mount\.curvefs: [^\n]+\n$/);
  });

  test('the exit code of a failed mount', async () => {
    const { deps, err } = fakeDeps({ launchMount: () => Promise.reject(new MountError(32, 'cannot reach the MDS')) });
    expect(await runMountHelper(['h:1:/fs', '/mnt'], deps)).toBe(32);
    expect(err()).toBe('mount.curvefs: cannot reach the MDS\n');
  });

  test('--help and --version', async () => {
    expect((await run('--help')).out()).toContain('usage: mount.curvefs');
    expect((await run('-V')).out()).toBe('mount.curvefs 1.2.3\n');
  });
});
