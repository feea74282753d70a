import { expect, test } from '@jest/globals';
import { Cluster, waitFor } from '../helpers/cluster.js';
import { built, describeIf, devFuse, root } from '../helpers/prerequisites.js';
import { ownS3Store } from '../helpers/test-store.js';
import type { MountStatus } from '../../src/client/launch/control-protocol.js';

const kernel = describeIf(root, devFuse, built);

kernel('curvefs status MOUNTPOINT', () => {
  test('shows uploads that the store refuses until they have succeeded', async () => {
    let server: Awaited<ReturnType<typeof ownS3Store>>['server'] | undefined;
    const cluster = await Cluster.create({
      openStore: async (dir) => {
        const store = await ownS3Store(dir);
        ({ server } = store);
        return store;
      },
    });
    try {
      await cluster.mount('mnt');
      const status = async (): Promise<MountStatus> => {
        const result = await cluster.curvefs(`status '${cluster.box.path('mnt')}' -o json`);
        expect(result).toMatchObject({ status: 0, stderr: '' });
        return JSON.parse(result.stdout) as MountStatus;
      };
      const idle = { dirtyBytes: 0, leftJournals: { count: 0, paths: [] } };
      expect(await status()).toMatchObject({ state: 'serving', source: cluster.source(), data: idle });
      await server!.addFault({ op: 'PutObject', count: -1, status: 403, code: 'AccessDenied' });
      const written = await cluster.box.run('echo text | dd of=mnt/f conv=fsync');
      expect(written.stderr).toContain('Input/output error');
      const failing = { inodes: 1, lastError: expect.stringContaining('AccessDenied') as unknown };
      expect((await status()).data).toMatchObject({ dirtyBytes: 5, failing });
      const text = await cluster.curvefs(`status '${cluster.box.path('mnt')}'`);
      expect(text.stdout).toMatch(
        /^Not uploaded: +5 bytes$[^]*^warning: uploads of 1 files fail since .*AccessDenied/m,
      );
      await server!.clearFaults();
      await cluster.box.sh('sync -f mnt/f; cat mnt/f');
      await waitFor(async () => (await status()).data?.dirtyBytes === 0, 40_000);
      expect((await status()).data).toEqual(idle);
    } finally {
      await cluster.close();
    }
    const gone = await cluster.curvefs("status '/mnt'");
    expect(gone).toMatchObject({ status: 1, stdout: '' });
  }, 120_000);
});
