import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster, waitFor } from '../../helpers/cluster.js';
import { built, describeIf, devFuse, having, root, type Prerequisite } from '../../helpers/prerequisites.js';
import { fileStore, ownS3Store, versitygwStore, type TestStore } from '../../helpers/test-store.js';
import { findVersitygw } from '../../helpers/versitygw.js';

/** The objects of a filesystem go in the background, at once. */
const DELETE_MAX_MS = 60_000;
/** Those of a removed file stay for two minutes, for readers that have its extents. */
const TRIM_MAX_MS = 180_000;
const TEST_MAX_MS = 240_000;
const long = process.env['CURVEFS_TEST_LONG'] === '1' ? test : test.skip;

/** Everything under a prefix of the store. */
async function objects(store: TestStore, prefix: string): Promise<string[]> {
  const opened = store.open(prefix);
  try {
    const keys: string[] = [];
    for (;;) {
      const page = await opened.list('', keys.at(-1) ?? '', 1000);
      if (page.length === 0) return keys;
      keys.push(...page.map(({ key }) => key));
    }
  } finally {
    await opened.close();
  }
}

function describeDelete(
  name: string,
  openStore: (dir: string) => Promise<TestStore>,
  ...needs: readonly Prerequisite[]
): void {
  describeIf(
    root,
    devFuse,
    built,
    ...needs,
  )(name, () => {
    let cluster: Cluster;
    /** Another installation that uses the same store, and by chance the same prefix and the same numbers. */
    let other: Cluster;

    beforeAll(async () => {
      cluster = await Cluster.create({ openStore });
      const { store } = cluster;
      const shared: TestStore = { ...store, createFlags: (prefix) => store.createFlags(prefix), stop: async () => {} };
      other = await Cluster.create({ openStore: () => Promise.resolve(shared) });
    }, TEST_MAX_MS);

    afterAll(async () => {
      await other.close();
      await cluster.close();
    }, TEST_MAX_MS);

    const remove = (fsName: string) => cluster.curvefs(`fs delete ${fsName} --yes --mds ${cluster.address}`);
    const put = async (prefix: string, keys: readonly string[]): Promise<void> => {
      const store = cluster.store.open(prefix);
      for (const key of keys) await store.put(key, Buffer.from(`foreign ${key}`));
      await store.close();
    };

    test(
      'is refused while the filesystem is mounted, and the mount does not notice',
      async () => {
        await cluster.mount('mnt');
        await cluster.box.sh('head -c 20000000 /dev/urandom > ref; cp ref mnt/file; mkdir mnt/dir; cp ref mnt/dir');
        const refused = await remove('test');
        expect(refused.status).toBe(1);
        expect(refused.stderr).toMatch(/^curvefs fs delete: [^\n]*mount[^\n]*\n$/);
        await cluster.box.sh('cmp ref mnt/file; echo more > mnt/dir/more; sync mnt/dir/more');
        await cluster.umount('mnt');
        await cluster.mount('mnt', { cacheDir: cluster.cacheDir('fresh') });
        await cluster.box.sh('cmp ref mnt/file; cmp ref mnt/dir/ref; [ "$(cat mnt/dir/more)" = more ]');
        await cluster.umount('mnt');
      },
      TEST_MAX_MS,
    );

    test(
      "removes the filesystem's objects and nobody else's",
      async () => {
        await other.mount('mnt');
        await other.box.sh('head -c 9000000 /dev/urandom > ref; cp ref mnt/file');
        await other.umount('mnt');
        const ids = new Set((await objects(cluster.store, 'test')).map((key) => key.split('/')[0]!));
        const own = await fsId(cluster, 'test');
        const others = await fsId(other, 'test');
        expect([...ids].sort()).toEqual([own, others].sort());

        await cluster.createFs('test-2');
        await put('', ['test.backup', 'test-1/1/0/0/1', 'unrelated/1/0/0/1', `tes/${own}/0/0/1`]);
        await put('test', [`${own}0/0/0/1`, `${own}-copy/0/0/1`, `0${own}/0/0/1`, 'readme']);
        const all = await objects(cluster.store, '');
        const doomed = all.filter((key) => key.startsWith(`test/${own}/`));
        expect(doomed.length).toBeGreaterThanOrEqual(10);

        expect(await remove('test')).toMatchObject({ status: 0, stderr: '' });
        const list = await cluster.curvefs(`fs list --mds ${cluster.address} -o json`);
        expect(list.stdout).not.toContain('"test"');
        await waitFor(async () => (await objects(cluster.store, `test/${own}`)).length === 0, DELETE_MAX_MS);
        expect(await objects(cluster.store, '')).toEqual(all.filter((key) => !doomed.includes(key)));

        const again = await remove('test');
        expect(again.status).toBe(1);
        expect(again.stderr).toMatch(/^curvefs fs delete: [^\n]*test[^\n]*\n$/);
        await other.mount('mnt', { cacheDir: other.cacheDir('fresh') });
        await other.box.sh('cmp ref mnt/file');
        await other.umount('mnt');
      },
      TEST_MAX_MS,
    );

    test(
      'leaves the name free for a new filesystem, which is empty',
      async () => {
        await cluster.createFs('test');
        await cluster.mount('mnt', { cacheDir: cluster.cacheDir('again') });
        expect(await cluster.box.sh('ls -A mnt')).toBe('');
        await cluster.umount('mnt');
      },
      TEST_MAX_MS,
    );

    long(
      'removed files free their objects too',
      async () => {
        const own = await fsId(cluster, 'test');
        const count = async (): Promise<number> => (await objects(cluster.store, `test/${own}`)).length;
        const before = await count();
        await cluster.mount('mnt', { cacheDir: cluster.cacheDir('again') });
        await cluster.box.sh('cp ref mnt/one; cp ref mnt/two');
        expect(await count()).toBeGreaterThanOrEqual(before + 10);
        await cluster.box.sh('rm mnt/one mnt/two');
        await waitFor(async () => (await count()) <= before, TRIM_MAX_MS);
        await cluster.umount('mnt');
      },
      TEST_MAX_MS,
    );
  });
}

async function fsId(cluster: Cluster, name: string): Promise<string> {
  const { stdout } = await cluster.curvefs(`fs info ${name} --mds ${cluster.address} -o json`);
  const { fs } = JSON.parse(stdout) as { fs: { id: number } };
  return String(fs.id);
}

const versitygw = await findVersitygw();
describeDelete("fs delete on the tests' own S3 server", ownS3Store);
describeDelete(
  'fs delete on versitygw',
  (dir) => versitygwStore(dir, versitygw!),
  having('versitygw, or Go to install it', versitygw !== undefined),
);
describeDelete('fs delete on a file store', (dir) => Promise.resolve(fileStore(`${dir}/objects`)));
