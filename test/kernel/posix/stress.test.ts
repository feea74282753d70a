import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const LONG = process.env['CURVEFS_TEST_LONG'] === '1';
const SECONDS = LONG ? 60 : 5;

/**
 * stress-ng's filesystem stressors that apply to a mount; a group runs side by side. Left out is what needs an interface that FUSE has not (chattr, fiemap, inode-flags, verity), what makes
 * no files in the directory given (binderfs, bind-mount, eventfd, procfs, …), and fanotify, which watches the host.
 */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  names: ['dentry', 'dir', 'dirdeep', 'dirmany', 'filename', 'getdent', 'link', 'symlink', 'rename', 'mknod'],
  attributes: ['access', 'chdir', 'chmod', 'chown', 'fstat', 'touch', 'utime', 'xattr', 'fcntl', 'file-ioctl'],
  content: ['copy-file', 'fallocate', 'fpunch', 'fsize', 'hdd', 'iomix', 'seek', 'sync-file', 'readahead'],
  handles: ['open', 'dup', 'flock', 'lockf', 'locka', 'lockofd', 'lease', 'inotify', 'io', 'handle'],
};

/** Sizes that fit seconds. */
const SIZES = [
  '--dentries 100',
  '--dirdeep-inodes 300',
  '--copy-file-bytes 128M',
  '--fallocate-bytes 16M',
  '--hdd-bytes 16M',
  '--iomix-bytes 16M',
  '--seek-size 4M',
  '--sync-file-bytes 16M',
  '--readahead-bytes 16M',
].join(' ');

const kernel = describeIf(root, devFuse, built, command('stress-ng'));

kernel('stress-ng on a mount', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt', { options: 'suid,dev' });
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  for (const [group, stressors] of Object.entries(GROUPS)) {
    test(
      `${group}: ${stressors.join(', ')}`,
      async () => {
        const run = stressors.map((stressor) => `--${stressor} 1`).join(' ');
        const result = await cluster.box.run(
          `mkdir mnt/${group} && cd mnt/${group} && stress-ng ${run} ${SIZES} --timeout ${SECONDS}s --verify --temp-path .`,
          { timeoutMs: (SECONDS + 60) * 1000 },
        );
        expect(result.timedOut).toBe(false);
        const output = (result.stdout + result.stderr).split('\n');
        expect(output.filter((line) => /fail|error|unsuccessful|killed/i.test(line))).toEqual([]);
        expect(result.status).toBe(0);
      },
      (SECONDS + 70) * 1000,
    );
  }
});
