import { describe, expect, test } from '@jest/globals';
import { runCli } from '../../../src/cli/run-cli.js';
import { MountError } from '../../../src/client/launch/mount-error.js';
import type { MountConfig } from '../../../src/config/mount-config.js';
import { ObjectError } from '../../../src/object/object-error.js';
import { DEMO, fakeDeps } from './fake-deps.js';

const MDS = ['--mds', 'h:6700'];
const COMMANDS = [
  'standalone',
  'mds',
  'metaserver',
  'status',
  'fs create',
  'fs list',
  'fs info',
  'fs delete',
  'quota set',
  'quota get',
  'quota list',
  'quota delete',
  'mount',
  'umount',
];

describe('help', () => {
  test('names every command', async () => {
    const { deps, out } = fakeDeps();
    expect(await runCli(['--help'], deps)).toBe(0);
    for (const name of COMMANDS) expect(out()).toMatch(new RegExp(`^  ${name.split(' ')[0] ?? ''}\\b`, 'm'));
    const fs = fakeDeps();
    expect(await runCli(['fs', '--help'], fs.deps)).toBe(0);
    for (const verb of ['create', 'list', 'info', 'delete']) expect(fs.out()).toContain(`  ${verb} `);
  });

  test.each(COMMANDS)('%s --help', async (name) => {
    const { deps, out, err, calls } = fakeDeps();
    expect(await runCli([...name.split(' '), '--help'], deps)).toBe(0);
    expect(out()).toContain(`Usage: curvefs ${name} `);
    expect(err()).toBe('');
    expect(calls).toEqual([]);
  });

  test('--version', async () => {
    const { deps, out } = fakeDeps();
    expect(await runCli(['--version'], deps)).toBe(0);
    expect(out()).toBe('1.2.3\n');
  });
});

describe('wrong usage: exit code 2, one line, nothing done', () => {
  test.each([
    [[], 'curvefs: a command is missing'],
    [['fs'], 'curvefs fs: a command is missing'],
    [['nosuch'], "unknown command 'nosuch'"],
    [['fs', 'crate', 'x'], 'Did you mean create?'],
    [['status'], '--mds HOST:PORT[,HOST:PORT...] is required (or the environment variable CURVEFS_MDS)'],
    [['status', '--mds', 'nowhere'], '--mds: "nowhere" is not HOST:PORT'],
    [['status', '--nosuch'], "unknown option '--nosuch'"],
    [['status', ...MDS, 'extra', 'more'], 'too many arguments'],
    [['fs', 'list', ...MDS, '-o', 'yaml'], 'Allowed choices are table, json'],
    [['quota', 'set', 'd'], '--capacity or --inodes is required'],
    [['quota', 'get', 'd', '--fs', 'demo'], '--mds HOST:PORT[,HOST:PORT...] is required with --fs'],
    [['fs', 'info', ...MDS], "missing required argument 'NAME'"],
    [['fs', 'info', '../x', ...MDS], 'not a filesystem name'],
    [['fs', 'create', 'x', ...MDS], '--storage URL is required'],
    [['fs', 'create', 'x', ...MDS, '--storage', 'ftp://x'], '--storage "ftp://x"'],
    [['fs', 'create', 'x', ...MDS, '--storage', 'file:///o', '--region', 'r'], '--region is for s3://'],
    [['fs', 'create', 'x', ...MDS, '--storage', 'file:///o', '--block-size', '3MiB'], 'not a power of two'],
    [['fs', 'create', 'x', ...MDS, '--storage', 'file:///o', '--block-size', '1K'], 'below the minimum, 64KiB'],
    [['fs', 'create', 'x', ...MDS, '--storage', 'file:///o', '--root-mode', '9'], 'not an octal mode'],
    [['fs', 'create', 'x', ...MDS, '--storage', 'file:///o', '--root-owner', 'me'], 'not UID:GID'],
    [['fs', 'create', 'a b', ...MDS, '--storage', 'file:///o'], 'not a filesystem name'],
    [['standalone'], '--data-dir DIR is required'],
    [['standalone', '--data-dir', 'd', '--durability', 'x'], 'none of commit, relaxed'],
    [['metaserver', '--data-dir', 'd'], '--mds HOST:PORT[,HOST:PORT...] is required'],
  ])('%j', async (args, message) => {
    const { deps, out, err, calls } = fakeDeps();
    expect(await runCli(args, deps)).toBe(2);
    expect(err()).toContain(message);
    expect(err()).toMatch(/^curvefs[^\n]*: [^\n]+\n$/);
    expect(out()).toBe('');
    expect(calls.filter(([name]) => !['connectMds', 'close'].includes(name))).toEqual([]);
  });
});

describe('services', () => {
  test('standalone gets its configuration, with absolute paths', async () => {
    const { deps, calls } = fakeDeps();
    const args = ['standalone', '--data-dir', 'data', '--listen', '[::]:1', '--metrics', 'h:2', '--credentials', '/c'];
    expect(await runCli([...args, '--durability', 'relaxed', '--log', 'l'], deps)).toBe(0);
    expect(calls[0]).toMatchObject([
      'runStandalone',
      {
        dataDir: '/work dir/data',
        listen: { host: '::', port: 1 },
        metrics: { host: 'h', port: 2 },
        credentials: '/c',
        durability: 'relaxed',
        log: '/work dir/l',
        logLevel: 'info',
      },
    ]);
  });

  test("their exit code is the tool's", async () => {
    const { deps } = fakeDeps({ runMds: () => Promise.resolve(7) });
    expect(await runCli(['mds', '--data-dir', 'd'], deps)).toBe(7);
  });

  test('metaserver takes the MDS from the environment', async () => {
    const { deps, calls } = fakeDeps({ env: { CURVEFS_MDS: 'a:1,b:2' } });
    expect(await runCli(['metaserver', '--data-dir', '/d', '--advertise', 'me:9'], deps)).toBe(0);
    expect(calls[0]?.[1]).toMatchObject({ mds: [{ host: 'a' }, { host: 'b' }], advertise: { host: 'me', port: 9 } });
  });

  test('status', async () => {
    const { deps, calls, out } = fakeDeps();
    expect(await runCli(['status', ...MDS], deps)).toBe(0);
    expect(out()).toContain('m1          h:1      alive  2');
    expect(out()).toContain('warning: m1: low space');
    expect(calls.map(([name]) => name)).toEqual(['connectMds', 'status', 'close']);
    const json = fakeDeps();
    await runCli(['status', ...MDS, '-o', 'json'], json.deps);
    expect(JSON.parse(json.out())).toMatchObject({ role: 'mds', uptimeMs: 61_000 });
  });

  test('a failure is one line and exit code 1; the connection is closed', async () => {
    const { deps, calls, err } = fakeDeps({}, { status: () => Promise.reject(new Error('cannot reach\nthe MDS')) });
    expect(await runCli(['status', ...MDS], deps)).toBe(1);
    expect(err()).toBe('curvefs status: cannot reach the MDS\n');
    expect(calls.at(-1)).toEqual(['close']);
  });
});

describe('fs', () => {
  const create = ['fs', 'create', 'demo', ...MDS, '--storage'];

  test('create probes, then creates', async () => {
    const { deps, calls, out } = fakeDeps();
    const args = [...create, 's3://bucket/p', '--endpoint', 'http://s3:9', '--path-style', '--credentials', 'cred'];
    const limits = [
      '--capacity',
      '1T',
      '--inodes',
      '5',
      '--root-mode',
      '01777',
      '--root-owner',
      '7:8',
      '--block-size',
      '1MiB',
    ];
    expect(await runCli([...args, ...limits], deps)).toBe(0);
    expect(out()).toContain('created filesystem demo');
    const storage = {
      kind: 's3',
      bucket: 'bucket',
      prefix: 'p',
      endpoint: 'http://s3:9',
      region: 'us-east-1',
      pathStyle: true,
    };
    expect(calls).toEqual([
      ['connectMds', [{ host: 'h', port: 6700 }]],
      ['status'],
      ['probeStorage', storage, '/work dir/cred'],
      [
        'createFs',
        {
          name: 'demo',
          storage,
          blockSizeBytes: 1024 ** 2,
          capacityBytes: 1024 ** 4,
          inodesMax: 5,
          rootMode: 0o1777,
          rootUid: 7,
          rootGid: 8,
        },
      ],
      ['close'],
    ]);
  });

  test('create says which side cannot use the store', async () => {
    const failure = new ObjectError('no-bucket', 'write: bucket b does not exist');
    const { deps, calls, err } = fakeDeps({ probeStorage: () => Promise.reject(failure) });
    expect(await runCli([...create, 'file:///o'], deps)).toBe(1);
    expect(err()).toBe('curvefs fs create: the store cannot be used from this tool: write: bucket b does not exist\n');
    expect(calls.map(([name]) => name)).not.toContain('createFs');
  });

  test('list and info', async () => {
    const list = fakeDeps();
    expect(await runCli(['fs', 'list', ...MDS], list.deps)).toBe(0);
    expect(list.out()).toMatch(
      /^NAME +STORAGE.*\ndemo +file:\/\/\/srv\/objects +4\.00 MiB +no limit +1000 +127\.0\.0\.1:6701\n$/,
    );
    const json = fakeDeps();
    await runCli(['fs', 'list', ...MDS, '-o', 'json'], json.deps);
    expect(JSON.parse(json.out())).toEqual([{ ...DEMO, storageUrl: 'file:///srv/objects' }]);
    const info = fakeDeps();
    expect(await runCli(['fs', 'info', 'demo', ...MDS], info.deps)).toBe(0);
    expect(info.out()).toContain('Used:       unknown');
  });

  test.each([
    ['demo\n', 0, true],
    ['no', 1, false],
    [undefined, 1, false],
  ])('delete asks; answer %j', async (answer, code, deleted) => {
    const { deps, calls } = fakeDeps({ ask: () => Promise.resolve(answer) });
    expect(await runCli(['fs', 'delete', 'demo', ...MDS], deps)).toBe(code);
    expect(calls.some(([name]) => name === 'deleteFs')).toBe(deleted);
  });

  test('delete --yes does not ask', async () => {
    const { deps, calls } = fakeDeps();
    expect(await runCli(['fs', 'delete', 'demo', '--yes', ...MDS], deps)).toBe(0);
    expect(calls.map(([name]) => name)).toEqual(['connectMds', 'getFs', 'deleteFs', 'close']);
  });
});

describe('mounting', () => {
  test('mount hands over the configuration', async () => {
    const { deps, calls } = fakeDeps();
    expect(await runCli(['mount', 'h:1:/demo', 'mnt', '-o', 'ro', '-o', 'uploads=3', '--foreground'], deps)).toBe(0);
    const [, config, options] = calls[0] as [string, MountConfig, unknown];
    expect(config).toMatchObject({ mountpoint: '/work dir/mnt', readOnly: true, uploads: 3, log: undefined });
    expect(options).toEqual({ foreground: true });
  });

  test.each([
    [['mount', 'h:1:/demo'], 1, "missing required argument 'MOUNTPOINT'"],
    [['mount', 'h:1:/demo', '/m', '-o', 'cachedir=/x'], 1, 'did you mean "cache_dir"?'],
    [['mount', 'demo', '/m'], 1, 'form HOST:PORT'],
    [['umount'], 1, "missing required argument 'MOUNTPOINT'"],
    [['umount', '/m', '--timeout', 'x'], 1, '--timeout: "x" is not a duration'],
  ])('%j', async (args, code, message) => {
    const { deps, err, calls } = fakeDeps();
    expect(await runCli(args, deps)).toBe(code);
    expect(err()).toContain(message);
    expect(calls).toEqual([]);
  });

  test.each([
    [new MountError(2, 'no /dev/fuse'), 2],
    [new MountError(32, 'not mounted'), 32],
    [new TypeError('a bug'), 4],
    [new Error('other'), 32],
  ])('exit code of %s', async (error, code) => {
    const { deps, err } = fakeDeps({ unmount: () => Promise.reject(error) });
    expect(await runCli(['umount', '/m'], deps)).toBe(code);
    expect(err()).toBe(`curvefs umount: ${error.message}\n`);
  });

  test('umount', async () => {
    const { deps, calls } = fakeDeps();
    expect(await runCli(['umount', 'm', '--timeout', '2m'], deps)).toBe(0);
    expect(calls).toEqual([['unmount', '/work dir/m', { timeoutMs: 120_000, lazy: false }]]);
  });
});

describe('status of a mount', () => {
  const data = {
    dirtyBytes: 8192,
    failing: { inodes: 2, sinceMs: 0, lastError: 'AccessDenied' },
    sessionLost: 'the session is lost',
    leftJournals: { count: 3, paths: ['/c/refused/7', '/c/9'] },
  };
  const status = {
    version: 1,
    source: 'h:6700:/demo',
    mountpoint: '/work dir/mnt',
    cacheDir: '/c',
    state: 'serving',
    supervisorPid: 10,
    workerPid: 11,
    startedMs: Date.now(),
    data,
  };

  test('shows what is not uploaded and why', async () => {
    const mountStatus = () => Promise.resolve(status);
    const { deps, out } = fakeDeps({ mountStatus });
    expect(await runCli(['status', 'mnt'], deps)).toBe(0);
    expect(out().split('\n').slice(-8)).toEqual([
      expect.stringMatching(/^Cache: +\/c$/) as unknown,
      expect.stringMatching(/^Not uploaded: +8192 bytes$/) as unknown,
      'warning: the session is lost: nothing can be uploaded until the filesystem is mounted anew',
      'warning: uploads of 2 files fail since 1970-01-01T00:00:00.000Z: AccessDenied',
      'warning: data of an ended mount was not taken over and is kept in /c/refused/7',
      'warning: data of an ended mount was not taken over and is kept in /c/9',
      'warning: and in 1 more',
      '',
    ]);
    const json = fakeDeps({ mountStatus });
    expect(await runCli(['status', 'mnt', '-o', 'json'], json.deps)).toBe(0);
    expect(JSON.parse(json.out())).toEqual(status);
  });

  test('without a daemon is a failure', async () => {
    const { deps, err, calls } = fakeDeps();
    expect(await runCli(['status', 'mnt'], deps)).toBe(1);
    expect(err()).toBe('curvefs status: no curvefs daemon serves /work dir/mnt\n');
    expect(calls).toEqual([['mountStatus', '/work dir/mnt']]);
  });
});
