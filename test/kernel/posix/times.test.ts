import { afterAll, beforeAll, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

/** Python: the access time is set to a time before all others, and read back after something was done. */
const PRELUDE = `
import os, sys, subprocess, time
OLD = 1_000_000_123_456_789
def age(path): os.utime(path, ns=(OLD, os.lstat(path).st_mtime_ns), follow_symlinks=False)
def atime(path): return os.lstat(path).st_atime_ns
def read(path): open(path, 'rb').read()
def moves(path, act):
    age(path)
    assert atime(path) == OLD, atime(path)
    act(path)
    return atime(path) > OLD
`;

kernel('access times', () => {
  let cluster: Cluster;
  const python = (mountpoint: string, code: string): Promise<string> =>
    cluster.box.sh(`cd '${mountpoint}' && python3 - <<'PYTHON'\n${PRELUDE}\n${code}\nPYTHON`);

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('make');
    await cluster.box.sh('cd make && echo content > file && mkdir dir && touch dir/entry && ln -s file link');
    await cluster.umount('make');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  const mounted = async (options: string, code: string): Promise<void> => {
    const name = options.replace(/\W/g, '-');
    await cluster.mount(name, { options });
    try {
      await python(name, code);
    } finally {
      await cluster.umount(name);
    }
  };

  test('relatime: reading, listing and readlink move what is older than the last change, and it stays after a remount', async () => {
    await mounted(
      'rw',
      `assert moves('file', read) and moves('dir', os.listdir) and moves('link', os.readlink)
later = time.time_ns() + 3600 * 10**9
os.utime('file', ns=(later, os.stat('file').st_mtime_ns))
read('file')
assert atime('file') == later
os.utime('file', ns=(OLD, os.stat('file').st_mtime_ns))
read('file')`,
    );
    await mounted('relatime', `assert atime('file') > OLD and atime('dir') > OLD`);
  }, 60_000);

  test('noatime, nodiratime, ro', async () => {
    await mounted('noatime', `assert not moves('file', read) and not moves('dir', os.listdir)`);
    await mounted('nodiratime', `assert moves('file', read) and not moves('dir', os.listdir)`);
    await mounted('rw,diratime', `age('file')`);
    await mounted('ro', `read('file'); assert atime('file') == OLD`);
  }, 90_000);

  test('strictatime: every read that is asked for; O_NOATIME: none', async () => {
    await mounted(
      'strictatime',
      `later = time.time_ns() - 5 * 10**9
os.utime('file', ns=(later, OLD))
read('file')
assert atime('file') > later
def quietly(path):
    f = os.open(path, os.O_RDONLY | os.O_NOATIME)
    os.read(f, 10)
    os.close(f)
assert not moves('file', quietly)`,
    );
  }, 60_000);

  test('birth time, nanoseconds, times before 1970 and after 2038', async () => {
    await mounted(
      'rw,suid',
      `before = time.time() - 2
open('born', 'w').close()
birth = float(subprocess.check_output(['stat', '-c', '%.W', 'born']))
assert before < birth < time.time() + 2, birth
for ns in (-1, -1_000_000_001, 2**33 * 10**9 + 7, 123):
    os.utime('born', ns=(ns, ns))
    assert (os.stat('born').st_atime_ns, os.stat('born').st_mtime_ns) == (ns, ns), ns
assert float(subprocess.check_output(['stat', '-c', '%.W', 'born'])) == birth`,
    );
  }, 60_000);
});
