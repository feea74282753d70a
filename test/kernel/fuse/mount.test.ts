import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { describeKernel, KernelSandbox } from '../../helpers/kernel.js';
import { buildNullFilesystem, mountNull, NULL_MAIN, NULL_PROBE } from './null-mount.js';

describeKernel('mounting', () => {
  let box: KernelSandbox;
  beforeAll(buildNullFilesystem, 120_000);
  beforeEach(async () => {
    box = await KernelSandbox.create();
  });
  afterEach(async () => {
    await box.close();
  }, 30_000);

  const probe = async (): Promise<string> =>
    (await box.sh(`'${process.execPath}' '${NULL_PROBE}' "$PWD/mnt"`, { timeoutMs: 10_000 })).trim();

  test.each([['addon'], ['command'], ['fusermount']])(
    'by %s, and unmounting on SIGTERM',
    async (method) => {
      const daemon = await mountNull(box, 'mnt', ['--mount', method]);
      expect(await box.sh('echo text > mnt/a; cat mnt/a; findmnt -n -o FSTYPE,SOURCE "$PWD/mnt"')).toMatch(
        /^text\nfuse\.nullfs\s+nullfs/,
      );
      daemon.kill('SIGTERM');
      expect(await daemon.stopped()).toBe(0);
      expect(box.isMounted(box.path('mnt'))).toBe(false);
    },
    30_000,
  );

  test.each([['addon'], ['command'], ['fusermount']])(
    'a failure by %s says why and leaves nothing',
    async (method) => {
      const daemon = box.spawn(process.execPath, [NULL_MAIN, box.path('none'), '--mount', method]);
      expect(await daemon.stopped()).toBe(1);
      expect(daemon.output).toMatch(/MountError.*(no such file|No such file)/i);
    },
    30_000,
  );

  test('a mount is told live from hung from dead from none', async () => {
    box.mkdir('mnt');
    expect(await probe()).toBe('none');
    const daemon = await mountNull(box, 'mnt', []);
    expect(await probe()).toBe('live');
    daemon.kill('SIGSTOP');
    expect(await probe()).toBe('hung');
    daemon.kill('SIGCONT');
    expect(await probe()).toBe('live');
    daemon.kill('SIGKILL');
    await daemon.stopped();
    expect(await probe()).toBe('dead');
    await box.unmount(box.path('mnt'));
    expect(await probe()).toBe('none');
  }, 60_000);
});
