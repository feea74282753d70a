import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

kernel('quotas of directories', () => {
  let cluster: Cluster;
  const sh = (script: string, timeoutMs = 60_000): Promise<string> => cluster.box.sh(script, { timeoutMs });
  async function quota(args: string): Promise<string> {
    const { status, stdout, stderr } = await cluster.curvefs(`quota ${args}`);
    if (status !== 0) throw new Error(`quota ${args}: ${stderr}`);
    return stdout;
  }
  async function usage(path: string): Promise<{ usedBytes: number; usedInodes: number }> {
    const { usedBytes, usedInodes } = JSON.parse(await quota(`get '${cluster.box.path(path)}' -o json`)) as {
      usedBytes: number;
      usedInodes: number;
    };
    return { usedBytes, usedInodes };
  }

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt');
    await cluster.mount('other');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('write(2) says EDQUOT at the limit, and every byte that was taken is there', async () => {
    await sh('mkdir mnt/d');
    await quota(`set '${cluster.box.path('mnt/d')}' --capacity 8MiB`);
    const out = await sh(`cd mnt && python3 - <<'PYTHON'
import os, errno
fd = os.open('d/f', os.O_CREAT | os.O_WRONLY)
total = 0
try:
    while total < 64 << 20: total += os.write(fd, b'x' * 100000)
except OSError as error: print(errno.errorcode[error.errno])
os.fsync(fd); os.close(fd)
assert total == os.stat('d/f').st_size, (total, os.stat('d/f').st_size)
assert (8 << 20) - 4096 <= total <= 8 << 20, total
try: os.close(os.open('d/empty', os.O_CREAT | os.O_WRONLY))
except OSError as error: print('no empty file', errno.errorcode[error.errno])
fd = os.open('outside', os.O_CREAT | os.O_WRONLY); os.write(fd, b'y' * (16 << 20)); os.fsync(fd); os.close(fd)
PYTHON`);
    expect(out).toBe('EDQUOT\n');
    expect(await usage('mnt/d')).toEqual({ usedBytes: 8 << 20, usedInodes: 2 });
    // what is there may be written again, and what is removed makes room
    await sh(
      'cd mnt && dd if=/dev/zero of=d/f bs=64K count=16 conv=notrunc,fsync status=none && rm d/f && dd if=/dev/zero of=d/g bs=64K count=100 conv=fsync status=none',
    );
  }, 120_000);

  test('two mounts together stay below the limits', async () => {
    await sh('mkdir mnt/two');
    await quota(`set /two --fs test --mds ${cluster.address} --capacity 16MiB --inodes 20`);
    const writer = (mount: string): string => `python3 - ${mount} <<'PYTHON'
import os, sys, errno
mount = sys.argv[1]
made = written = 0
for i in range(30):
    try: fd = os.open('%s/two/%s%d' % (mount, mount, i), os.O_CREAT | os.O_WRONLY)
    except OSError as error:
        assert error.errno == errno.EDQUOT, error
        continue
    made += 1
    try: written += os.write(fd, b'z' * (2 << 20))
    except OSError as error: assert error.errno == errno.EDQUOT, error
    os.fsync(fd); os.close(fd)
print(made, written)
PYTHON`;
    const [a, b] = await Promise.all([sh(writer('mnt'), 90_000), sh(writer('other'), 90_000)]);
    const sums = [a, b].map((line) => line.trim().split(' ').map(Number));
    expect(sums[0]![0]! + sums[1]![0]!).toBe(20);
    const { usedBytes, usedInodes } = await usage('mnt/two');
    expect(usedInodes).toBe(20);
    expect(usedBytes).toBeLessThanOrEqual(16 << 20);
    expect(sums[0]![1]! + sums[1]![1]!).toBeGreaterThan(8 << 20);
  }, 150_000);

  test('df below the directory, and of a mount of it, shows the quota', async () => {
    await sh('mkdir -p mnt/df/sub');
    await quota(`set '${cluster.box.path('mnt/df')}' --capacity 1GiB --inodes 100`);
    expect(await sh("stat -f -c '%b %S %c' mnt/df/sub")).toBe('262144 4096 100\n');
    await cluster.mount('deep', { subdir: 'df' });
    expect(await sh("stat -f -c '%b %S %c %d' deep")).toBe('262144 4096 100 99\n');
    expect(await usage('deep')).toEqual({ usedBytes: 0, usedInodes: 1 });
    await cluster.umount('deep');
  }, 60_000);

  test('a quota on a tree with content counts it; mv takes trees along; delete lifts the limits', async () => {
    await sh('mkdir -p mnt/tree/a/b && cd mnt/tree && for i in $(seq 50); do echo $i > a/b/f$i; done && sync');
    await quota(`set '${cluster.box.path('mnt/tree')}' --inodes 60`);
    expect(await usage('mnt/tree')).toEqual({ usedBytes: 50 * 4096, usedInodes: 52 });
    await sh('mv mnt/tree/a mnt/moved');
    expect(await usage('mnt/tree')).toEqual({ usedBytes: 0, usedInodes: 0 });
    await sh('mv mnt/moved mnt/tree/a && echo x > mnt/tree/a/b/new');
    expect((await usage('mnt/tree')).usedInodes).toBe(53);
    await sh('cd mnt/tree && for i in $(seq 7); do mkdir n$i; done && ! mkdir n8 2>/dev/null');
    expect(await quota(`list '${cluster.box.path('mnt')}'`)).toContain('/tree');
    await quota(`delete '${cluster.box.path('mnt/tree')}'`);
    await sh('mkdir mnt/tree/n8');
    expect(await quota(`list '${cluster.box.path('mnt')}'`)).not.toContain('/tree');
  }, 90_000);

  test('a hard link does not leave the tree of its quota', async () => {
    await sh('mkdir mnt/h && touch mnt/h/f');
    await quota(`set '${cluster.box.path('mnt/h')}' --inodes 5`);
    expect(await sh('ln mnt/h/f mnt/h/g && ! ln mnt/h/f mnt/out 2>&1')).toContain('Invalid cross-device link');
  });
});
