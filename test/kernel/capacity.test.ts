import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

const CAPACITY = (24 << 20) + 5 * 4096;
const INODES = 64;

/** Python: writes `step` bytes in turn to each of the files until ENOSPC, then closes them, which must not fail; returns what was written. */
const FILL = `
import os, errno, sys
def fill(names, step, synced=False):
    fds = [os.open(n, os.O_CREAT | os.O_WRONLY | os.O_APPEND) for n in names]
    total = turn = 0
    while True:
        try: n = os.write(fds[turn % len(fds)], b'x' * step)
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
            break
        total += n
        turn += 1
    for fd in fds:
        if synced: os.fsync(fd)
        os.close(fd)
    return total
`;

kernel('a filesystem with --capacity and --inodes', () => {
  let cluster: Cluster;
  const python = (code: string): Promise<string> =>
    cluster.box.sh(`cd mnt && python3 - <<'PYTHON'\n${FILL}\n${code}\nPYTHON`, { timeoutMs: 60_000 });

  beforeAll(async () => {
    cluster = await Cluster.create({ fsOptions: `--capacity ${CAPACITY} --inodes ${INODES}` });
    await cluster.mount('mnt');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('takes as many bytes, says ENOSPC to write(2), and takes as many again after deletes', async () => {
    const out = await python(`
for names, step in ((['a'], 4096), (['a'], 1 << 20), (['a', 'b', 'c'], 4096), (['a', 'b', 'c', 'd'], 1 << 20)):
    total = fill(names, step, synced=True)
    print(total, sum(os.stat(n).st_size for n in names) - total)
    for n in names: os.unlink(n)
`);
    expect(out.trim().split('\n')).toEqual(Array.from({ length: 4 }, () => `${CAPACITY} 0`));
  }, 90_000);

  test('has as many inodes', async () => {
    const out = await python(`
for round in range(2):
    names = []
    try:
        while True:
            name = 'i%d' % len(names)
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
            names.append(name)
    except OSError as e: assert e.errno == errno.ENOSPC, e
    print(len(names))
    for n in names: os.unlink(n)
`);
    // The root directory is one of them.
    expect(out.trim().split('\n')).toEqual([`${INODES - 1}`, `${INODES - 1}`]);
  }, 60_000);
});
