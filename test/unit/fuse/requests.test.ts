import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FuseOpcode as Op } from '../../../src/fuse/abi/opcode.js';
import { DecodeError } from '../../../src/fuse/codec/decode-error.js';
import { opIdOf, RequestReader } from '../../../src/fuse/codec/request-reader.js';
import { OPCODE_TABLE } from '../../../src/fuse/opcode-table.js';
import { cstr, message, u32, u64, type MessageOptions } from './bytes.js';

const BIG = 0xfedc_ba98_7654_3210n;
const OFF_MAX = 2n ** 63n - 1n;
const pad = u32(0);

interface Golden {
  readonly body: readonly Buffer[];
  readonly expected: unknown;
  readonly setxattrExt?: boolean;
  /** Bytes of the body without which it still decodes (data that may be empty, optional fields). */
  readonly optional?: number;
}

const lock = (type: number): Buffer[] => [u64(7), u64(BIG), u64(10), u64(OFF_MAX), u32(type), u32(99), u32(1), pad];
const lockExpected = (wait: boolean): unknown => ({
  fh: 7,
  owner: BIG,
  start: 10n,
  end: OFF_MAX,
  type: 1,
  pid: 99,
  flock: true,
  wait,
});
const io = (size: number, ioFlags: number): Buffer[] => [
  u64(7),
  u64(2 ** 40),
  u32(size),
  u32(ioFlags),
  u64(BIG),
  u32(0x8002),
  pad,
];
const copy = (len: bigint): Buffer[] => [u64(3), u64(4096), u64(12), u64(5), u64(8192), u64(len), u64(0)];
const open = { flags: 0x8001, killSuidgid: true };
const create = { name: Buffer.from('new'), flags: 0x8241, mode: 0o100644, umask: 0o22, killSuidgid: true };
const createBody = [u32(0x8241), u32(0o100644), u32(0o22), u32(1), cstr('new')];
const release = { fh: 7, flags: 2, flush: true, flockUnlock: true, lockOwner: BIG };
const releaseBody = [u64(7), u32(2), u32(3), u64(BIG)];
const setattrTail = (valid: number): Buffer[] => [
  u32(valid),
  pad,
  u64(7), // fh
  u64(2 ** 33), // size
  u64(BIG), // lock_owner
  u64(-2), // atime: 1969-12-31 23:59:58
  u64(2 ** 33), // mtime: after 2038
  u64(5), // ctime
  u32(1),
  u32(999_999_999),
  u32(3),
  u32(0o100755),
  pad,
  u32(1001),
  u32(1002),
  pad,
];

const GOLDEN: Readonly<Partial<Record<Op, readonly Golden[]>>> = {
  [Op.LOOKUP]: [
    { body: [cstr('name')], expected: { name: Buffer.from('name') } },
    { body: [cstr(Buffer.from([0xff, 0xfe]))], expected: { name: Buffer.from([0xff, 0xfe]) } },
  ],
  [Op.FORGET]: [{ body: [u64(3)], expected: 3 }],
  [Op.GETATTR]: [
    { body: [u32(1), pad, u64(9)], expected: { fh: 9 } },
    { body: [u32(0), pad, u64(9)], expected: { fh: undefined } },
  ],
  [Op.SETATTR]: [
    {
      body: setattrTail(0),
      expected: {
        valid: 0,
        fh: undefined,
        mode: undefined,
        uid: undefined,
        gid: undefined,
        size: undefined,
        atime: undefined,
        mtime: undefined,
        ctime: undefined,
        lockOwner: undefined,
        killSuidgid: false,
      },
    },
    {
      body: setattrTail(0xe7f),
      expected: {
        valid: 0xe7f,
        fh: 7,
        mode: 0o100755,
        uid: 1001,
        gid: 1002,
        size: 2 ** 33,
        atime: { sec: -2, nsec: 1 },
        mtime: { sec: 2 ** 33, nsec: 999_999_999 },
        ctime: { sec: 5, nsec: 3 },
        lockOwner: BIG,
        killSuidgid: true,
      },
    },
    {
      body: setattrTail(0x1b0), // ATIME | MTIME with their _NOW bits
      expected: {
        valid: 0x1b0,
        fh: undefined,
        mode: undefined,
        uid: undefined,
        gid: undefined,
        size: undefined,
        atime: 'now',
        mtime: 'now',
        ctime: undefined,
        lockOwner: undefined,
        killSuidgid: false,
      },
    },
  ],
  [Op.READLINK]: [{ body: [], expected: undefined }],
  [Op.SYMLINK]: [
    {
      body: [cstr('link'), cstr('to/there')],
      expected: { name: Buffer.from('link'), target: Buffer.from('to/there') },
    },
  ],
  [Op.MKNOD]: [
    {
      body: [u32(0o020600), u32(0x501), u32(0o77), pad, cstr('dev')],
      expected: { name: Buffer.from('dev'), mode: 0o020600, rdev: 0x501, umask: 0o77 },
    },
  ],
  [Op.MKDIR]: [
    { body: [u32(0o755), u32(0o22), cstr('dir')], expected: { name: Buffer.from('dir'), mode: 0o755, umask: 0o22 } },
  ],
  [Op.UNLINK]: [{ body: [cstr('x')], expected: { name: Buffer.from('x') } }],
  [Op.RMDIR]: [{ body: [cstr('x')], expected: { name: Buffer.from('x') } }],
  [Op.RENAME]: [
    {
      body: [u64(2 ** 52), cstr('old'), cstr('new')],
      expected: { name: Buffer.from('old'), newParent: 2 ** 52, newName: Buffer.from('new'), flags: 0 },
    },
  ],
  [Op.LINK]: [{ body: [u64(12), cstr('hard')], expected: { oldNodeid: 12, name: Buffer.from('hard') } }],
  [Op.OPEN]: [{ body: [u32(0x8001), u32(1)], expected: open }],
  [Op.READ]: [
    {
      body: io(131_072, 2),
      expected: { fh: 7, offset: 2 ** 40, size: 131_072, flags: 0x8002, lockOwner: BIG },
    },
    {
      body: io(1, 0),
      expected: { fh: 7, offset: 2 ** 40, size: 1, flags: 0x8002, lockOwner: undefined },
    },
  ],
  [Op.WRITE]: [
    {
      body: [...io(4, 7), Buffer.from('data')],
      expected: {
        fh: 7,
        offset: 2 ** 40,
        data: Buffer.from('data'),
        writeCache: true,
        killSuidgid: true,
        flags: 0x8002,
        lockOwner: BIG,
      },
    },
  ],
  [Op.STATFS]: [{ body: [], expected: undefined }],
  [Op.RELEASE]: [{ body: releaseBody, expected: release }],
  [Op.FSYNC]: [{ body: [u64(7), u32(1), pad], expected: { fh: 7, datasync: true } }],
  [Op.SETXATTR]: [
    {
      body: [u32(5), u32(1), cstr('user.a'), Buffer.from('value')],
      expected: { name: Buffer.from('user.a'), value: Buffer.from('value'), flags: 1, killSgid: false },
    },
    {
      body: [u32(0), u32(0), u32(1), pad, cstr('system.posix_acl_access')],
      setxattrExt: true,
      expected: { name: Buffer.from('system.posix_acl_access'), value: Buffer.alloc(0), flags: 0, killSgid: true },
    },
  ],
  [Op.GETXATTR]: [{ body: [u32(64), pad, cstr('user.a')], expected: { name: Buffer.from('user.a'), size: 64 } }],
  [Op.LISTXATTR]: [{ body: [u32(64), pad], expected: { size: 64 } }],
  [Op.REMOVEXATTR]: [{ body: [cstr('user.a')], expected: { name: Buffer.from('user.a') } }],
  [Op.FLUSH]: [{ body: [u64(7), pad, pad, u64(BIG)], expected: { fh: 7, lockOwner: BIG } }],
  [Op.INIT]: [
    {
      body: [u32(7), u32(45), u32(131_072), u32(0x73ff_fffb), u32(0x5fd), Buffer.alloc(44)],
      expected: { major: 7, minor: 45, maxReadahead: 131_072, flags: 0x73ff_fffb, flags2: 0x5fd },
      optional: 48, // before 7.36 the kernel sent 16 bytes
    },
    {
      body: [u32(7), u32(31), u32(131_072), u32(0x3ff_fffb)],
      expected: { major: 7, minor: 31, maxReadahead: 131_072, flags: 0x3ff_fffb, flags2: 0 },
    },
  ],
  [Op.OPENDIR]: [{ body: [u32(0x8001), u32(1)], expected: open }],
  [Op.READDIR]: [{ body: io(32_768, 0), expected: { fh: 7, offset: 2 ** 40, size: 32_768, flags: 0x8002 } }],
  [Op.READDIRPLUS]: [{ body: io(32_768, 0), expected: { fh: 7, offset: 2 ** 40, size: 32_768, flags: 0x8002 } }],
  [Op.RELEASEDIR]: [{ body: releaseBody, expected: release }],
  [Op.FSYNCDIR]: [{ body: [u64(7), u32(0), pad], expected: { fh: 7, datasync: false } }],
  [Op.GETLK]: [{ body: lock(1), expected: lockExpected(false) }],
  [Op.SETLK]: [{ body: lock(1), expected: lockExpected(false) }],
  [Op.SETLKW]: [{ body: lock(1), expected: lockExpected(true) }],
  [Op.ACCESS]: [{ body: [u32(4), pad], expected: { mask: 4 } }],
  [Op.CREATE]: [{ body: createBody, expected: create }],
  [Op.TMPFILE]: [{ body: createBody, expected: create }],
  [Op.INTERRUPT]: [{ body: [u64(0x8000_0001_0000_0004n)], expected: { uniqueHi: 0x8000_0001, uniqueLo: 4 } }],
  [Op.BMAP]: [{ body: [], expected: undefined }],
  [Op.DESTROY]: [{ body: [], expected: undefined }],
  [Op.IOCTL]: [
    {
      body: [u64(7), u32(16), u32(0x5401), u64(BIG), u32(3), u32(60), Buffer.from('abc')],
      expected: { fh: 7, flags: 16, cmd: 0x5401, arg: BIG, data: Buffer.from('abc'), outSize: 60 },
    },
  ],
  [Op.POLL]: [{ body: [], expected: undefined }],
  [Op.NOTIFY_REPLY]: [{ body: [], expected: undefined }],
  [Op.BATCH_FORGET]: [
    {
      body: [u32(2), pad, u64(10), u64(1), u64(11), u64(2)],
      expected: [
        { nodeid: 10, nlookup: 1 },
        { nodeid: 11, nlookup: 2 },
      ],
    },
  ],
  [Op.FALLOCATE]: [
    { body: [u64(7), u64(4096), u64(8192), u32(3), pad], expected: { fh: 7, offset: 4096, length: 8192, mode: 3 } },
    {
      body: [u64(7), u64(OFF_MAX), u64(OFF_MAX), u32(0), pad],
      expected: { fh: 7, offset: Number.MAX_SAFE_INTEGER, length: Number.MAX_SAFE_INTEGER, mode: 0 },
    },
  ],
  [Op.RENAME2]: [
    {
      body: [u64(3), u32(1), pad, cstr('old'), cstr('new')],
      expected: { name: Buffer.from('old'), newParent: 3, newName: Buffer.from('new'), flags: 1 },
    },
  ],
  [Op.LSEEK]: [{ body: [u64(7), u64(4096), u32(3), pad], expected: { fh: 7, offset: 4096, whence: 3 } }],
  [Op.COPY_FILE_RANGE]: [
    {
      body: copy(OFF_MAX),
      expected: { fhIn: 3, offsetIn: 4096, nodeidOut: 12, fhOut: 5, offsetOut: 8192, length: 2 ** 30, flags: 0 },
    },
  ],
  [Op.COPY_FILE_RANGE_64]: [
    {
      body: copy(2n ** 40n),
      expected: { fhIn: 3, offsetIn: 4096, nodeidOut: 12, fhOut: 5, offsetOut: 8192, length: 2 ** 40, flags: 0 },
    },
  ],
  [Op.SETUPMAPPING]: [{ body: [], expected: undefined }],
  [Op.REMOVEMAPPING]: [{ body: [], expected: undefined }],
  [Op.SYNCFS]: [{ body: [u64(0)], expected: undefined }],
  [Op.STATX]: [{ body: [u32(1), pad, u64(7), u32(0x100), u32(0xfff)], expected: { fh: 7, flags: 0x100, mask: 0xfff } }],
};

function decode(bytes: Buffer, setxattrExt = false): unknown {
  const reader = new RequestReader();
  reader.setxattrExt = setxattrExt;
  // The device's buffer is larger than the message and holds old bytes after it.
  const buffer = Buffer.concat([bytes, Buffer.alloc(256, 0x41)]);
  reader.load(buffer, bytes.length);
  const row = OPCODE_TABLE[reader.opcode];
  if (row === undefined) throw new Error('no row');
  reader.need(row.minSize);
  return row.decode(reader);
}

const decodeCode = (bytes: Buffer, setxattrExt = false): string | undefined => {
  try {
    decode(bytes, setxattrExt);
    return undefined;
  } catch (error) {
    if (error instanceof DecodeError) return error.code;
    throw error;
  }
};

const cases = OPCODE_TABLE.flatMap((row) =>
  row === undefined
    ? []
    : (GOLDEN[row.opcode] ?? []).map((golden, i) => [`${row.name} ${i}`, row.opcode, golden] as const),
);

describe('requests', () => {
  test('every opcode of the table has golden bytes', () => {
    const missing = OPCODE_TABLE.filter((row) => row !== undefined && GOLDEN[row.opcode] === undefined);
    expect(missing).toEqual([]);
    expect(OPCODE_TABLE.filter((row) => row !== undefined)).toHaveLength(Object.keys(Op).length / 2);
  });

  test.each(cases)('%s decodes', (_name, opcode, golden) => {
    expect(decode(message(opcode, golden.body), golden.setxattrExt)).toEqual(golden.expected);
  });

  test.each(cases.filter(([, , golden]) => Buffer.concat(golden.body).length > 0))(
    '%s cut short at any byte is refused, never read past its end',
    (_name, opcode, golden) => {
      const body = Buffer.concat(golden.body);
      const required = body.length - (golden.optional ?? 0);
      for (let length = 0; length < required; length++) {
        const code = decodeCode(message(opcode, [body.subarray(0, length)]), golden.setxattrExt);
        expect([length, code]).toEqual([length, expect.stringMatching(/^(truncated|unterminated-name)$/)]);
      }
    },
  );

  test('data and names are bounded by the message, extensions by the header', () => {
    const groups = Buffer.concat([u32(16), u32(32), u32(1), u32(777)]);
    const body = [u32(0o755), u32(0o22), Buffer.from('dir')];
    expect(decodeCode(message(Op.MKDIR, body, { extension: groups }))).toBe('unterminated-name');
    expect(decodeCode(message(Op.WRITE, [...io(9, 0), Buffer.from('data')]))).toBe('truncated');
    expect(decodeCode(message(Op.BATCH_FORGET, [u32(0xffff_ffff), pad]))).toBe('truncated');
  });

  test('offsets beyond what a number holds are the largest one, for the file system to say EFBIG', () => {
    const far = [u64(7), u64(2n ** 62n), u32(1), pad, u64(0), u32(0), pad];
    expect(decode(message(Op.READ, far))).toMatchObject({ offset: Number.MAX_SAFE_INTEGER });
  });

  test('values out of range are refused', () => {
    expect(decodeCode(message(Op.OPEN, [u32(0), u32(0)], { nodeid: 2n ** 53n }))).toBe('unsafe-integer');
    expect(decodeCode(message(Op.RENAME, [u64(2n ** 60n), cstr('a'), cstr('b')]))).toBe('unsafe-integer');
    expect(decodeCode(message(Op.READ, [u64(2n ** 53n), u64(7), u32(1), pad, u64(0), u32(0), pad]))).toBe(
      'unsafe-integer',
    );
    const lockType = lock(3);
    expect(decodeCode(message(Op.SETLK, lockType))).toBe('bad-value');
    const nsec = Buffer.concat(setattrTail(0x10));
    nsec.writeUInt32LE(1_000_000_000, 56);
    expect(decodeCode(message(Op.SETATTR, [nsec]))).toBe('bad-value');
  });

  test('the header must tell the length that was read', () => {
    expect(decodeCode(message(Op.LOOKUP, [cstr('x')], { length: 41 }))).toBe('length-mismatch');
    const reader = new RequestReader();
    expect(() => {
      reader.load(Buffer.alloc(64), 39);
    }).toThrow(DecodeError);
    const extensions = message(Op.LOOKUP, [cstr('x')]);
    extensions.writeUInt16LE(9, 36);
    expect(decodeCode(extensions)).toBe('length-mismatch');
  });

  test('the group extension of a create is read from the end', () => {
    const load = (options: MessageOptions): number | undefined => {
      const reader = new RequestReader();
      const bytes = message(Op.MKDIR, [u32(0o755), u32(0o22), cstr('dir')], options);
      reader.load(bytes, bytes.length);
      return reader.createSuppGid();
    };
    const groups = Buffer.concat([u32(16), u32(32), u32(1), u32(777)]);
    const security = Buffer.concat([u32(8), u32(1)]);
    expect(load({})).toBeUndefined();
    expect(load({ extension: groups })).toBe(777);
    expect(load({ extension: Buffer.concat([security, groups]) })).toBe(777);
    expect(load({ extension: Buffer.concat([u32(12), u32(32), u32(0), pad]) })).toBeUndefined();
    expect(() => load({ extension: Buffer.concat([u32(400), u32(32)]) })).toThrow(DecodeError);
    expect(() => load({ extension: Buffer.concat([u32(8), u32(32)]) })).toThrow(DecodeError);
    expect(() => load({ extension: Buffer.concat([u32(0), u32(0)]) })).toThrow(DecodeError);
  });

  test('an operation id is the unique number without the resend and interrupt bits', () => {
    expect(opIdOf(0, 4)).toBe(4);
    expect(opIdOf(0x8000_0001, 5)).toBe(2 ** 32 + 4);
    expect(() => opIdOf(0x20_0000, 0)).toThrow(DecodeError);
  });

  test('arbitrary bytes decode, or are refused with a decode error', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 53 }), fc.uint8Array({ maxLength: 200 }), (opcode, bytes) => {
        if (OPCODE_TABLE[opcode] === undefined) return;
        decodeCode(message(opcode, [Buffer.from(bytes)]));
      }),
      { numRuns: 2000 },
    );
  });
});
