import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'), command('setpriv'));

const LONG = process.env['CURVEFS_TEST_LONG'] === '1';
const ENTRIES = LONG ? 100_000 : 5000;

/** A python program that runs in the mount; assertions fail it. */
const python = (code: string): string =>
  `cd mnt && python3 - <<'PYTHON'\nimport os, sys, mmap, errno, stat, time\n${code}\nPYTHON`;

/** Python: the errno that a call fails with. */
const FAILS = `
def fails(number, call, *args):
    try: call(*args)
    except OSError as error:
        assert error.errno == number, (errno.errorcode[error.errno], errno.errorcode[number])
        return
    raise AssertionError('did not fail with ' + errno.errorcode[number])
`;

kernel('a mount', () => {
  let cluster: Cluster;
  const sh = (script: string, timeoutMs = 30_000): Promise<string> => cluster.box.sh(script, { timeoutMs });

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('shows the source as given and the type fuse.curvefs', async () => {
    expect(await sh('findmnt -n -o SOURCE,FSTYPE mnt')).toMatch(new RegExp(`^${cluster.source()} +fuse.curvefs`));
  });

  test('files, directories, links, special files', async () => {
    const out = await sh(`set -e; cd mnt; mkdir basic; cd basic
      echo hello > a; cat a; mkdir -p d/e; mv a d/e/b; ln -s e/b d/l; readlink d/l; cat d/l
      ln d/e/b d/hard; stat -c '%h %s' d/hard; [ "$(stat -c %i d/hard)" = "$(stat -c %i d/e/b)" ]; rm d/hard; stat -c %h d/e/b
      chmod 640 d/e/b; touch -d '1969-12-31 23:59:58.25 UTC' d/e/b; TZ=UTC stat -c '%a %y' d/e/b
      touch -d '2100-01-01 00:00:00.123456789 UTC' d/e/b; TZ=UTC stat -c %y d/e/b
      ! rmdir d 2>/dev/null; ! mkdir d 2>/dev/null; ! cat none 2>/dev/null; mkfifo p; stat -c %F p; mknod c c 1 3; stat -c '%F %t,%T' c
      stat -c '%h' . ; rm -r d p c; ls -A; stat -c '%h' .`);
    expect(out.split('\n')).toEqual([
      'hello',
      'e/b',
      'hello',
      '2 6',
      '1',
      '640 1969-12-31 23:59:58.250000000 +0000',
      '2100-01-01 00:00:00.123456789 +0000',
      'fifo',
      'character special file 1,3',
      '3',
      '2',
      '',
    ]);
  });

  test('sparse files and offsets beyond 4 GiB', async () => {
    await sh(
      python(`
f = os.open('sparse', os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 5 << 30)
assert os.fstat(f).st_size == 5 << 30
assert os.fstat(f).st_blocks == 0
os.pwrite(f, b'far away', (4 << 30) + 12345)
os.fsync(f)
assert os.pread(f, 8, (4 << 30) + 12345) == b'far away'
assert os.pread(f, 100, 1 << 30) == bytes(100)
assert os.pread(f, 10, (4 << 30) + 12340) == bytes(5) + b'far a'
assert os.fstat(f).st_blocks * 512 <= 8 << 20, os.fstat(f).st_blocks
assert os.pread(f, 10, 5 << 30) == b''
os.ftruncate(f, (4 << 30) + 12348)
os.ftruncate(f, 5 << 30)
assert os.pread(f, 8, (4 << 30) + 12345) == b'far' + bytes(5)
os.close(f); os.unlink('sparse')`),
    );
  });

  test('names of 255 bytes that are no UTF-8; 256 are too many', async () => {
    await sh(
      python(`${FAILS}
name = bytes(b for b in range(1, 256) if b != 47)[:254] + b'\\xff'
os.mkdir(b'names'); os.chdir(b'names')
assert len(name) == 255
os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
assert os.listdir(b'.') == [name]
assert os.stat(name).st_size == 0
os.rename(name, b'\\xfe' * 255)
assert os.listdir(b'.') == [b'\\xfe' * 255]
fails(errno.ENAMETOOLONG, os.stat, b'x' * 256)
fails(errno.ENAMETOOLONG, os.mkdir, b'x' * 256)
os.unlink(b'\\xfe' * 255)`),
    );
  });

  test('mmap, shared: writes reach the file, and other readers', async () => {
    await sh(
      python(`
f = os.open('mapped', os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 100000)
with mmap.mmap(f, 100000) as m:
    m[0:5] = b'first'; m[65536:65540] = b'last'; m[99999:100000] = b'!'
    m.flush()
    assert os.pread(f, 5, 0) == b'first'
    os.pwrite(f, b'PWRITE', 50000)
    assert m[50000:50006] == b'PWRITE'
    m[70000:70003] = b'eof'
os.close(f)
f = os.open('mapped', os.O_RDONLY)
data = os.pread(f, 200000, 0)
assert len(data) == 100000 and data[:5] == b'first' and data[65536:65540] == b'last' and data[-1:] == b'!' and data[70000:70003] == b'eof'
with mmap.mmap(f, 0, prot=mmap.PROT_READ) as m: assert m[:] == data
os.close(f)`),
    );
  });

  test('open flags: O_APPEND, O_TRUNC, O_EXCL, O_DIRECT, O_SYNC', async () => {
    await sh(
      python(`${FAILS}
f = os.open('flags', os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
fails(errno.EEXIST, os.open, 'flags', os.O_CREAT | os.O_EXCL)
a = os.open('flags', os.O_WRONLY | os.O_APPEND); b = os.open('flags', os.O_WRONLY | os.O_APPEND)
for i in range(50): os.write(a, b'a' * 10); os.write(b, b'b' * 10)
assert os.pread(f, 2000, 0) == (b'a' * 10 + b'b' * 10) * 50
t = os.open('flags', os.O_WRONLY | os.O_TRUNC); assert os.fstat(t).st_size == 0 == os.fstat(f).st_size
assert os.pread(f, 10, 0) == b''
os.write(a, b'again'); assert os.pread(f, 10, 0) == b'again'
for x in (a, b, t, f): os.close(x)
d = os.open('direct', os.O_RDWR | os.O_CREAT | os.O_DIRECT)
page = mmap.mmap(-1, 1 << 20); page.write(os.urandom(1 << 20))
assert os.pwrite(d, page, 0) == 1 << 20 and os.pwrite(d, page, 1 << 20) == 1 << 20
back = mmap.mmap(-1, 1 << 20)
assert os.preadv(d, [back], 1 << 20) == 1 << 20 and back[:] == page[:]
os.close(d)
s = os.open('sync', os.O_WRONLY | os.O_CREAT | os.O_SYNC); os.write(s, b'x'); os.close(s)
c = os.open('readonly', os.O_CREAT | os.O_WRONLY, 0o400); os.write(c, b'by the creator'); os.close(c)`),
    );
  });

  test('unlinked and renamed-over files stay as long as they are open', async () => {
    await sh(
      python(`
f = os.open('gone', os.O_RDWR | os.O_CREAT); os.write(f, b'before')
os.unlink('gone')
assert os.fstat(f).st_nlink == 0
os.write(f, b' after'); assert os.pread(f, 100, 0) == b'before after'
os.ftruncate(f, 3); assert os.fstat(f).st_size == 3; os.fsync(f); os.fchmod(f, 0o600)
os.close(f)
g = os.open('old', os.O_RDWR | os.O_CREAT); os.write(g, b'old')
with open('new', 'w') as n: n.write('new')
os.rename('new', 'old')
assert os.pread(g, 10, 0) == b'old' and open('old').read() == 'new'
os.close(g)
d = os.open('.', os.O_RDONLY); os.mkdir('dir'); e = os.open('dir', os.O_RDONLY); os.rmdir('dir')
assert os.listdir(e) == []
os.close(d); os.close(e)`),
    );
  });

  test('rename: atomic replacement, NOREPLACE, EXCHANGE, and what is refused', async () => {
    await sh(
      python(`${FAILS}
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def renameat2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) != 0:
        e = ctypes.get_errno(); raise OSError(e, os.strerror(e))
os.mkdir('rn'); os.chdir('rn')
open('a', 'w').write('A'); open('b', 'w').write('B')
fails(errno.EEXIST, renameat2, 'a', 'b', 1)
renameat2('a', 'b', 2); assert open('a').read() == 'B' and open('b').read() == 'A'
os.makedirs('x/y'); os.mkdir('z')
renameat2('x', 'b', 2); assert os.path.isdir('b/y') and open('x').read() == 'A'
fails(errno.EINVAL, renameat2, 'a', 'x', 8)
fails(errno.EINVAL, os.rename, 'b', 'b/y/inside')
fails(errno.ENOTEMPTY, os.rename, 'z', 'b')
fails(errno.ENOTDIR, os.rename, 'z', 'a'); fails(errno.EISDIR, os.rename, 'a', 'z')
os.rename('b/y', 'z'); assert os.stat('b').st_nlink == 2
os.link('a', 'hard'); os.rename('a', 'hard'); assert os.path.exists('a') and os.path.exists('hard')`),
    );
  });

  test('errors of links and removals', async () => {
    await sh(
      python(`${FAILS}
os.mkdir('er'); os.chdir('er'); os.mkdir('d'); open('f', 'w').close()
fails(errno.EISDIR, os.unlink, 'd'); fails(errno.ENOTDIR, os.rmdir, 'f'); fails(errno.EPERM, os.link, 'd', 'e')
os.mkdir('d/sub'); fails(errno.ENOTEMPTY, os.rmdir, 'd'); fails(errno.EEXIST, os.symlink, 'x', 'f')
fails(errno.ENOENT, os.rmdir, 'none'); fails(errno.EINVAL, os.rmdir, 'd/.'); fails(errno.ENOTEMPTY, os.rmdir, 'd/sub/..')
os.symlink('loop', 'loop'); fails(errno.ELOOP, os.open, 'loop', os.O_RDONLY)
fails(errno.ENXIO if False else errno.ENAMETOOLONG, os.symlink, 'x' * 4096, 'l')`),
    );
  });

  test('extended attributes', async () => {
    await sh(
      python(`${FAILS}
open('xa', 'w').close()
os.setxattr('xa', 'user.one', b'1'); os.setxattr('xa', 'user.empty', b''); os.setxattr('xa', 'trusted.t', b'x' * 1000)
assert sorted(os.listxattr('xa')) == ['trusted.t', 'user.empty', 'user.one']
assert os.getxattr('xa', 'user.one') == b'1' and os.getxattr('xa', 'user.empty') == b''
fails(errno.EEXIST, os.setxattr, 'xa', 'user.one', b'2', os.XATTR_CREATE)
fails(errno.ENODATA, os.setxattr, 'xa', 'user.two', b'2', os.XATTR_REPLACE)
fails(errno.ENODATA, os.getxattr, 'xa', 'user.two')
os.setxattr('xa', 'user.big', b'v' * 65536); assert len(os.getxattr('xa', 'user.big')) == 65536
os.removexattr('xa', 'user.one'); fails(errno.ENODATA, os.removexattr, 'xa', 'user.one')
fails(errno.EOPNOTSUPP, os.setxattr, 'xa', 'system.posix_acl_access', b'\\x02\\0\\0\\0')`),
    );
  });

  test('permissions of other users, supplementary groups, sticky directories, setuid', async () => {
    const as = (uid: number, script: string, groups = '--clear-groups'): string =>
      `setpriv --reuid ${uid} --regid ${uid} ${groups} sh -c '${script}'`;
    await sh(`set -e; chmod 755 .; cd mnt; mkdir -m 755 pm; cd pm
      echo secret > s; chmod 600 s; ! ${as(1000, 'cat s 2>/dev/null')}; ! ${as(1000, 'echo x > new 2>/dev/null')}
      echo group > g; chgrp 2000 g; chmod 640 g; ! ${as(1000, 'cat g 2>/dev/null')}; ${as(1000, 'cat g', '--groups 2000')}
      mkdir -m 1777 tmp; ${as(1000, 'echo mine > tmp/m')}; ! ${as(1001, 'rm -f tmp/m 2>/dev/null')}; ! ${as(1001, 'mv tmp/m tmp/n 2>/dev/null')}
      [ "$(stat -c %u:%g tmp/m)" = 1000:1000 ]; ${as(1000, 'rm tmp/m')}
      mkdir -m 2777 sgid; chgrp 3000 sgid; chmod 2777 sgid; ${as(1000, 'mkdir sgid/d; touch sgid/f')}
      [ "$(stat -c %g:%a sgid/d)" = 3000:2755 ]; [ "$(stat -c %g sgid/f)" = 3000 ]
      cp /bin/true su; chmod 4777 su; ${as(1000, 'echo x >> su')}; [ "$(stat -c %a su)" = 777 ]
      chmod 6777 su; ${as(1000, ': > su')}; [ "$(stat -c %a su)" = 777 ]
      chmod 4755 su; chown 1000 su; [ "$(stat -c %a su)" = 755 ]; ! ${as(1001, 'chmod 777 su 2>/dev/null')}; ${as(1000, 'chmod 700 su')}
      ! ${as(1000, 'chown 1001 su 2>/dev/null')}; ${as(1000, 'chgrp 2000 su', '--groups 2000')}; ! ${as(1000, 'chgrp 2001 su 2>/dev/null')}
      exec 3<s; ${as(1000, 'cat <&3')}`);
  });

  test(`a directory of ${ENTRIES} entries: every name once, stable cookies for seekdir`, async () => {
    await sh(
      python(`
COUNT = ${ENTRIES}; JOBS = 16
os.mkdir('big'); names = {'%06d-%s' % (i, 'n' * (i % 40)) for i in range(COUNT)}
for job in range(JOBS):
    if os.fork() == 0:
        for name in sorted(names)[job::JOBS]: os.close(os.open('big/' + name, os.O_CREAT | os.O_WRONLY))
        os._exit(0)
for job in range(JOBS): assert os.wait()[1] == 0
assert set(os.listdir('big')) == names
inodes = {e.name: e.inode() for e in os.scandir('big')}
assert len(set(inodes.values())) == COUNT
for name in list(names)[:20]: assert os.stat('big/' + name).st_ino == inodes[name]
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_uint16), ('type', ctypes.c_uint8), ('name', ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p; libc.readdir.restype = ctypes.POINTER(Dirent)
libc.readdir.argtypes = libc.telldir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long; libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
d = libc.opendir(b'big'); order = []; marks = {}
while True:
    position = libc.telldir(d); e = libc.readdir(d)
    if not e: break
    name = e.contents.name.decode(); order.append(name)
    if len(order) % (COUNT // 9) == 0: marks[len(order) - 1] = position
assert len(order) == COUNT + 2 and order[:2] == ['.', '..']
for name in order[-50:]: os.unlink('big/' + name)
os.close(os.open('big/extra', os.O_CREAT))
for index, position in marks.items():
    if order[index] in order[-50:]: continue
    libc.seekdir(d, position); e = libc.readdir(d)
    assert e.contents.name.decode() == order[index], (index, e.contents.name, order[index])
libc.closedir(d)`),
      LONG ? 600_000 : 90_000,
    );
    await sh(
      'cd mnt && ls big | xargs -P 16 -n 100 sh -c \'cd big && rm "$@"\' sh; rmdir big',
      LONG ? 600_000 : 60_000,
    );
  }, 1_300_000);

  test('statfs counts what is stored', async () => {
    const used = async (): Promise<number> =>
      Number((await sh("stat -f -c '%b %f %S' mnt | awk '{ print ($1 - $2) * $3 }'")).trim());
    const before = await used();
    await sh('head -c 8388608 /dev/urandom > mnt/counted; sync mnt/counted');
    await expect(eventually(async () => (await used()) - before >= 8 << 20)).resolves.toBe(true);
    expect(await sh("stat -f -c '%l' mnt")).toBe('255\n');
    await sh('rm mnt/counted');
  });

  test('large content, written by several processes at once, comes back', async () => {
    await sh(
      `set -e; head -c 30000001 /dev/urandom > ref
       for i in 1 2 3; do cp ref mnt/copy$i & done; wait; for i in 1 2 3; do cmp ref mnt/copy$i; done; rm mnt/copy?`,
      60_000,
    );
  }, 90_000);

  test('tar and rsync round trips keep everything', async () => {
    await sh(
      `set -e; mkdir -p tree/a/b; cp -r /usr/include/linux tree/a/b/; ln -s a/b tree/l; ln tree/a/b/linux/fs.h tree/hard; chmod 751 tree/a
       touch -d '2001-02-03 04:05:06.789' tree/a/b/linux/fuse.h
       tar cf - tree | tar xf - -C mnt; diff -r --no-dereference tree mnt/tree
       rsync -aH --checksum --itemize-changes tree/ mnt/tree/ > changes; cat changes; [ ! -s changes ]
       rm -rf mnt/tree`,
      90_000,
    );
  }, 120_000);
});

async function eventually(condition: () => Promise<boolean>, timeoutMs = 5000): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return condition();
}
