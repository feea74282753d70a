import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { PROJECT_ROOT, type RunResult } from '../../helpers/kernel.js';
import { built, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const TEST_MAX_MS = 90_000;

/**
 * mount(8) with our helper. /sbin and /etc/fstab are replaced in the private mount namespace only: /usr/sbin by links to what it holds and to the helper, fstab by
 * a file of the test's own.
 */
describeIf(
  root,
  devFuse,
  built,
)('mount(8) and its helper', () => {
  let cluster: Cluster;
  const helper = `${PROJECT_ROOT}/mount.curvefs`;
  const run = (script: string): Promise<RunResult> =>
    cluster.box.run(script, { timeoutMs: 60_000, env: { CURVEFS_RUN_DIR: cluster.box.path('run') } });
  const sh = async (script: string): Promise<string> => {
    const result = await run(`set -e; ${script}`);
    if (result.status !== 0) throw new Error(`${script}: ${result.status}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  };
  let nextCache = 0;
  const options = (more = ''): string => {
    nextCache += 1;
    return `cache_dir=${cluster.cacheDir(`helper-${nextCache}`)}${more}`;
  };

  beforeAll(async () => {
    cluster = await Cluster.create();
    await sh(`
      mkdir sbin real mnt 'a mountpoint'
      sbin=$(readlink -f /sbin)
      mount --bind $sbin real
      for file in real/*; do ln -sf $PWD/$file sbin/; done
      ln -s ${helper} sbin/mount.curvefs
      ln -s ${helper} sbin/mount.fuse.curvefs
      mount --bind sbin $sbin
      touch fstab
      mount --bind fstab /etc/fstab
    `);
  }, TEST_MAX_MS);

  afterAll(async () => {
    await cluster.close();
  }, TEST_MAX_MS);

  test.each(['fuse.curvefs', 'curvefs'])(
    'mount -t %s mounts, shows the source as given, and umount loses nothing',
    async (type) => {
      await sh(`mount -t ${type} -o ${options(',noatime,nosuid')} ${cluster.source()} mnt`);
      expect(await sh('grep " $PWD/mnt " /proc/mounts')).toMatch(
        new RegExp(`^${cluster.source()} ${cluster.box.path('mnt')} fuse\\.curvefs rw,nosuid,noatime,`),
      );
      await sh(`head -c 30000000 /dev/urandom > ref-${type}; cp ref-${type} mnt/; umount mnt`);
      expect(cluster.box.isMounted(cluster.box.path('mnt'))).toBe(false);
      await cluster.waitNothingLeft();
      await sh(`mount -t ${type} -r -o ${options()} ${cluster.source()} mnt; cmp ref-${type} mnt/ref-${type}`);
      expect((await run('touch mnt/x')).stderr).toMatch(/Read-only file system/);
      await sh('umount mnt');
      await cluster.waitNothingLeft();
    },
    TEST_MAX_MS,
  );

  test(
    'lines of fstab mount by mountpoint, by source, and all at once',
    async () => {
      const source = cluster.source();
      await sh(`
        mount -t curvefs -o ${options()} ${source} mnt; mkdir -p 'mnt/sub dir'; echo inside > 'mnt/sub dir/file'; umount mnt
        {
          echo "${source} $PWD/mnt curvefs _netdev,nofail,noatime,x-systemd.mount-timeout=30,${options()} 0 0"
          echo "${source}/sub\\040dir $PWD/a\\040mountpoint fuse.curvefs ro,_netdev,noauto,${options()} 0 0"
        } > fstab
      `);
      await cluster.waitNothingLeft();
      await sh('mount mnt; echo by-fstab > mnt/file; umount mnt');
      await sh(`mount "$PWD/a mountpoint"; cat "a mountpoint/file"`).then((out) => expect(out).toBe('inside\n'));
      expect(await sh('grep mountpoint /proc/mounts')).toMatch(
        new RegExp(`^${source}/sub\\\\040dir ${cluster.box.dir}/a\\\\040mountpoint fuse\\.curvefs ro,`),
      );
      await sh(`umount "$PWD/a mountpoint"`);
      await cluster.waitNothingLeft();
      await sh('mount -a; cat mnt/file; mount -a').then((out) => expect(out).toBe('by-fstab\n'));
      await sh('umount mnt; : > fstab');
      await cluster.waitNothingLeft();
    },
    TEST_MAX_MS,
  );

  test(
    'umount right after a write, and a mount right after it with the same cache, lose nothing',
    async () => {
      const list = options(',writeback');
      for (let round = 0; round < 3; round++) {
        await sh(`mount -t curvefs -o ${list} ${cluster.source()} mnt`);
        await sh(`head -c 20000000 /dev/urandom > round-${round}; cp round-${round} mnt/; umount mnt`);
      }
      await sh(`mount -t curvefs -o ${list} ${cluster.source()} mnt`);
      await sh('for i in 0 1 2; do cmp round-$i mnt/round-$i; done; umount mnt');
      await cluster.waitNothingLeft(30_000);
      await sh(`mount -t curvefs -o ${options()} ${cluster.source()} mnt`);
      await sh('for i in 0 1 2; do cmp round-$i mnt/round-$i; done; umount mnt');
      await cluster.waitNothingLeft();
    },
    TEST_MAX_MS,
  );

  test(
    'the helper takes the arguments of mount(8) in any order',
    async () => {
      const source = cluster.source();
      await sh(`${helper} ${source} mnt -n -w -v -o ${options()} 2> verbose; grep -q mounting verbose; umount mnt`);
      await sh(`${helper} -o ${options()} -t fuse.curvefs ${source} mnt; umount mnt`);
      expect(await sh(`${helper} -f -v ${source} mnt 2>&1`)).toMatch(/would mount/);
      expect(cluster.box.isMounted(cluster.box.path('mnt'))).toBe(false);
      // -s: what is unknown is dropped
      await sh(`${helper} ${source} mnt -s -o ${options(',of_another_system')}; umount mnt`);
      expect((await run(`${helper} ${source} mnt -o ${options(',of_another_system')}`)).status).toBe(1);
      expect((await run(`${helper} ${source}`)).status).toBe(1);
      await cluster.waitNothingLeft();
    },
    TEST_MAX_MS,
  );

  test(
    'works with hardly any environment, as systemd starts it',
    async () => {
      const node = process.execPath;
      await sh(
        `env -i CURVEFS_NODE=${node} CURVEFS_RUN_DIR=$PWD/run sh -c 'cd / && exec mount.curvefs ${cluster.source()} ${cluster.box.path('mnt')} -o ${options()}'`,
      );
      await sh('umount mnt');
      await cluster.waitNothingLeft();
    },
    TEST_MAX_MS,
  );
});
