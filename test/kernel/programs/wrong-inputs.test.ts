import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { chmodSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { Cluster, CURVEFS } from '../../helpers/cluster.js';
import { PROJECT_ROOT, type RunResult } from '../../helpers/kernel.js';
import { built, describeIf, devFuse, root } from '../../helpers/prerequisites.js';
import type { S3Process } from '../../helpers/s3-server/s3-process.js';
import { ownS3Store, writeCredentials } from '../../helpers/test-store.js';

/** Nothing takes longer to fail, and nothing is left after it. */
const FAIL_MAX_MS = 15_000;
const TEST_MAX_MS = 60_000;

describeIf(
  root,
  devFuse,
  built,
)('wrong inputs', () => {
  let cluster: Cluster;
  let server: S3Process;
  /** A port that accepts and never says a word. */
  let mute: Server;
  let mutePort: number;

  beforeAll(async () => {
    cluster = await Cluster.create({
      openStore: async (dir) => {
        const store = await ownS3Store(dir);
        server = store.server;
        return store;
      },
    });
    await cluster.box.sh('mkdir mnt; echo file > file');
    writeCredentials(cluster.box.path('wrong'), { accessKeyId: server.accessKeyId, secretAccessKey: 'not-the-secret' });
    writeCredentials(cluster.box.path('unknown'), { accessKeyId: 'AKIDNOBODY', secretAccessKey: 'x' });
    chmodSync(writeCredentials(cluster.box.path('open'), server), 0o644);
    mute = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    mutePort = (mute.address() as { port: number }).port;
  }, TEST_MAX_MS);

  afterAll(async () => {
    mute.close();
    await cluster.close();
  }, TEST_MAX_MS);

  let startMs: number;
  beforeEach(() => {
    startMs = Date.now();
  });
  afterEach(async () => {
    await server.clearFaults();
    expect(cluster.box.isMounted(cluster.box.path('mnt'))).toBe(false);
    try {
      await cluster.waitNothingLeft(Math.max(0, startMs + FAIL_MAX_MS - Date.now()));
    } finally {
      // what one test left must not fail the next
      await cluster.box.run('umount -i -l mnt twice; rm -rf run');
    }
  }, TEST_MAX_MS);

  const run = (command: string): Promise<RunResult> =>
    cluster.box.run(command, { timeoutMs: FAIL_MAX_MS, env: { CURVEFS_RUN_DIR: cluster.box.path('run') } });

  /** Fails with one line on stderr, which matches, and nothing on stdout. */
  const expectFailure = (result: RunResult, status: number, reason: RegExp): void => {
    expect(result).toMatchObject({ status, stdout: '', timedOut: false });
    expect(result.stderr).toMatch(/^[^\n]+\n$/);
    expect(result.stderr).toMatch(reason);
  };

  type Make = () => { readonly source?: string; readonly at?: string; readonly options?: string };

  const mounts: [what: string, make: Make, status: number, reason: RegExp][] = [
    ['an MDS that nobody runs', () => ({ source: '127.0.0.1:1:/test' }), 32, /127\.0\.0\.1:1\b/],
    ['a host name that does not exist', () => ({ source: 'no.such.host.invalid:6700:/test' }), 32, /no\.such\.host/],
    ['an unknown filesystem', () => ({ source: `${cluster.address}:/nothing` }), 32, /nothing/],
    ['a directory that is missing', () => ({ source: `${cluster.source()}/no/such` }), 32, /no/],
    ['a source that is none', () => ({ source: 'nonsense' }), 1, /nonsense/],
    ['a filesystem name that is none', () => ({ source: `${cluster.address}:/` }), 1, /name/],
    ['an unknown option', () => ({ options: 'cache_sise=1G' }), 1, /cache_sise.*did you mean "cache_size"/],
    ['a bad value', () => ({ options: 'cache_size=lots' }), 1, /cache_size/],
    ['an option without its value', () => ({ options: 'journal_size' }), 1, /journal_size/],
    ['a mountpoint that is missing', () => ({ at: 'missing' }), 32, /missing does not exist/],
    ['a mountpoint that is a file', () => ({ at: 'file' }), 32, /file is not a directory/],
    [
      'a wrong secret',
      () => ({ options: `credentials=${cluster.box.path('wrong')}` }),
      32,
      /object store.*(S|s)ignature/,
    ],
    ['an unknown access key', () => ({ options: `credentials=${cluster.box.path('unknown')}` }), 32, /object store/],
    [
      'a credentials file for all to read',
      () => ({ options: `credentials=${cluster.box.path('open')}` }),
      32,
      /chmod 600/,
    ],
    ['a credentials file that is missing', () => ({ options: 'credentials=/no/such/file' }), 32, /\/no\/such\/file/],
  ];

  test.each(mounts)(
    'mounting with %s',
    async (_what, make, status, reason) => {
      const { source = cluster.source(), at = 'mnt', options } = make();
      const credentials = `credentials=${cluster.store.credentialsFile!}`;
      const list = [`cache_dir=${cluster.cacheDir('wrong')}`, credentials, options].filter(Boolean).join(',');
      expectFailure(await run(`${PROJECT_ROOT}/mount.curvefs '${source}' ${at} -o '${list}'`), status, reason);
    },
    TEST_MAX_MS,
  );

  test(
    'an MDS that accepts and never answers',
    async () => {
      const [mount, status] = await Promise.all([
        run(`${PROJECT_ROOT}/mount.curvefs 127.0.0.1:${mutePort}:/test mnt -o cache_dir=${cluster.cacheDir('wrong')}`),
        run(`${CURVEFS} status --mds 127.0.0.1:${mutePort}`),
      ]);
      expectFailure(mount, 32, /127\.0\.0\.1:\d+/);
      expectFailure(status, 1, /127\.0\.0\.1:\d+/);
    },
    TEST_MAX_MS,
  );

  test(
    'mounting with a bucket that is gone, and with a store that fails',
    async () => {
      const mount = `${PROJECT_ROOT}/mount.curvefs ${cluster.source()} mnt -o cache_dir=${cluster.cacheDir('wrong')},credentials=${cluster.store.credentialsFile!}`;
      await server.addFault({ status: 404, code: 'NoSuchBucket', count: -1 });
      expectFailure(await run(mount), 32, /object store.*bucket/i);
      await server.clearFaults();
      await server.addFault({ action: 'hang', count: -1 });
      expectFailure(await run(mount), 32, /object store/);
      await server.clearFaults();
      await server.addFault({ op: 'PutObject', status: 403, code: 'AccessDenied', count: -1 });
      expectFailure(await run(mount), 32, /object store.*(AccessDenied|denied)/i);
    },
    TEST_MAX_MS,
  );

  test(
    'mounting twice, with one cache for two, and over a mount that is dead',
    async () => {
      await cluster.mount('twice');
      const options = (cache: string): string =>
        `-o cache_dir=${cluster.cacheDir(cache)},credentials=${cluster.store.credentialsFile!}`;
      expectFailure(
        await run(`${PROJECT_ROOT}/mount.curvefs ${cluster.source()} twice ${options('another')}`),
        32,
        /already mounted/,
      );
      expectFailure(
        await run(`${PROJECT_ROOT}/mount.curvefs ${cluster.source()} mnt ${options('twice')}`),
        32,
        /in use/,
      );
      expect(await cluster.box.sh('echo works > twice/file; cat twice/file')).toBe('works\n');

      // all of it at once: nobody is left to clean up
      for (const { pid } of cluster.mountProcesses()) process.kill(pid, 'SIGKILL');
      // a request that is under way just then is aborted, which is another errno
      expect(
        await run('until stat twice/file 2>&1 | grep -q "endpoint is not connected"; do sleep 0.05; done'),
      ).toMatchObject({ status: 0 });
      await cluster.mount('twice');
      expect(await cluster.box.sh('cat twice/file; grep -c " $PWD/twice " /proc/mounts')).toBe('works\n1\n');

      for (const { pid } of cluster.mountProcesses()) process.kill(pid, 'SIGKILL');
      const umount = await run(`${CURVEFS} umount twice`);
      expect(umount.status).toBe(0);
      expect(cluster.box.isMounted(cluster.box.path('twice'))).toBe(false);
      expectFailure(await run(`${CURVEFS} umount twice`), 32, /not mounted/);
      startMs = Date.now();
    },
    TEST_MAX_MS,
  );

  const creates: [what: string, flags: () => string, status: number, reason: RegExp][] = [
    ['a bucket that is missing', () => `--storage s3://no-such-bucket ${s3()}`, 1, /this tool.*no-such-bucket/],
    ['a wrong secret', () => `--storage s3://curvefs-test ${s3('wrong')}`, 1, /this tool.*signature/i],
    ['an unknown access key', () => `--storage s3://curvefs-test ${s3('unknown')}`, 1, /this tool/],
    ['a credentials file for all to read', () => `--storage s3://curvefs-test ${s3('open')}`, 1, /chmod 600/],
    [
      'an endpoint that nobody runs',
      () => `--storage s3://bucket --endpoint http://127.0.0.1:1 --path-style`,
      1,
      /127/,
    ],
    ['a storage that is none', () => '--storage ftp://somewhere', 2, /ftp/],
    ['a relative directory', () => '--storage file://relative/dir', 2, /relative|absolute/],
    ['a directory that cannot be made', () => `--storage file://${cluster.box.path('file/x')}`, 1, /this tool/],
    ['a block size that is no power of two', () => '--storage file:///tmp/x --block-size 3MiB', 2, /power of two/],
    ['an unknown flag', () => '--storage file:///tmp/x --no-such-flag', 2, /no-such-flag/],
    ['no storage', () => '', 2, /storage/],
  ];
  const s3 = (file?: string): string =>
    `--endpoint ${server.endpoint} --region us-east-1 --path-style --credentials ${file === undefined ? cluster.store.credentialsFile! : cluster.box.path(file)}`;

  test.each(creates)(
    'fs create with %s',
    async (_what, flags, status, reason) => {
      expectFailure(await run(`${CURVEFS} fs create wrong --mds ${cluster.address} ${flags()}`), status, reason);
      const { stdout } = await cluster.curvefs(`fs list --mds ${cluster.address} -o json`);
      expect(stdout).not.toContain('"wrong"');
    },
    TEST_MAX_MS,
  );

  const admin: [what: string, args: () => string, status: number, reason: RegExp][] = [
    ['status of an MDS that nobody runs', () => 'status --mds 127.0.0.1:1', 1, /127\.0\.0\.1:1\b/],
    ['status of no MDS', () => 'status --mds nonsense:', 2, /nonsense/],
    ['a command that does not exist', () => 'fs destroy x', 2, /destroy/],
    ['info of an unknown filesystem', () => `fs info nothing --mds ${cluster.address}`, 1, /nothing/],
    ['deleting an unknown filesystem', () => `fs delete nothing --yes --mds ${cluster.address}`, 1, /nothing/],
    ['deleting without an answer', () => `fs delete test --mds ${cluster.address} < /dev/null`, 1, /confirm/],
    [
      'a name that is taken',
      () => `fs create test --mds ${cluster.address} --storage s3://curvefs-test ${s3()}`,
      1,
      /exists/,
    ],
    ['unmounting what is not there', () => 'umount missing', 32, /missing does not exist/],
    ['unmounting a directory', () => 'umount mnt', 32, /mnt is not mounted/],
    [
      'a data directory that is in use',
      () => `standalone --data-dir ${cluster.box.path('service')} --listen 127.0.0.1:0`,
      1,
      /in use|locked/,
    ],
    [
      'an address that is in use',
      () => `standalone --data-dir ${cluster.box.path('data-2')} --listen ${cluster.address}`,
      1,
      /in use/,
    ],
  ];

  test.each(admin)(
    '%s',
    async (_what, args, status, reason) => {
      const result = await run(`${CURVEFS} ${args()}`);
      // Not the reason: the question whether to delete, and the log of a service that began to start.
      const stderr = result.stderr.replace(/^(This deletes [^\n]*|\{[^\n]*\})\n/gm, '');
      expectFailure({ ...result, stderr }, status, reason);
    },
    TEST_MAX_MS,
  );
});
