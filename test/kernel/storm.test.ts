import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

kernel('a name that is removed and made again all the time', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt');
  }, 90_000);
  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test.each([
    ['removed', 'os.unlink("name")'],
    ['replaced', 'os.close(os.open("tmp", os.O_CREAT | os.O_WRONLY)); os.rename("tmp", "name")'],
  ])(
    'can always be opened with O_CREAT, never ESTALE: %s',
    async (_how, change) => {
      const out = await cluster.box.sh(
        `cd mnt && python3 - <<'PYTHON'
import os, time, errno
end = time.time() + 8
child = os.fork()
counts = {}
while time.time() < end:
    try:
        if child: os.close(os.open("name", os.O_CREAT | os.O_RDWR))
        else:
            ${change}
        key = 'done'
    except OSError as e: key = errno.errorcode[e.errno]
    counts[key] = counts.get(key, 0) + 1
if child == 0: os._exit(0)
os.waitpid(child, 0)
print(sorted(k for k in counts if k != 'done'), counts['done'] > 100)
PYTHON`,
        { timeoutMs: 40_000 },
      );
      expect(out).toBe('[] True\n');
    },
    60_000,
  );
});
