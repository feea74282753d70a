import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from '../helpers/cluster.js';
import { PROJECT_ROOT } from '../helpers/kernel.js';
import { built, command, describeIf, devFuse, having, root } from '../helpers/prerequisites.js';

const installed = having('npm package fuse-native', existsSync(join(PROJECT_ROOT, 'node_modules', 'fuse-native')));

describeIf(
  root,
  devFuse,
  built,
  installed,
  command('fusermount'),
)('driver=fuse-native', () => {
  let cluster: Cluster;
  const sh = (script: string, timeoutMs = 30_000): Promise<string> =>
    cluster.box.sh(`set -e; ${script}`, { timeoutMs });

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt', { options: 'driver=fuse-native' });
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test.each([
    ['allow_other', 'user who mounted'],
    ['squash=root', 'who calls'],
    ['noexec', 'mount(2)'],
  ])(
    '%s is refused, with the reason',
    async (option, reason) => {
      const result = await cluster.tryMount('refused', { options: `driver=fuse-native,${option}` });
      expect(result.status).toBe(1);
      expect(result.stderr).toContain(reason);
    },
    30_000,
  );

  test('files, directories, links, renames', async () => {
    const out = await sh(`cd mnt; echo hello > a; cat a; mkdir -p d/e; mv a d/e/b; ln -s e/b d/l; readlink d/l; cat d/l
      ln d/e/b d/hard; stat -c '%h %s' d/hard; rm d/hard; chmod 640 d/e/b; stat -c %a d/e/b
      echo more >> d/l; cat d/e/b; : > d/e/b; stat -c %s d/e/b; mkfifo p; stat -c %F p; rm -r d p; ls -A`);
    expect(out).toBe('hello\ne/b\nhello\n2 6\n640\nhello\nmore\n0\nfifo\n');
  });

  test('sparse files beyond 4 GiB, shared mmap, unlinked files', async () => {
    await sh(`cd mnt; python3 - <<'PYTHON'
import os, mmap
f = os.open('sparse', os.O_RDWR | os.O_CREAT)
os.pwrite(f, b'far away', 5 << 30)
assert os.fstat(f).st_size == (5 << 30) + 8 and os.pread(f, 8, 5 << 30) == b'far away'
assert os.pread(f, 10, 1 << 30) == bytes(10)
os.ftruncate(f, 100000); assert os.fstat(f).st_size == 100000
with mmap.mmap(f, 100000) as m: m[65536:65540] = b'last'; m.flush()
assert os.pread(f, 4, 65536) == b'last'
os.unlink('sparse'); os.pwrite(f, b'gone', 0); assert os.pread(f, 4, 0) == b'gone'
os.close(f)
PYTHON`);
  });

  test('touch sets the current time; explicit times are refused rather than mixed up', async () => {
    await sh(
      'cd mnt; touch now; ! touch -d 2001-01-01 now 2>/dev/null; [ $(($(date +%s) - $(stat -c %Y now))) -lt 60 ]',
    );
  });

  test('statfs has room', async () => {
    const [free, size] = (await sh("stat -f -c '%a %S' mnt")).trim().split(' ').map(Number);
    expect(free! * size!).toBeGreaterThan(2 ** 40);
  });

  test('content survives unmount and a mount with the other driver', async () => {
    await sh(
      'head -c 9000001 /dev/urandom > ref; cp ref mnt/copy; cp -r /usr/include/linux/netfilter mnt/tree',
      60_000,
    );
    await cluster.umount('mnt');
    await cluster.mount('kernel');
    await sh('cmp ref kernel/copy; diff -r /usr/include/linux/netfilter kernel/tree');
    await cluster.umount('kernel');
  }, 120_000);
});
