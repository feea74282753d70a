import { describe, expect, test } from '@jest/globals';
import { FuseOpcode as Op } from '../../../src/fuse/abi/opcode.js';
import { DirentBuffer, DirentPlusBuffer } from '../../../src/fuse/codec/dirent-writer.js';
import { ReplyWriter } from '../../../src/fuse/codec/reply-writer.js';
import type { EntryReply, FuseAttr } from '../../../src/fuse/codec/replies.js';
import { OPCODE_TABLE } from '../../../src/fuse/opcode-table.js';
import { u16, u32, u64 } from './bytes.js';

const attr: FuseAttr = {
  ino: 2 ** 52,
  mode: 0o100644,
  nlink: 2,
  uid: 1000,
  gid: 100,
  rdev: 0,
  size: 2 ** 40 + 1,
  allocatedBytes: 8192,
  atime: { sec: -2, nsec: 5 },
  mtime: { sec: 2 ** 33, nsec: 999_999_999 },
  ctime: { sec: 1, nsec: 0 },
};
const attrBytes = (blksize: number): Buffer =>
  Buffer.concat([
    ...[u64(2 ** 52), u64(2 ** 40 + 1), u64(16), u64(-2), u64(2 ** 33), u64(1)],
    ...[u32(5), u32(999_999_999), u32(0), u32(0o100644), u32(2), u32(1000), u32(100), u32(0), u32(blksize), u32(0)],
  ]);
const entry: EntryReply = { nodeid: 2 ** 52, generation: 3, entryTtlMs: 1500, attrTtlMs: 3_600_000, attr };
const entryBytes = Buffer.concat([
  ...[u64(2 ** 52), u64(3), u64(1), u64(3600), u32(500_000_000), u32(0)],
  attrBytes(4096),
]);
const openBytes = Buffer.concat([u64(77), u32(2), u32(0)]);

/** Encodes by the table's row: the reply without its header. */
function encode(opcode: Op, reply: unknown, request: unknown = undefined): Buffer {
  const writer = new ReplyWriter(Buffer.alloc(4096, 0xee));
  OPCODE_TABLE[opcode]?.encode(writer, reply, request);
  writer.header(0, 0, 2);
  const bytes = Buffer.concat([writer.buffer.subarray(0, writer.length), ...(writer.data ?? [])]);
  expect(bytes.readUInt32LE(0)).toBe(bytes.length);
  return bytes.subarray(16);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('replies', () => {
  test.each([Op.LOOKUP, Op.MKDIR, Op.MKNOD, Op.SYMLINK, Op.LINK])('entry (opcode %i)', (opcode) => {
    expect(hex(encode(opcode, entry))).toBe(hex(entryBytes));
  });

  test('a negative entry is zeros but for its time to live', () => {
    const negative: EntryReply = { nodeid: 0, generation: 0, entryTtlMs: 1000, attrTtlMs: 0, attr: undefined };
    const expected = Buffer.concat([u64(0), u64(0), u64(1), u64(0), u32(0), u32(0), Buffer.alloc(88)]);
    expect(hex(encode(Op.LOOKUP, negative))).toBe(hex(expected));
  });

  test.each([Op.GETATTR, Op.SETATTR])('attributes (opcode %i)', (opcode) => {
    const expected = Buffer.concat([u64(1), u32(250_000_000), u32(0), attrBytes(4096)]);
    expect(hex(encode(opcode, { attrTtlMs: 1250, attr }))).toBe(hex(expected));
  });

  test('open, create, tmpfile', () => {
    const open = { fh: 77, openFlags: 2 };
    expect(hex(encode(Op.OPEN, open))).toBe(hex(openBytes));
    expect(hex(encode(Op.OPENDIR, open))).toBe(hex(openBytes));
    expect(hex(encode(Op.CREATE, { entry, open }))).toBe(hex(Buffer.concat([entryBytes, openBytes])));
    expect(hex(encode(Op.TMPFILE, { entry, open }))).toBe(hex(Buffer.concat([entryBytes, openBytes])));
  });

  test('read: one piece or several, not more than asked for', () => {
    const request = { size: 6 };
    expect(encode(Op.READ, Buffer.from('abc'), request).toString()).toBe('abc');
    expect(encode(Op.READ, [Buffer.from('abc'), Buffer.from('def')], request).toString()).toBe('abcdef');
    expect(encode(Op.READ, [], request)).toHaveLength(0);
    expect(() => encode(Op.READ, Buffer.from('abcdefg'), request)).toThrow(RangeError);
  });

  test('write, lseek, copy_file_range count', () => {
    expect(hex(encode(Op.WRITE, 4096, { data: Buffer.alloc(4096) }))).toBe(hex(Buffer.concat([u32(4096), u32(0)])));
    expect(() => encode(Op.WRITE, 4097, { data: Buffer.alloc(4096) })).toThrow(RangeError);
    expect(hex(encode(Op.LSEEK, 2 ** 40))).toBe(hex(u64(2 ** 40)));
    expect(hex(encode(Op.COPY_FILE_RANGE_64, 2 ** 40))).toBe(hex(u64(2 ** 40)));
    expect(hex(encode(Op.COPY_FILE_RANGE, 512))).toBe(hex(Buffer.concat([u32(512), u32(0)])));
  });

  test('statfs', () => {
    const reply = { blocks: 2 ** 40, bfree: 5, bavail: 4, files: 3, ffree: 2, bsize: 4096, namelen: 255, frsize: 512 };
    const expected = Buffer.concat([
      ...[u64(2 ** 40), u64(5), u64(4), u64(3), u64(2), u32(4096), u32(255), u32(512), u32(0), Buffer.alloc(24)],
    ]);
    expect(hex(encode(Op.STATFS, reply))).toBe(hex(expected));
  });

  test.each([Op.GETXATTR, Op.LISTXATTR])('xattr values: size query, value, too small (opcode %i)', (opcode) => {
    const value = Buffer.from('value');
    expect(hex(encode(opcode, value, { size: 0 }))).toBe(hex(Buffer.concat([u32(5), u32(0)])));
    expect(encode(opcode, value, { size: 5 }).toString()).toBe('value');
    expect(encode(opcode, Buffer.alloc(0), { size: 5 })).toHaveLength(0);
    expect(() => encode(opcode, value, { size: 4 })).toThrow('ERANGE');
  });

  test('getlk, readlink, ioctl', () => {
    const lock = { start: 1n, end: 2n ** 63n - 1n, type: 2, pid: 9 };
    const expected = Buffer.concat([u64(1), u64(2n ** 63n - 1n), u32(2), u32(9)]);
    expect(hex(encode(Op.GETLK, lock))).toBe(hex(expected));
    expect(encode(Op.READLINK, Buffer.from('a/b')).toString()).toBe('a/b');
    expect(() => encode(Op.READLINK, Buffer.alloc(4096))).toThrow(RangeError);
    const ioctl = Buffer.concat([u32(3), u32(0), u32(0), u32(0), Buffer.from('xy')]);
    expect(hex(encode(Op.IOCTL, { result: 3, data: Buffer.from('xy') }, { outSize: 2 }))).toBe(hex(ioctl));
  });

  test('statx', () => {
    const time = (sec: number, nsec: number): Buffer => Buffer.concat([u64(sec), u32(nsec), u32(0)]);
    const device = { ...attr, rdev: (0x12 << 20) | (5 << 8) | 7 };
    const stat = Buffer.concat([
      ...[u32(0xfff), u32(4096), u64(0), u32(2), u32(1000), u32(100), u16(0o100644), u16(0)],
      ...[u64(2 ** 52), u64(2 ** 40 + 1), u64(16), u64(0)],
      ...[time(-2, 5), time(9, 8), time(1, 0), time(2 ** 33, 999_999_999)],
      ...[u32(5), u32(0x1207), u32(0), u32(0), Buffer.alloc(112)],
    ]);
    const expected = Buffer.concat([u64(2), u32(0), u32(0), Buffer.alloc(16), stat]);
    const reply = { attrTtlMs: 2000, attr: device, btime: { sec: 9, nsec: 8 } };
    expect(hex(encode(Op.STATX, reply))).toBe(hex(expected));
  });

  test('the header echoes the id bit by bit and never carries an errno the kernel would refuse', () => {
    const writer = new ReplyWriter(Buffer.alloc(64));
    const header = (error: number): Buffer => {
      writer.empty();
      writer.header(error, 0x8000_0001, 0xffff_fffe);
      return Buffer.from(writer.buffer.subarray(0, 16));
    };
    expect(hex(header(2))).toBe(hex(Buffer.concat([u32(16), u32(-2), u64(0x8000_0001_ffff_fffen)])));
    for (const wrong of [512, -2, 1.5, NaN]) expect(header(wrong).readInt32LE(4)).toBe(-5);
    expect(header(511).readInt32LE(4)).toBe(-511);
  });
});

describe('directory listings', () => {
  const dirent = (ino: number, cookie: number, name: string, type: number): Buffer => {
    const length = 24 + name.length;
    return Buffer.concat([
      ...[u64(ino), u64(cookie), u32(name.length), u32(type), Buffer.from(name)],
      Buffer.alloc(((length + 7) & ~7) - length),
    ]);
  };

  test('entries are padded to 8 bytes', () => {
    const listing = new DirentBuffer(Buffer.alloc(4096, 0xee), 4096, undefined);
    expect(listing.add(Buffer.from('abc'), 5, 11, 0o100644)).toBe(true);
    expect(listing.add(Buffer.from('12345678'), 2 ** 52, 12, 0o040755)).toBe(true);
    expect(hex(listing.bytes)).toBe(hex(Buffer.concat([dirent(11, 5, 'abc', 8), dirent(12, 2 ** 52, '12345678', 4)])));
  });

  test('an entry that does not fit leaves no trace', () => {
    const listing = new DirentBuffer(Buffer.alloc(4096), 64, undefined);
    expect(listing.add(Buffer.from('12345678'), 1, 11, 0)).toBe(true); // 32 bytes
    expect(listing.add(Buffer.from('123456789'), 2, 12, 0)).toBe(false); // 40 bytes with padding
    expect(listing.add(Buffer.from('12345678'), 3, 13, 0)).toBe(true);
    expect(listing.bytes).toHaveLength(64);
    expect(listing.add(Buffer.from('1'), 4, 14, 0)).toBe(false);
  });

  test('readdirplus entries carry what lookup replies, and are counted for the undo', () => {
    const listing = new DirentPlusBuffer(Buffer.alloc(4096, 0xee), 4096, undefined);
    listing.addBare(Buffer.from('.'), 1, 1, 0o040755);
    listing.add(Buffer.from('file'), 2, entry);
    listing.addBare(Buffer.from('other'), 3, 8, 0o100644);
    const bare = (body: Buffer): Buffer => Buffer.concat([Buffer.alloc(128), body]);
    expect(hex(listing.bytes)).toBe(
      hex(
        Buffer.concat([
          bare(dirent(1, 1, '.', 4)),
          Buffer.concat([entryBytes, dirent(2 ** 52, 2, 'file', 8)]),
          bare(dirent(8, 3, 'other', 8)),
        ]),
      ),
    );
    const counted: number[] = [];
    listing.forEachLookup((nodeid) => counted.push(nodeid));
    expect(counted).toEqual([2 ** 52]);
  });

  test.each(['', 'a/b', 'a\0b', 'x'.repeat(4096)])(
    'a name that the kernel would refuse is ours to refuse (%#)',
    (name) => {
      const listing = new DirentBuffer(Buffer.alloc(8192), 8192, undefined);
      expect(() => listing.add(Buffer.from(name), 1, 1, 0)).toThrow(RangeError);
      const plus = new DirentPlusBuffer(Buffer.alloc(8192), 8192, undefined);
      expect(() => plus.add(Buffer.from(name), 1, entry)).toThrow(RangeError);
      expect(plus.bytes).toHaveLength(0);
    },
  );
});
