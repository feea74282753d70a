import { afterAll, beforeAll, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

const PRELUDE = `
import ctypes, errno, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
def fallocate(f, mode, offset, length):
    return 0 if libc.fallocate(f, mode, offset, length) == 0 else ctypes.get_errno()
def make(name, content=b'', flags=0):
    f = os.open(name, os.O_RDWR | os.O_CREAT | flags)
    os.write(f, content)
    return f
def kib(f): return os.fstat(f).st_blocks // 2
MIB = 1 << 20
`;

kernel('ranges of files', () => {
  let cluster: Cluster;
  const python = (code: string): Promise<string> =>
    cluster.box.sh(`cd mnt && python3 - <<'PYTHON'\n${PRELUDE}\n${code}\nPYTHON`, { timeoutMs: 60_000 });

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('fallocate: sizes and blocks of every mode, and those that are refused', async () => {
    await python(`
f = make('modes')
assert fallocate(f, 0, 0, 10 * MIB) == 0
assert os.fstat(f).st_size == 10 * MIB and kib(f) == 10 * 1024, kib(f)
assert fallocate(f, 1, 10 * MIB, 2 * MIB) == 0
assert os.fstat(f).st_size == 10 * MIB and kib(f) == 12 * 1024
os.pwrite(f, b'x' * MIB, 0); os.fsync(f)
assert kib(f) == 12 * 1024, kib(f)
assert fallocate(f, 3, 0, 4 * MIB) == 0
assert os.fstat(f).st_size == 10 * MIB and kib(f) == 8 * 1024
assert os.pread(f, 100, 0) == bytes(100)
assert fallocate(f, 16, 0, MIB) == 0 and kib(f) == 9 * 1024
for mode in (8, 32, 64, 2): assert fallocate(f, mode, 0, 4096) == errno.EOPNOTSUPP, mode
assert fallocate(f, 0, 0, 0) == errno.EINVAL
assert fallocate(os.open('modes', os.O_RDONLY), 0, 0, 1) == errno.EBADF
os.ftruncate(f, 0); assert kib(f) == 0
assert fallocate(f, 0, 0, 20 << 30) == 0 and kib(f) == 20 << 20
os.ftruncate(f, 0)`);
  }, 60_000);

  test('copy_file_range stores nothing anew; what cannot be cloned is refused', async () => {
    await python(`
f = make('source', os.urandom(9 * MIB + 5)); os.fsync(f)
g = make('clone')
before = sum(len(files) for _, _, files in os.walk('${cluster.box.path('store')}'))
done = 0
while done < 9 * MIB: done += os.copy_file_range(f, g, 9 * MIB - done, 3 + done, 777 + done)
os.fsync(g)
assert sum(len(files) for _, _, files in os.walk('${cluster.box.path('store')}')) == before
assert os.pread(g, 20 * MIB, 777) == os.pread(f, 9 * MIB, 3)
assert os.copy_file_range(f, g, 10, 9 * MIB + 5, 0) == 0
try: os.copy_file_range(f, f, 100, 0, 50); raise AssertionError()
except OSError as error: assert error.errno == errno.EINVAL
try: fcntl.ioctl(g, 0x40049409, f); raise AssertionError()
except OSError as error: assert error.errno in (errno.EOPNOTSUPP, errno.ENOTTY), error
os.unlink('source')
assert len(os.pread(g, 20 * MIB, 0)) == 9 * MIB + 777`);
  }, 60_000);

  test('lseek finds data and holes, written and not yet uploaded', async () => {
    await python(`
f = make('sparse')
os.ftruncate(f, 1 << 40)
for at in (5 * MIB, 1 << 35): os.pwrite(f, b'data', at)
for when in range(2):
    assert os.lseek(f, 0, os.SEEK_DATA) == 5 * MIB and os.lseek(f, 5 * MIB, os.SEEK_HOLE) == 5 * MIB + 4
    assert os.lseek(f, 6 * MIB, os.SEEK_DATA) == 1 << 35 and os.lseek(f, 0, os.SEEK_HOLE) == 0
    for whence, at in ((os.SEEK_DATA, (1 << 35) + 4), (os.SEEK_HOLE, 1 << 40)):
        try: os.lseek(f, at, whence); raise AssertionError()
        except OSError as error: assert error.errno == errno.ENXIO
    os.fsync(f)`);
  }, 60_000);

  test('appends of several processes are all there; O_SYNC, O_DSYNC and sync_file_range', async () => {
    await python(`
for i in range(4):
    if os.fork() == 0:
        f = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for n in range(200): os.write(f, b'%d %3d\\n' % (i, n))
        os._exit(0)
for _ in range(4): assert os.wait()[1] == 0
lines = open('log', 'rb').read().split(b'\\n')[:-1]
assert sorted(lines) == sorted(b'%d %3d' % (i, n) for i in range(4) for n in range(200)), len(lines)
for flags in (os.O_SYNC, os.O_DSYNC):
    make('synced', b'content', flags)
f = os.open('synced', os.O_RDWR)
assert libc.sync_file_range(f, ctypes.c_int64(0), ctypes.c_int64(0), 7) == 0`);
  }, 60_000);
});
