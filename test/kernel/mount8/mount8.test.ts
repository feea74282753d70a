import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';
import { runProgram } from '../../helpers/run-program.js';

describeIf(
  root,
  devFuse,
  built,
  command('unshare'),
)('mount(8)', () => {
  test('mounts by type and by fstab, remounts, fakes, and returns the codes of the helper', async () => {
    const work = mkdtempSync(join(tmpdir(), 'curvefs-mount8-'));
    const script = resolve('test/kernel/mount8/mount8.sh');
    // with the namespaces the kernel ends what the script left running or mounted
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const run = await runProgram('unshare', [...namespaces, 'bash', script, resolve('.'), work], {
      timeoutMs: 150_000,
    });
    rmSync(work, { recursive: true });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    const steps = Object.fromEntries(
      run.stdout
        .trimEnd()
        .split('\n')
        .map((line) => /^(\S+) (\d+) ?(.*)$/.exec(line))
        .map((match) => [match?.[1], [Number(match?.[2]), match?.[3]]]),
    ) as Record<string, readonly [number, string]>;
    const flags = 'user_id=0,group_id=0,default_permissions,allow_other 0 0';
    for (const type of ['curvefs', 'fuse.curvefs']) {
      expect(steps).toMatchObject({
        [`mount-${type}`]: [0, ''],
        [`shown-${type}`]: [0, `SOURCE MNT fuse.curvefs rw,noatime,${flags}`],
        [`write-${type}`]: [0, 'text'],
        [`remount-${type}`]: [0, ''],
        [`refused-${type}`]: [2, expect.stringContaining('Read-only file system')],
        [`umount-${type}`]: [0, ''],
      });
    }
    expect(steps).toMatchObject({
      fstab: [0, ''],
      'fstab-shown': [0, `SOURCE MNT fuse.curvefs rw,nosuid,nodev,noexec,relatime,${flags}`],
      'fstab-read': [0, 'text'],
      twice: [32, expect.stringContaining('already mounted')],
      'tool-umount': [0, expect.anything()],
      'unknown-filesystem': [32, expect.stringContaining('nope')],
      'unknown-option': [1, expect.stringContaining('did you mean "cache_size"?')],
      'no-mds': [32, expect.stringContaining('cannot reach the MDS at 127.0.0.1:1')],
      fake: [0, ''],
      'not-mounted': [32, ''],
      service: [0, ''],
    });
  }, 180_000);
});
