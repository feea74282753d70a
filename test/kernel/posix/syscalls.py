"""Runs cases of system calls by processes of several users and answers what each call returned.

One process per identity, forked before anything else, keeps its credentials for as long as the run lasts. stdin: one JSON document
{root, users: {name: {uid, gid, groups, caps, umask}}, cases: [[{user, call, args}, ...], ...]}; every case runs in a directory of its own
below root (mode 0777). stdout: a JSON line per case, a list of ["ok", value] or ["err", errno name] per step. Strings are bytes as latin-1.
"""

import ctypes, errno, hashlib, json, mmap, os, select, socket, stat, struct, sys, time

LIBC = ctypes.CDLL(None, use_errno=True)
STEP_SECONDS_MAX = 20
SYS_RENAMEAT2, SYS_CAPSET, SYS_STATX, SYS_FCHMODAT2 = 316, 126, 332, 452
PR_SET_KEEPCAPS, CLOCK_REALTIME_COARSE = 8, 5
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x400, 0x1000
UTIME = {'NOW': (1 << 30) - 1, 'OMIT': (1 << 30) - 2}
CAPS = {'CHOWN': 0, 'DAC_OVERRIDE': 1, 'DAC_READ_SEARCH': 2, 'FOWNER': 3, 'FSETID': 4, 'SYS_ADMIN': 21, 'MKNOD': 27, 'SETFCAP': 31}
TYPES = {'reg': stat.S_IFREG, 'fifo': stat.S_IFIFO, 'sock': stat.S_IFSOCK, 'chr': stat.S_IFCHR, 'blk': stat.S_IFBLK, 'dir': stat.S_IFDIR}


def checked(result):
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(number, *args):
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return checked(LIBC.syscall(ctypes.c_long(number), *wide))


def b(text):
    return text.encode('latin-1')


def errno_name(number):
    return 'EOPNOTSUPP' if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))


def flags_of(words, prefix, source=os):
    value = 0
    for word in str(words).split('|'):
        value |= int(word, 0) if word[:1].isdigit() else getattr(source, prefix + word)
    return value


def attributes(s):
    kinds = {stat.S_IFREG: 'reg', stat.S_IFDIR: 'dir', stat.S_IFLNK: 'lnk', stat.S_IFIFO: 'fifo', stat.S_IFSOCK: 'sock', stat.S_IFCHR: 'chr', stat.S_IFBLK: 'blk'}
    return {
        'type': kinds[stat.S_IFMT(s.st_mode)], 'mode': stat.S_IMODE(s.st_mode), 'nlink': s.st_nlink, 'uid': s.st_uid, 'gid': s.st_gid,
        'size': s.st_size, 'blocks': s.st_blocks, 'ino': str(s.st_ino), 'major': os.major(s.st_rdev), 'minor': os.minor(s.st_rdev),
        'atime': str(s.st_atime_ns), 'mtime': str(s.st_mtime_ns), 'ctime': str(s.st_ctime_ns),
    }


def content(data):
    """short data itself, else a checksum"""
    return data.decode('latin-1') if len(data) < 64 else hashlib.sha1(data).hexdigest()


class Directory:
    """An open directory: entries as (name, inode, type, position behind it)."""

    def __init__(self, path):
        LIBC.opendir.restype = LIBC.readdir64.restype = ctypes.c_void_p
        self.handle = ctypes.c_void_p(LIBC.opendir(b(path)))
        if not self.handle: checked(-1)

    def entries(self):
        while entry := LIBC.readdir64(self.handle):
            ino, position, length, type = struct.unpack('QqHB', ctypes.string_at(entry, 19))
            yield ctypes.string_at(entry + 19), ino, type, position

    def seek(self, position): LIBC.seekdir(self.handle, ctypes.c_long(position))
    def rewind(self): LIBC.rewinddir(self.handle)
    def __del__(self): LIBC.closedir(self.handle)


class Calls:
    """The system calls of one identity; `fds` holds what the case has opened, by the name it gave it."""

    def __init__(self):
        self.fds = {}
        self.maps = {}

    def end(self):
        for fd in self.fds.values():
            try:
                os.close(fd)
            except OSError:
                pass
        self.fds.clear()
        for m in self.maps.values():
            m.close()
        self.maps.clear()

    def at(self, name):
        return AT_FDCWD if name == 'cwd' else self.fds[name]

    # -- opening and file content
    def open(self, slot, path, flags, mode='0644'):
        self.fds[slot] = os.open(b(path), flags_of(flags, 'O_'), int(mode, 8))

    def openat(self, slot, dir, path, flags, mode='0644'):
        self.fds[slot] = os.open(b(path), flags_of(flags, 'O_'), int(mode, 8), dir_fd=self.fds[dir])

    def opens(self, path, flags, mode='0644'):
        """open and close at once"""
        os.close(os.open(b(path), flags_of(flags, 'O_'), int(mode, 8)))

    def create(self, path, mode='0644', data=''):
        """a regular file of exactly this mode, whatever the umask"""
        fd = os.open(b(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, int(mode, 8))
        if data: os.write(fd, b(data))
        if stat.S_IMODE(os.fstat(fd).st_mode) != int(mode, 8): os.fchmod(fd, int(mode, 8))
        os.close(fd)

    def close(self, slot): os.close(self.fds.pop(slot))
    def dup(self, slot, old): self.fds[slot] = os.dup(self.fds[old])
    def write(self, slot, data): return os.write(self.fds[slot], b(data))
    def pwrite(self, slot, data, offset): return os.pwrite(self.fds[slot], b(data), int(offset))
    def fill64(self, slot, number):
        """so many times 64 KiB"""
        for _ in range(int(number)): os.write(self.fds[slot], b'fill' * 16384)
    def read(self, slot, size='65536'): return os.read(self.fds[slot], int(size)).decode('latin-1')
    def pread(self, slot, size, offset): return os.pread(self.fds[slot], int(size), int(offset)).decode('latin-1')
    def lseek(self, slot, offset, whence='SET'): return os.lseek(self.fds[slot], int(offset), getattr(os, 'SEEK_' + whence))
    def truncate(self, path, size): os.truncate(b(path), int(size))
    def ftruncate(self, slot, size): os.ftruncate(self.fds[slot], int(size))
    def fsync(self, slot): os.fsync(self.fds[slot])
    def fdatasync(self, slot): os.fdatasync(self.fds[slot])
    def fallocate(self, slot, mode, offset, length):
        checked(LIBC.fallocate(self.fds[slot], int(mode, 0), ctypes.c_long(int(offset)), ctypes.c_long(int(length))))
    def copy(self, source, target, length, from_offset='0', to_offset='0'):
        return os.copy_file_range(self.fds[source], self.fds[target], int(length), int(from_offset), int(to_offset))

    def cat(self, path):
        with open(b(path), 'rb', 0) as f: return f.read().decode('latin-1')

    def put(self, path, data):
        """overwrites the start of an existing file"""
        fd = os.open(b(path), os.O_WRONLY)
        try: return os.write(fd, b(data))
        finally: os.close(fd)

    def mmap(self, slot, fd, length, prot='READ|WRITE'):
        self.maps[slot] = mmap.mmap(self.fds[fd], int(length), mmap.MAP_SHARED, flags_of(prot, 'PROT_', mmap))

    def mread(self, slot, offset, length): return self.maps[slot][int(offset):int(offset) + int(length)].decode('latin-1')
    def mwrite(self, slot, offset, data): self.maps[slot][int(offset):int(offset) + len(data)] = b(data)
    def msync(self, slot): self.maps[slot].flush()

    # -- attributes
    def stat(self, path): return attributes(os.stat(b(path)))
    def lstat(self, path): return attributes(os.lstat(b(path)))
    def fstat(self, slot): return attributes(os.fstat(self.fds[slot]))

    def btime(self, path):
        buffer = ctypes.create_string_buffer(256)
        syscall(SYS_STATX, AT_FDCWD, b(path), AT_SYMLINK_NOFOLLOW, 0x800, buffer)
        mask, = struct.unpack_from('I', buffer, 0)
        seconds, nanos = struct.unpack_from('qI', buffer, 80)
        return {'btime': str(seconds * 10**9 + nanos) if mask & 0x800 else '0'}

    def chmod(self, path, mode): os.chmod(b(path), int(mode, 8))
    def fchmod(self, slot, mode): os.fchmod(self.fds[slot], int(mode, 8))
    def lchmod(self, path, mode): syscall(SYS_FCHMODAT2, AT_FDCWD, b(path), int(mode, 8), AT_SYMLINK_NOFOLLOW)
    def chown(self, path, uid, gid): os.chown(b(path), int(uid), int(gid))
    def lchown(self, path, uid, gid): os.lchown(b(path), int(uid), int(gid))
    def fchown(self, slot, uid, gid): os.fchown(self.fds[slot], int(uid), int(gid))
    def umask(self, mask): os.umask(int(mask, 8))
    def access(self, path, mode):
        checked(LIBC.faccessat(AT_FDCWD, b(path), flags_of(mode, '') if mode[:1].isdigit() else sum({'r': 4, 'w': 2, 'x': 1, 'f': 0}[c] for c in mode), 0x200))

    def utimens(self, path, atime, mtime, follow='follow'): self.times(AT_FDCWD, b(path), atime, mtime, 0 if follow == 'follow' else AT_SYMLINK_NOFOLLOW)
    def futimens(self, slot, atime, mtime): self.times(self.fds[slot], None, atime, mtime, 0)

    def times(self, fd, path, atime, mtime, flags):
        def timespec(text):
            if text in UTIME: return (0, UTIME[text])
            seconds, _, nanos = text.partition('.')
            return (int(seconds), int(nanos.ljust(9, '0')) if nanos else 0)
        spec = None if atime == 'null' else struct.pack('qqqq', *timespec(atime), *timespec(mtime))
        checked(LIBC.utimensat(fd, path, spec, flags) if path is not None else LIBC.futimens(fd, spec))

    # -- names
    def mkdir(self, path, mode='0755'): os.mkdir(b(path), int(mode, 8))

    def makedir(self, path, mode='0755'):
        """a directory of exactly this mode, whatever the umask"""
        os.mkdir(b(path), int(mode, 8) & 0o777)
        if stat.S_IMODE(os.stat(b(path)).st_mode) != int(mode, 8): os.chmod(b(path), int(mode, 8))

    def mkdirat(self, dir, path, mode='0755'): os.mkdir(b(path), int(mode, 8), dir_fd=self.fds[dir])
    def mknod(self, path, type, mode='0644', major='0', minor='0'):
        checked(LIBC.mknod(b(path), TYPES[type] | int(mode, 8), ctypes.c_ulong(os.makedev(int(major), int(minor)))))
    def mkfifo(self, path, mode='0644'): os.mkfifo(b(path), int(mode, 8))
    def bind(self, path):
        s = socket.socket(socket.AF_UNIX)
        try: s.bind(b(path))
        finally: s.close()
    def link(self, old, new): checked(LIBC.linkat(AT_FDCWD, b(old), AT_FDCWD, b(new), 0))
    def linkfollow(self, old, new): checked(LIBC.linkat(AT_FDCWD, b(old), AT_FDCWD, b(new), AT_SYMLINK_FOLLOW))
    def linkfd(self, slot, new): checked(LIBC.linkat(AT_FDCWD, b('/proc/self/fd/%d' % self.fds[slot]), AT_FDCWD, b(new), AT_SYMLINK_FOLLOW))
    def symlink(self, target, path): os.symlink(b(target), b(path))
    def readlink(self, path): return os.readlink(b(path)).decode('latin-1')
    def unlink(self, path): os.unlink(b(path))
    def unlinkat(self, dir, path): os.unlink(b(path), dir_fd=self.fds[dir])
    def rmdir(self, path): os.rmdir(b(path))
    def rename(self, old, new): os.rename(b(old), b(new))
    def rename2(self, old, new, flags):
        value = sum({'NOREPLACE': 1, 'EXCHANGE': 2, 'WHITEOUT': 4}[f] if not f[:1].isdigit() else int(f, 0) for f in flags.split('|'))
        syscall(SYS_RENAMEAT2, AT_FDCWD, b(old), AT_FDCWD, b(new), value)
    def list(self, path='.'): return ' '.join(sorted(os.fsdecode(e).encode('utf-8', 'surrogateescape').decode('latin-1') for e in os.listdir(b(path))))
    def count(self, path='.'): return len(os.listdir(b(path)))
    def connects(self, path):
        s = socket.socket(socket.AF_UNIX)
        try: s.connect(b(path))
        finally: s.close()

    # -- listings, by readdir(3) and its position
    def fill(self, path, number):
        os.mkdir(b(path), 0o755)
        for i in range(int(number)): os.close(os.open(b('%s/f%05d' % (path, i)), os.O_CREAT | os.O_WRONLY, 0o644))

    def dirents(self, path):
        """d_ino and d_type agree with lstat, and no name comes twice"""
        seen = set()
        for name, ino, type, _ in Directory(path).entries():
            s = os.lstat(b(path) + b'/' + name)
            if name != b'..' and (s.st_ino, stat.S_IFMT(s.st_mode) >> 12) != (ino, type): return 'differs: %r' % name
            if name in seen: return 'twice: %r' % name
            seen.add(name)
        return 'ok' if {b'.', b'..'} < seen else 'no dots'

    def dots(self, path):
        entries = {name: ino for name, ino, _, _ in Directory(path).entries()}
        wanted = (os.stat(b(path)).st_ino, os.stat(b(path) + b'/..').st_ino)
        return 'ok' if (entries[b'.'], entries[b'..']) == wanted else repr((entries[b'.'], entries[b'..'], wanted))

    def seeks(self, path):
        d = Directory(path)
        entries = list(d.entries())
        for i in [0, 1, len(entries) // 2, len(entries) - 2, 5]:
            d.seek(entries[i][3])
            if [e[0] for e in d.entries()] != [e[0] for e in entries[i + 1:]]: return 'differs behind entry %d' % i
        return 'ok'

    def rewinds(self, path):
        d = Directory(path)
        before = {e[0] for e in d.entries()}
        os.close(os.open(b(path + '/new'), os.O_CREAT, 0o644))
        os.unlink(b(path + '/f00003'))
        d.rewind()
        after = {e[0] for e in d.entries()}
        return 'ok' if after == before - {b'f00003'} | {b'new'} else repr(before ^ after)

    def churn(self, path):
        d = Directory(path)
        seen = []
        for i, (name, *_) in enumerate(d.entries()):
            seen.append(name)
            if i % 4 == 0:
                os.close(os.open(b('%s/x%d' % (path, i)), os.O_CREAT, 0o644))
                victim = b('%s/f%05d' % (path, 2 * (i % 200) + 1))
                if os.path.exists(victim): os.unlink(victim)
        even = [name for name in seen if name[:1] == b'f' and int(name[1:]) % 2 == 0]
        return 'ok' if len(even) == 200 and len(set(seen)) == len(seen) else '%d of 200, %d twice' % (len(set(even)), len(seen) - len(set(seen)))

    def drain(self, path):
        removed = 0
        for name, *_ in Directory(path).entries():
            if name not in (b'.', b'..'):
                os.unlink(b(path) + b'/' + name)
                removed += 1
        return removed

    def chdir(self, path): os.chdir(b(path))
    def getcwd(self): return os.path.basename(os.getcwd())

    # -- extended attributes
    def setxattr(self, path, name, value, flags='0', follow='follow'):
        bits = sum({'CREATE': 1, 'REPLACE': 2, '0': 0}[f] for f in flags.split('|'))
        os.setxattr(b(path), b(name), b(value), bits, follow_symlinks=follow == 'follow')
    def setxattrhex(self, path, name, value): os.setxattr(b(path), b(name), bytes.fromhex(value))
    def getxattr(self, path, name, follow='follow'): return os.getxattr(b(path), b(name), follow_symlinks=follow == 'follow').decode('latin-1')
    def getxattrhex(self, path, name): return os.getxattr(b(path), b(name)).hex()
    def getxattrsize(self, path, name, size): return checked(LIBC.getxattr(b(path), b(name), ctypes.create_string_buffer(max(1, int(size))), ctypes.c_size_t(int(size))))
    def fgetxattr(self, slot, name): return os.getxattr(self.fds[slot], b(name)).decode('latin-1')
    def fsetxattr(self, slot, name, value): os.setxattr(self.fds[slot], b(name), b(value))
    def listxattr(self, path, follow='follow'): return ' '.join(sorted(os.listxattr(b(path), follow_symlinks=follow == 'follow')))
    def listxattrsize(self, path, size): return checked(LIBC.listxattr(b(path), ctypes.create_string_buffer(max(1, int(size))), ctypes.c_size_t(int(size))))
    def removexattr(self, path, name, follow='follow'): os.removexattr(b(path), b(name), follow_symlinks=follow == 'follow')

    # -- others
    def statvfs(self, path='.'):
        s = os.statvfs(b(path))
        return {'bsize': s.f_bsize, 'frsize': s.f_frsize, 'namemax': s.f_namemax, 'blocks': s.f_blocks > 0, 'files': s.f_files > 0}

    def copyprogram(self, source, path):
        with open(b(source), 'rb') as program: data = program.read()
        fd = os.open(b(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o755)
        while data: data = data[os.write(fd, data):]
        os.close(fd)

    def execute(self, path, *args):
        """runs a program; returns what it printed"""
        read_end, write_end = os.pipe()
        # posix_spawn's child reports a failed exec as the call's error
        pid = os.posix_spawn(b(path), [b(path), *map(b, args)], {}, file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)])
        os.close(write_end)
        with os.fdopen(read_end, 'rb') as f: out = f.read()
        os.waitpid(pid, 0)
        return out.decode('latin-1').strip()

    def dump(self):
        """the tree below the working directory: attributes, content, extended attributes"""
        out = {}
        def visit(path):
            s = os.lstat(path)
            line = {k: v for k, v in attributes(s).items() if k not in ('ino', 'blocks', 'ctime', 'atime')}
            if stat.S_ISDIR(s.st_mode): del line['size']
            if stat.S_ISREG(s.st_mode):
                fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
                with os.fdopen(fd, 'rb') as f: line['content'] = content(f.read())
            if stat.S_ISLNK(s.st_mode): line['target'] = os.readlink(path).decode('latin-1')
            line['xattrs'] = {n: os.getxattr(path, n, follow_symlinks=False).decode('latin-1') for n in sorted(os.listxattr(path, follow_symlinks=False)) if n != 'security.selinux'}
            if int(line['mtime']) > 10**18: line['mtime'] = 'now'
            out[path.decode('latin-1')] = json.dumps(line, sort_keys=True)
            if stat.S_ISDIR(s.st_mode):
                for name in sorted(os.listdir(path)): visit(path + b'/' + name)
        visit(b'.')
        return out

    def tick(self):
        """until the clock that the kernel stamps inodes with has advanced"""
        start = time.clock_gettime_ns(time.CLOCK_REALTIME)
        while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= start + 1_000_000: time.sleep(0.001)


def become(user):
    """Takes an identity for good; `caps` undefined = what the uid has by itself."""
    wanted = user.get('caps')
    if wanted is not None: checked(LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups(user['groups'])
    os.setresgid(user['gid'], user['gid'], user['gid'])
    os.setresuid(user['uid'], user['uid'], user['uid'])
    os.umask(user['umask'])
    if wanted is not None:
        bits = sum(1 << CAPS[c] for c in wanted)
        low, high = bits & 0xFFFFFFFF, bits >> 32
        syscall(SYS_CAPSET, struct.pack('Ii', 0x20080522, 0), struct.pack('IIIIII', low, low, 0, high, high, 0))


def serve(user, requests, replies, root):
    become(user)
    calls = Calls()
    with os.fdopen(requests, 'rb') as source, os.fdopen(replies, 'wb') as sink:
        for line in source:
            kind, *rest = json.loads(line)
            if kind == 'enter':
                os.chdir(b(root + '/' + rest[0]))
                continue
            if kind == 'end':
                calls.end()
                os.umask(user['umask'])
                os.chdir('/')
                answer = ['ok', None]
            else:
                try:
                    answer = ['ok', getattr(calls, kind)(*rest)]
                except OSError as error:
                    answer = ['err', errno_name(error.errno)]
                except Exception as error:  # a mistake in the case: told as such
                    answer = ['err', 'CASE: %s: %r' % (kind, error)]
            sink.write(json.dumps(answer).encode() + b'\n')
            sink.flush()


class Helper:
    """The process of one identity."""

    def __init__(self, name, user, root):
        self.name = name
        requests, self.requests = os.pipe()
        self.replies, replies = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            # Other helpers' pipes would keep those from ending with the runner.
            for fd in map(int, os.listdir('/proc/self/fd')):
                if fd > 2 and fd not in (requests, replies) and os.path.exists('/proc/self/fd/%d' % fd): os.close(fd)
            try:
                serve(user, requests, replies, root)
            finally:
                os._exit(0)
        os.close(requests)
        os.close(replies)
        self.input = os.fdopen(self.replies, 'rb')

    def send(self, *message): os.write(self.requests, json.dumps(message).encode() + b'\n')

    def call(self, *message):
        self.send(*message)
        if not select.select([self.replies], [], [], STEP_SECONDS_MAX)[0]: raise SystemExit('no answer in time: %s %r' % (self.name, message))
        line = self.input.readline()
        if not line: raise SystemExit('helper of %s died at %r' % (self.name, message))
        return json.loads(line)


def main():
    job = json.load(sys.stdin)
    root = job['root']
    helpers = {}
    os.umask(0)
    for number, steps in enumerate(job['cases']):
        directory = '%s%d' % (job['prefix'], number)
        os.makedirs(b(root + '/' + directory), 0o777, exist_ok=True)
        entered = []
        results = []
        for step in steps:
            name = step['user']
            if name not in helpers: helpers[name] = Helper(name, job['users'][name], root)
            helper = helpers[name]
            if helper not in entered:
                helper.send('enter', directory)
                entered.append(helper)
            results.append(helper.call(step['call'], *step['args']))
        for helper in entered: helper.call('end')
        sys.stdout.write(json.dumps(results) + '\n')
        sys.stdout.flush()


main()
