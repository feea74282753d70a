import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { Cluster, CURVEFS } from '../helpers/cluster.js';
import { built, describeIf, devFuse, root } from '../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built);

kernel('the life of a mount', () => {
  let cluster: Cluster;
  const sh = (script: string, timeoutMs = 30_000): Promise<string> => cluster.box.sh(script, { timeoutMs });

  beforeAll(async () => {
    cluster = await Cluster.create();
  }, 60_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('what was written is there after umount and mount with an empty cache', async () => {
    await cluster.mount('m1');
    await sh(
      'cp -r /usr/include/linux m1/tree; head -c 10000000 /dev/urandom > ref; cp ref m1/big; echo last > m1/small',
    );
    await cluster.umount('m1');
    expect(cluster.box.isMounted(cluster.box.path('m1'))).toBe(false);
    await cluster.mount('m1', { cacheDir: cluster.box.path('cache', 'fresh') });
    await sh('diff -r /usr/include/linux m1/tree; cmp ref m1/big; [ "$(cat m1/small)" = last ]');
    await cluster.umount('m1');
  }, 120_000);

  test('the worker comes before programs that compute, its transfer threads behind it', async () => {
    await cluster.mount('nice');
    await sh('head -c 100000 /dev/urandom > nice/f; sync nice/f');
    const pid = cluster.pidOf('nice', 'worker');
    // stat(5): the nice value is the 17th field behind the name
    const nice = (await sh(`sed 's/.*) //' /proc/${pid}/task/*/stat | cut -d' ' -f17`)).trim().split('\n').map(Number);
    expect(nice[0]).toBe(-14);
    expect(nice).toContain(-7);
    await cluster.umount('nice');
  }, 60_000);

  test('plain umount(8) loses nothing', async () => {
    await cluster.mount('m2');
    await sh('cp ref m2/plain; umount m2', 60_000);
    await cluster.mount('m3');
    await sh('cmp ref m3/plain');
    await cluster.umount('m3');
  }, 120_000);

  test('umount of a busy mount is refused, and goes through when it is free', async () => {
    await cluster.mount('busy');
    const busy = await cluster.box.run(`cd busy && ${CURVEFS} umount '${cluster.box.path('busy')}'`, {
      env: { CURVEFS_RUN_DIR: cluster.box.path('run') },
    });
    expect(busy.status).toBe(32);
    expect(busy.stderr).toMatch(/busy/i);
    await sh('echo still here > busy/x; cat busy/x');
    await cluster.umount('busy');
  }, 90_000);

  test('a killed worker ends the mount with ENOTCONN; the next mount has all that was acknowledged', async () => {
    await cluster.mount('dead');
    // The writer still runs when the worker dies: what it wrote is in the journal only.
    await sh(
      "python3 -c \"import os,time; f=os.open('dead/kept', os.O_CREAT|os.O_WRONLY); os.write(f, b'k' * 3000000); open('written', 'w').close(); time.sleep(60)\" >/dev/null 2>&1 & while [ ! -e written ]; do sleep 0.05; done",
    );
    process.kill(cluster.pidOf('dead', 'worker'), 'SIGKILL');
    const dead = await cluster.box.run(
      'for i in $(seq 50); do stat dead/kept >/dev/null 2>err || { cat err; exit 7; }; sleep 0.1; done',
      { timeoutMs: 15_000 },
    );
    expect(dead.status).toBe(7);
    expect(dead.stdout).toMatch(/not connected|abort/);
    await cluster.mount('dead');
    expect(await sh('stat -c %s dead/kept; tr -d k < dead/kept | wc -c')).toBe('3000000\n0\n');
    await cluster.umount('dead');
  }, 120_000);

  test('the service may crash and come back under a mount', async () => {
    await cluster.mount('m4');
    await sh('echo before > m4/before');
    await cluster.restartService();
    await sh('echo after > m4/after; cat m4/before m4/after', 30_000);
    await cluster.umount('m4');
  }, 120_000);

  test('read-only', async () => {
    await cluster.mount('ro', { options: 'ro' });
    await sh(
      'cmp ref ro/plain; ! touch ro/x 2>/dev/null; ! rm ro/plain 2>/dev/null; grep " $PWD/ro " /proc/mounts | grep -q " ro,"',
    );
    await cluster.umount('ro');
  }, 60_000);

  test('a sub-directory', async () => {
    await cluster.mount('sub', { subdir: 'tree' });
    await sh(
      'diff -r /usr/include/linux sub; [ "$(stat -c %i sub)" = 1 ]; ls -la sub >/dev/null; touch sub/made-in-sub',
    );
    await cluster.umount('sub');
    const none = await cluster.tryMount('sub', { subdir: 'no/such' });
    expect(none).toMatchObject({ status: 32, timedOut: false });
    expect(none.stderr).toMatch(/no directory \/no\n/);
  }, 90_000);

  test('noxattr', async () => {
    await cluster.mount('nx', { options: 'noxattr' });
    const result = await cluster.box.run(`touch nx/f; python3 -c "import os; os.setxattr('nx/f', 'user.x', b'1')"`);
    expect(result.stderr).toMatch(/Operation not supported/);
    await cluster.umount('nx');
  }, 60_000);

  test('the JavaScript device', async () => {
    await cluster.mount('fb', { options: 'fuse_device=fallback' });
    await sh('cmp ref fb/plain; cp ref fb/copy; cmp ref fb/copy; ls -la fb');
    await cluster.umount('fb');
  }, 90_000);

  test('write-back: close does not wait, umount uploads', async () => {
    await cluster.mount('wb', { options: 'writeback' });
    await sh('cp ref wb/written-back; echo x > wb/gone; rm wb/gone');
    await cluster.umount('wb');
    await cluster.mount('wb2');
    await sh('cmp ref wb2/written-back');
    await cluster.umount('wb2');
  }, 90_000);

  test('SIGTERM to the supervisor uploads, unmounts and ends both processes', async () => {
    await cluster.mount('term', { options: 'writeback' });
    await sh('cp ref term/terminated');
    process.kill(cluster.pidOf('term', 'supervisor'), 'SIGTERM');
    await cluster.box.waitMounted(cluster.box.path('term'), false, 30_000);
    await cluster.mount('m5');
    await sh('cmp ref m5/terminated');
    await cluster.umount('m5');
  }, 90_000);

  test('the worker serves on when the supervisor is killed, and umount still works', async () => {
    await cluster.mount('orphan');
    process.kill(cluster.pidOf('orphan', 'supervisor'), 'SIGKILL');
    await sh('cp ref orphan/orphaned; cmp ref orphan/orphaned');
    const result = await cluster.curvefs(`umount '${cluster.box.path('orphan')}'`);
    expect(result).toMatchObject({ status: 0, stderr: expect.stringContaining('no supervisor') as unknown });
    expect(cluster.box.isMounted(cluster.box.path('orphan'))).toBe(false);
  }, 90_000);

  test('callers of a service that does not answer can be interrupted and killed', async () => {
    await cluster.mount('stuck');
    cluster.signalService('SIGSTOP');
    try {
      const result = await cluster.box.run(
        'timeout -s INT 1 mkdir stuck/a; echo $?; timeout -s KILL 1 cat stuck/none; echo $?',
        { timeoutMs: 15_000 },
      );
      expect(result).toMatchObject({ timedOut: false, stdout: '124\n137\n' });
    } finally {
      cluster.signalService('SIGCONT');
    }
    await sh('ls stuck');
    await cluster.umount('stuck');
  }, 90_000);
});

kernel('mounting what cannot be mounted', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.create();
    writeFileSync(cluster.box.path('file'), '');
  }, 60_000);
  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  const attempt = async (
    source: string,
    mountpoint: string,
    options = '',
  ): Promise<{ status: number | undefined; stderr: string }> => {
    const { status, stderr } = await cluster.curvefs(
      `mount '${source}' '${mountpoint}' -o 'cache_dir=${cluster.cacheDir('wrong')}${options}'`,
      20_000,
    );
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(cluster.box.isMounted(mountpoint)).toBe(false);
    return { status, stderr };
  };

  test('an unreachable MDS', async () => {
    const mnt = cluster.box.mkdir('mnt');
    expect(await attempt('127.0.0.1:1:/test', mnt)).toMatchObject({
      status: 32,
      stderr: expect.stringContaining('127.0.0.1:1') as unknown,
    });
  }, 30_000);

  test('an unknown filesystem', async () => {
    const mnt = cluster.box.mkdir('mnt');
    expect(await attempt(`${cluster.address}:/nothing`, mnt)).toMatchObject({
      status: 32,
      stderr: expect.stringContaining('nothing') as unknown,
    });
  }, 30_000);

  test('mountpoints that are missing or no directory', async () => {
    expect(await attempt(cluster.source(), cluster.box.path('missing'))).toMatchObject({ status: 32 });
    expect(await attempt(cluster.source(), cluster.box.path('file'))).toMatchObject({
      status: 32,
      stderr: expect.stringContaining('not a directory') as unknown,
    });
  }, 30_000);

  test('an option that does not exist, and a source that is none', async () => {
    const mnt = cluster.box.mkdir('mnt');
    expect(await attempt(cluster.source(), mnt, ',no_such_option')).toMatchObject({ status: 1 });
    expect(await attempt('nonsense', mnt)).toMatchObject({ status: 1 });
  }, 30_000);

  test('a store that is gone', async () => {
    const other = await Cluster.create();
    try {
      await other.box.sh('mv store elsewhere');
      const result = await other.tryMount('mnt');
      expect(result.status).toBe(32);
      expect(result.stderr).toMatch(/object store/);
      expect(result.stderr.trim().split('\n')).toHaveLength(1);
    } finally {
      await other.close();
    }
  }, 90_000);

  test('a second mount at the same place, and a second one with the same cache', async () => {
    await cluster.mount('once');
    const again = await cluster.tryMount('once', { cacheDir: cluster.cacheDir('another') });
    expect(again).toMatchObject({ status: 32, stderr: expect.stringContaining('already mounted') as unknown });
    const shared = await cluster.tryMount('twice', { cacheDir: cluster.cacheDir('once') });
    expect(shared).toMatchObject({ status: 32, stderr: expect.stringContaining('in use') as unknown });
    const inside = await cluster.tryMount('thrice', { cacheDir: cluster.box.path('thrice', 'cache') });
    expect(inside).toMatchObject({ status: 1, stderr: expect.stringContaining('inside the mountpoint') as unknown });
    await cluster.umount('once');
  }, 90_000);

  test('a mountpoint whose detached mount has open files', async () => {
    await cluster.mount('detached');
    const holder = cluster.box.spawn('sh', [
      '-c',
      `exec 3>'${cluster.box.path('detached', 'f')}'; echo open; exec sleep 60`,
    ]);
    await holder.waitFor(/open/);
    await cluster.box.sh('umount -i -l detached');
    const again = await cluster.tryMount('detached', { cacheDir: cluster.cacheDir('another') });
    expect(again).toMatchObject({
      status: 32,
      stderr: expect.stringMatching(
        /detached, and its daemon \(pid \d+\) waits until the files that are open there are closed\n$/,
      ) as unknown,
    });
    holder.kill('SIGKILL');
    await cluster.waitNothingLeft();
    await cluster.mount('detached', { cacheDir: cluster.cacheDir('another') });
    await cluster.umount('detached');
  }, 90_000);

  test('what is written after a lazy unmount is uploaded at the end, within the time that was given', async () => {
    await cluster.mount('lazy', { options: 'writeback' });
    const file = cluster.box.path('lazy', 'f');
    const go = cluster.box.path('go');
    const script = `exec 3>'${file}'; echo one >&3; echo open; until [ -e '${go}' ]; do sleep 0.1; done; echo two >&3`;
    const holder = cluster.box.spawn('sh', ['-c', script]);
    await holder.waitFor(/open/);
    await cluster.umount('lazy', '--lazy --timeout 30s');
    writeFileSync(go, '');
    await holder.stopped();
    await cluster.waitNothingLeft();
    await cluster.mount('lazy', { cacheDir: cluster.cacheDir('empty') });
    expect(await cluster.box.sh('cat lazy/f')).toBe('one\ntwo\n');
    await cluster.umount('lazy');
  }, 90_000);

  test('a credentials file that cannot be used, whether the store needs one or not', async () => {
    const mnt = cluster.box.mkdir('mnt');
    expect(await attempt(cluster.source(), mnt, ',credentials=/no/such/file')).toMatchObject({
      status: 32,
      stderr: expect.stringContaining('credentials file /no/such/file') as unknown,
    });
  }, 30_000);

  test('a metrics port that is in use', async () => {
    const mnt = cluster.box.mkdir('mnt');
    const address = cluster.address;
    expect(await attempt(cluster.source(), mnt, `,metrics=${address}`)).toMatchObject({
      status: 32,
      stderr: expect.stringContaining(
        `metrics cannot be served on ${address}: another program listens there`,
      ) as unknown,
    });
  }, 30_000);

  test('umount of what is not mounted', async () => {
    const result = await cluster.curvefs(`umount '${cluster.box.mkdir('plain')}'`);
    expect(result).toMatchObject({ status: 32, stderr: expect.stringContaining('not mounted') as unknown });
  }, 30_000);
});
