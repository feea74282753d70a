"""Random changes of one file against a shadow copy: fsx FILE SHADOW SEED OPERATIONS [BLOCK].

Every way to change or read content: read, write, append, mmap, O_DIRECT, truncate, holes, zeros, allocation, copy_file_range, seeking data and
holes, fsync, dropping pages, a second descriptor. The shadow is kept beside the mount, so that a run can go on after a remount. What went before a
difference is printed."""

import ctypes
import errno
import mmap
import os
import random
import sys

FILE, SHADOW, SEED, OPERATIONS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
BLOCK = int(sys.argv[5]) if len(sys.argv) > 5 else 4 << 20
FRAME = 32 << 10
PAGE = 4096
SIZE_MAX = 3 * BLOCK

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16

rand = random.Random(SEED)
shadow = bytearray(open(SHADOW, 'rb').read()) if os.path.exists(SHADOW) else bytearray()
fd = os.open(FILE, os.O_RDWR | os.O_CREAT, 0o644)
other = os.open(FILE, os.O_RDWR)
direct = os.open(FILE, os.O_RDWR | os.O_DIRECT)
log = []


def note(*what):
    log.append(' '.join(map(str, what)))
    del log[:-40]


def differ(what):
    print(f'seed {SEED}: {what}', *log, sep='\n  ')
    sys.exit(1)


def place(limit=SIZE_MAX):
    """An offset, often at or near a border of a block or a frame."""
    kind = rand.randrange(4)
    if kind == 0:
        near = rand.choice([0, BLOCK, 2 * BLOCK, len(shadow)])
    elif kind == 1:
        near = rand.randrange(SIZE_MAX // FRAME) * FRAME
    else:
        return rand.randrange(limit)
    return max(0, min(limit - 1, near + rand.choice([-PAGE, -1, 0, 0, 1, PAGE, rand.randrange(-5000, 5000)])))


def extent(limit=SIZE_MAX):
    offset = place(limit)
    most = rand.choice([100, PAGE, FRAME, 2 * FRAME, 300_000, BLOCK + FRAME])
    return offset, max(1, min(rand.randrange(1, most + 1), limit - offset))


def data(length):
    return rand.randbytes(length)


def store(offset, content):
    if offset > len(shadow):
        shadow.extend(bytes(offset - len(shadow)))
    shadow[offset:offset + len(content)] = content


def grow(size):
    if size > len(shadow):
        shadow.extend(bytes(size - len(shadow)))


def check(what, offset, found, length):
    expected = bytes(shadow[offset:offset + length])
    if found == expected:
        return
    if len(found) != len(expected):
        differ(f'{what} at {offset}: {len(found)} bytes, expected {len(expected)}')
    at = next(i for i in range(len(found)) if found[i] != expected[i])
    differ(f'{what}: byte {offset + at} is {found[at]}, expected {expected[at]}')


def aligned(offset, length):
    return offset // PAGE * PAGE, max(PAGE, length // PAGE * PAGE)


def read():
    offset, length = extent()
    descriptor = rand.choice([fd, other])
    note('read', offset, length)
    check('read', offset, os.pread(descriptor, length, offset), length)


def read_direct():
    offset, length = aligned(*extent())
    note('read_direct', offset, length)
    buffer = mmap.mmap(-1, length)
    count = os.preadv(direct, [buffer], offset)
    check('direct read', offset, buffer[:count], length)


def read_mapped():
    if not shadow:
        return
    offset, length = extent(len(shadow))
    base = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    note('read_mapped', offset, length)
    with mmap.mmap(fd, offset + length - base, prot=mmap.PROT_READ, offset=base) as view:
        check('mapped read', offset, view[offset - base:offset - base + length], length)


def write():
    offset, length = extent()
    content = data(length)
    note('write', offset, length)
    os.pwrite(rand.choice([fd, other]), content, offset)
    store(offset, content)


def write_direct():
    offset, length = aligned(*extent())
    buffer = mmap.mmap(-1, length)
    buffer[:] = data(length)
    note('write_direct', offset, length)
    if os.pwritev(direct, [buffer], offset) != length:
        differ('short direct write')
    store(offset, buffer[:])


def write_mapped():
    if not shadow:
        return
    offset, length = extent(len(shadow))
    base = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    content = data(length)
    note('write_mapped', offset, length)
    with mmap.mmap(fd, offset + length - base, offset=base) as view:
        view[offset - base:offset - base + length] = content
        if rand.randrange(2):
            view.flush()
    store(offset, content)


def append():
    if len(shadow) > SIZE_MAX:
        return
    content = data(rand.randrange(1, 50_000))
    note('append', len(content))
    descriptor = os.open(FILE, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, content)
    os.close(descriptor)
    store(len(shadow), content)


def truncate():
    size = place()
    note('truncate', size)
    os.ftruncate(fd, size)
    del shadow[size:]
    grow(size)


def fallocate(mode, offset, length):
    if libc.fallocate(rand.choice([fd, other]), mode, offset, length) != 0:
        differ(f'fallocate: {os.strerror(ctypes.get_errno())}')


def punch():
    offset, length = extent()
    note('punch', offset, length)
    fallocate(PUNCH_HOLE | KEEP_SIZE, offset, length)
    end = min(len(shadow), offset + length)
    if end > offset:
        shadow[offset:end] = bytes(end - offset)


def zero():
    offset, length = extent()
    keep = rand.choice([0, KEEP_SIZE])
    note('zero', offset, length, keep)
    fallocate(ZERO_RANGE | keep, offset, length)
    if not keep:
        grow(offset + length)
    end = min(len(shadow), offset + length)
    if end > offset:
        shadow[offset:end] = bytes(end - offset)


def allocate():
    offset, length = extent()
    keep = rand.choice([0, KEEP_SIZE])
    note('allocate', offset, length, keep)
    fallocate(keep, offset, length)
    if not keep:
        grow(offset + length)


def copy():
    source, length = extent()
    target = place()
    length = max(1, min(length, SIZE_MAX - target))
    note('copy', source, target, length)
    # The kernel cuts the length at the end of the file before it looks for an overlap.
    if abs(source - target) < min(length, len(shadow) - source):
        try:
            os.copy_file_range(fd, other, length, source, target)
            differ('an overlapping copy did not fail')
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        return
    content = bytes(shadow[source:source + length])
    done = 0
    while done < len(content):
        count = os.copy_file_range(fd, other, len(content) - done, source + done, target + done)
        if count == 0:
            differ(f'copy ended after {done} of {len(content)}')
        done += count
    if content:
        store(target, content)


def seek():
    at = place()
    note('seek', at)
    found = []
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        try:
            found.append(os.lseek(fd, at, whence))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            found.append(None)
    start, hole = found
    if at >= len(shadow):
        if found != [None, None]:
            differ(f'seek behind the end: {found}')
        return
    end = len(shadow) if start is None else start
    if shadow[at:end].strip(b'\0'):
        differ(f'lseek says that there is a hole from {at} to {end}')
    if hole is None or not at <= hole <= len(shadow) or (start == at and hole == at):
        differ(f'seek at {at}: {found}')


def sync():
    note('sync')
    rand.choice([os.fsync, os.fdatasync])(fd)


def drop():
    note('drop')
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def size():
    if os.fstat(fd).st_size != len(shadow):
        differ(f'size {os.fstat(fd).st_size}, expected {len(shadow)}')


WEIGHTS = {
    read: 8, read_direct: 3, read_mapped: 4, write: 10, write_direct: 3, write_mapped: 5, append: 2, truncate: 3, punch: 3,
    zero: 2, allocate: 2, copy: 4, seek: 3, sync: 1, drop: 2,
}

check('content at the start', 0, os.pread(fd, SIZE_MAX * 2, 0), SIZE_MAX * 2)
for operation in rand.choices(list(WEIGHTS), list(WEIGHTS.values()), k=OPERATIONS):
    operation()
    size()
drop()
check('content at the end', 0, os.pread(fd, SIZE_MAX * 2, 0), SIZE_MAX * 2)
for descriptor in (fd, other, direct):
    os.close(descriptor)
open(SHADOW, 'wb').write(shadow)
