import { beforeAll, describe, expect, test } from '@jest/globals';
import { describeKernel, KernelSandbox } from '../../helpers/kernel.js';
import { buildNullFilesystem, NULL_MAIN, NULL_SUPERVISOR, POOL, READ_HANGING, UNTIL_HANGING } from './null-mount.js';

describeKernel('a worker that dies under a supervisor', () => {
  beforeAll(buildNullFilesystem, 120_000);

  describe.each(['native', 'fallback'])('%s device', (device) => {
    test('is replaced without an unmount, and what it had not answered is sent again', async () => {
      const box = await KernelSandbox.create();
      try {
        const mnt = box.mkdir('mnt');
        const args = [NULL_SUPERVISOR, NULL_MAIN, mnt, box.path('state.json'), '--device', device];
        const supervisor = box.spawn(process.execPath, args, { env: POOL });
        await supervisor.waitFor(/^ready$/m);
        await box.sh(': > mnt/.hang');
        // The reader waits in the first worker. The second one does not know the node: an answer all the same, and not a lost request.
        const reader = box.run(READ_HANGING, { timeoutMs: 20_000 });
        await box.sh(UNTIL_HANGING, { timeoutMs: 10_000 });
        const worker = Number((await supervisor.waitFor(/^worker (\d+)$/m))[1]);
        process.kill(worker, 'SIGKILL');
        const result = await reader;
        expect(result).toMatchObject({ timedOut: false, status: 1 });
        expect(result.stderr).toMatch(/Stale file handle/);
        expect(await box.sh('echo new > mnt/file; cat mnt/file', { timeoutMs: 10_000 })).toBe('new\n');
        await box.sh('umount mnt', { timeoutMs: 10_000 });
        expect(await supervisor.stopped()).toBe(0);
        expect(supervisor.output).toContain('ended unmounted');
      } finally {
        await box.close();
      }
    }, 60_000);
  });
});
