import { describe, expect, test } from '@jest/globals';
import { ConfigError } from '../../../src/config/config-error.js';
import { mountFlagBits } from '../../../src/config/kernel-flags.js';
import {
  mountConfigFromJson,
  mountConfigToJson,
  parseMountConfig,
  type MountConfig,
  type MountRequest,
} from '../../../src/config/mount-config.js';

const base: MountRequest = {
  source: 'localhost:6700:/demo',
  mountpoint: '/mnt/demo',
  options: [],
  uid: 0,
  home: '/root',
};
const configOf = (options: string, extra: Partial<MountRequest> = {}) =>
  parseMountConfig({ ...base, options: [options], ...extra }).config;

function refusal(options: string, extra: Partial<MountRequest> = {}): ConfigError {
  try {
    configOf(options, extra);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`"${options}" was accepted`);
}

/** Compiles only while options with a default are not optional in the type. */
export const typed = (config: MountConfig): readonly [boolean, number, 'error' | 'warn' | 'info' | 'debug'] => [
  config.writeback,
  config.squashUid,
  config.logLevel,
];

describe('mount configuration', () => {
  test('has defaults for everything', () => {
    const config = configOf('rw');
    expect(config).toMatchObject({
      source: { text: 'localhost:6700:/demo', fsName: 'demo', subdir: [], mds: [{ host: 'localhost', port: 6700 }] },
      mountpoint: '/mnt/demo',
      readOnly: false,
      kernelFlags: [],
      allowOther: true,
      driver: 'kernel',
      fuseDevice: 'auto',
      writeback: false,
      squash: 'none',
      attrTimeoutMs: 1000,
      credentials: undefined,
      metrics: undefined,
    });
    expect(config.cacheDir).toMatch(/^\/var\/cache\/curvefs\/demo-mnt-demo-[0-9a-f]{8}$/);
    expect(config.log).toBe(`${config.cacheDir}/mount.log`);
    expect(Object.isFrozen(config)).toBe(true);
  });

  test('another user has another cache and no allow_other, unless asked for', () => {
    const config = configOf('rw', { uid: 1000, home: '/home/u' });
    expect(config.allowOther).toBe(false);
    expect(config.cacheDir).toMatch(/^\/home\/u\/\.cache\/curvefs\/demo-/);
    expect(configOf('allow_other', { uid: 1000 }).allowOther).toBe(true);
    expect(configOf('allow-other=no').allowOther).toBe(false);
  });

  test('the cache directory is one per filesystem and mountpoint, whatever the address of the service', () => {
    const dir = configOf('').cacheDir;
    expect(configOf('', { source: '10.0.0.1:1:/demo' }).cacheDir).toBe(dir);
    expect(configOf('', { mountpoint: '/mnt/demo/' }).cacheDir).toBe(dir);
    expect(configOf('', { source: 'localhost:6700:/other' }).cacheDir).not.toBe(dir);
    expect(configOf('', { mountpoint: '/mnt-demo' }).cacheDir).not.toBe(dir);
  });

  test('reads values of every type, in either spelling', () => {
    expect(
      configOf(
        'cache_dir=/c,cache-size=1g,journal_size=128MiB,attr-timeout=0.5,entry_timeout=100ms,metrics=[::1]:0,writeback,noxattr,driver=fuse-native,uploads=3,squash=all,squash-uid=7,log=/l,log_level=debug,credentials=/k,fuse_device=fallback',
      ),
    ).toMatchObject({
      cacheDir: '/c',
      cacheSizeBytes: 1024 ** 3,
      journalSizeBytes: 128 * 1024 ** 2,
      attrTimeoutMs: 500,
      entryTimeoutMs: 100,
      metrics: { host: '::1', port: 0 },
      writeback: true,
      noXattr: true,
      driver: 'fuse-native',
      uploads: 3,
      squash: 'all',
      squashUid: 7,
      log: '/l',
      logLevel: 'debug',
      credentials: '/k',
      fuseDevice: 'fallback',
    });
  });

  test('what concerns mount(8) and systemd alone is accepted silently', () => {
    const plain = configOf('');
    const noise =
      'rw,defaults,auto,noauto,_netdev,nofail,user,user=joe,users,nouser,group,async,dev,suid,exec,x-systemd.automount,x-gvfs-show,X-mount.mkdir=0755,comment="a,b",default_permissions';
    expect(configOf(noise)).toEqual(plain);
  });

  test('kernel flags: the last word wins', () => {
    const flags = (options: string) => [...configOf(options).kernelFlags].sort();
    expect(flags('ro,nosuid,nodev,noexec,noatime,nodiratime,dirsync,sync')).toEqual(
      ['ro', 'nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'dirsync', 'sync'].sort(),
    );
    expect(flags('nosuid,suid,noatime,relatime,sync,async')).toEqual(['relatime']);
    expect(configOf('ro,rw').readOnly).toBe(false);
    expect(configOf('rw,ro').readOnly).toBe(true);
    expect(configOf('ro=false').readOnly).toBe(false);
    expect(mountFlagBits(configOf('ro,nosuid,relatime').kernelFlags)).toBe(1 | 2 | 0x200000);
  });

  test('later lists win over earlier ones', () => {
    const { config } = parseMountConfig({ ...base, options: ['uploads=1,ro', 'uploads=2,rw'] });
    expect(config.uploads).toBe(2);
    expect(config.readOnly).toBe(false);
  });

  test.each([
    ['cachesize=1g', 'unknown mount option "cachesize"; did you mean "cache_size"?', 'unknown-option'],
    ['atr_timeout=1', 'did you mean "attr_timeout"?', 'unknown-option'],
    ['noatme', 'did you mean "noatime"?', 'unknown-option'],
    ['zzzzzzzz', 'unknown mount option "zzzzzzzz"', 'unknown-option'],
    ['cache_size', 'needs a value: cache_size=SIZE', 'missing'],
    ['cache_size=lots', 'mount option "cache_size": "lots" is not a size', 'bad-value'],
    ['journal_size=1m', 'below the minimum, 64MiB', 'bad-value'],
    ['uploads=0', 'below the minimum, 1', 'bad-value'],
    ['uploads=1.5', 'not a whole number', 'bad-value'],
    ['cache_dir=relative', 'not an absolute path', 'bad-value'],
    ['metrics=9700', 'not HOST:PORT', 'bad-value'],
    ['driver=nfs', 'none of kernel, fuse-native', 'bad-value'],
    ['writeback=maybe', 'neither true nor false', 'bad-value'],
    ['noatime=1', 'takes no value', 'bad-value'],
    ['attr_timeout=1y', 'not a duration', 'bad-value'],
    ['a="b', 'not closed', 'syntax'],
    ['=b', 'no name', 'syntax'],
  ])('refuses %s', (options, message, code) => {
    const error = refusal(options);
    expect(error.message).toContain(message);
    expect(error.code).toBe(code);
  });

  test('sloppy drops unknown options and nothing else', () => {
    const { config, dropped } = parseMountConfig({ ...base, options: ['quota,uploads=2'], sloppy: true });
    expect(dropped).toEqual(['quota']);
    expect(config.uploads).toBe(2);
    expect(refusal('uploads=x', { sloppy: true }).code).toBe('bad-value');
  });

  test('the mountpoint must be absolute', () => {
    expect(refusal('', { mountpoint: 'mnt' }).message).toContain('not an absolute path');
    expect(configOf('', { mountpoint: '//a/./b//' }).mountpoint).toBe('/a/b');
  });

  test('survives the way to another process', () => {
    const config = configOf('ro,metrics=127.0.0.1:9,log=/l', { source: 'a:1,b:2:/demo/x y/,"\\z' });
    const { ...copy } = mountConfigFromJson(mountConfigToJson(config));
    expect(JSON.parse(JSON.stringify(config))).toEqual(copy);
    expect(copy.source.subdir).toEqual(['x y', ',"\\z']);
  });
});
