import { describe, expect, test } from '@jest/globals';
import { MetaserverError } from '../../../src/metaserver/metaserver-error.js';
import { blockCodec } from '../../../src/metaserver/records/block-record.js';
import { bucketCodec } from '../../../src/metaserver/records/bucket-record.js';
import { chunkCodec } from '../../../src/metaserver/records/chunk-record.js';
import { countersCodec } from '../../../src/metaserver/records/counters-record.js';
import { deletionCodec } from '../../../src/metaserver/records/deletion-record.js';
import { filesystemCodec } from '../../../src/metaserver/records/filesystem-record.js';
import { inodeCodec, type InodeRecord } from '../../../src/metaserver/records/inode-record.js';
import type { RecordCodec } from '../../../src/metaserver/records/record-codec.js';
import { RecordWriter } from '../../../src/metaserver/records/record-writer.js';
import { replyGroupCodec } from '../../../src/metaserver/records/reply-group-record.js';
import { sessionCodec } from '../../../src/metaserver/records/session-record.js';
import { markCodec, openCodec, xattrCodec } from '../../../src/metaserver/records/simple-records.js';
import { makeIno, type ChunkId, type Ino, type SessionId } from '../../../src/model/ids.js';
import { FS } from './slot-harness.js';

const ino = makeIno(2, 3);
const inode: InodeRecord = {
  attr: {
    ino,
    mode: 0o100644,
    nlink: 1,
    uid: 1000,
    gid: 4_294_967_295,
    rdev: 0,
    size: 2 ** 40 + 1,
    allocatedBytes: 8192,
    atime: { sec: -1, nsec: 999_999_999 },
    mtime: { sec: 1_700_000_000, nsec: 5 },
    ctime: { sec: 2 ** 33, nsec: 0 },
    btime: { sec: 0, nsec: 0 },
    change: 9,
    writerEpoch: 2,
    lastWriter: 7,
    truncEpoch: 4,
    timeEpoch: 1,
    parent: 0 as Ino,
    hasXattrs: true,
    aclChange: 0,
    quota: 0 as Ino,
  },
  entries: 0,
  mtimeExplicit: true,
  linkable: false,
  quotaRoot: false,
  dataChange: 8,
  foreignDataChange: 3,
  xattrCount: 1,
  xattrBytes: 30,
  truncations: [{ epoch: 4, size: 100 }],
  trims: [],
  target: undefined,
};

interface Case<Value = never> {
  readonly name: string;
  readonly codec: RecordCodec<Value>;
  readonly value: Value;
  readonly golden: string;
}

function row<Value>(name: string, codec: RecordCodec<Value>, value: Value, golden: string): Case {
  return { name, codec, value, golden: golden.replaceAll(' ', '') } as unknown as Case;
}

const cases: readonly Case[] = [
  row(
    'inode',
    inodeCodec,
    inode,
    '01 01 0000020000000003 000081a4 00000001 000003e8 ffffffff 00000000 0000010000000001 0000000000002000' +
      'ffffffffffffffff 3b9ac9ff 000000006553f100 00000005 0000000200000000 00000000 0000000000000000 00000000' +
      '0000000000000009 0000000000000002 0000000000000007 00000004 00000001 0000000000000008 0000000000000003 0000000000000000 00000000 00000001 0000001e' +
      '01 00000004 0000000000000064 00 0000',
  ),
  row(
    'symlink',
    inodeCodec,
    {
      ...inode,
      target: Buffer.from('to'),
      mtimeExplicit: false,
      linkable: true,
      trims: [{ epoch: 1, size: 2 }],
      truncations: [],
    },
    '01 02 0000020000000003 000081a4 00000001 000003e8 ffffffff 00000000 0000010000000001 0000000000002000' +
      'ffffffffffffffff 3b9ac9ff 000000006553f100 00000005 0000000200000000 00000000 0000000000000000 00000000' +
      '0000000000000009 0000000000000002 0000000000000007 00000004 00000001 0000000000000008 0000000000000003 0000000000000000 00000000 00000001 0000001e' +
      '00 01 00000001 0000000000000002 0002 746f',
  ),
  row(
    'inode with an ACL',
    inodeCodec,
    { ...inode, attr: { ...inode.attr, aclChange: 8 }, truncations: [] },
    '01 05 0000020000000003 000081a4 00000001 000003e8 ffffffff 00000000 0000010000000001 0000000000002000' +
      'ffffffffffffffff 3b9ac9ff 000000006553f100 00000005 0000000200000000 00000000 0000000000000000 00000000' +
      '0000000000000009 0000000000000002 0000000000000007 00000004 00000001 0000000000000008 0000000000000003 0000000000000000 00000000 00000001 0000001e' +
      '00 00 0000 0000000000000008',
  ),
  row(
    'bucket',
    bucketCodec,
    [
      { name: Buffer.from([0xff]), ino, type: 0o040000, place: 0 },
      { name: Buffer.from('b'), ino: 5 as Ino, type: 0o100000, place: 3 },
    ],
    '01 02 00 04 0000020000000003 01 ff 03 08 0000000000000005 01 62',
  ),
  row(
    'block',
    blockCodec,
    { epoch: 2, extents: [{ offset: 1, length: 2, chunkId: (2 ** 52) as ChunkId, chunkOffset: 3 }] },
    '01 00000002 00000001 00000002 0010000000000000 00000003',
  ),
  row(
    'chunk',
    chunkCodec,
    { size: 100, liveBytes: 50, session: 2 as SessionId, dead: true },
    '01 00000064 0000000000000032 0000000000000002 01',
  ),
  row('deletion of an object', deletionCodec, 'object', '01 01'),
  row('deletion of a row', deletionCodec, 'row', '01 02'),
  row(
    'counters',
    countersCodec,
    { usedBytes: 1, usedInodes: 2, reservedBytes: 3, deletesQueued: 4, nextInoSeq: 5, nextSession: 6 as SessionId },
    '01 0000000000000001 0000000000000002 0000000000000003 0000000000000004 0000000000000005 0000000000000006',
  ),
  row(
    'session',
    sessionCodec,
    {
      clientUuid: 'u',
      host: 'h',
      mountpoint: 'm',
      pid: 1,
      version: 'v',
      readOnly: true,
      startedMs: 2,
      endedMs: 3,
      incarnation: 4,
      reservedBytes: 5,
    },
    '01 0001 75 0001 68 0001 6d 00000001 0001 76 01 0000000000000002 0000000000000003 00000004 0000000000000005',
  ),
  row(
    'replies',
    replyGroupCodec,
    [{ opKey: '2.1.0', body: Buffer.from([1, 2]) }],
    '01 0001 0005 322e312e30 00000002 0102',
  ),
  row('mark', markCodec, true, '01'),
  row('open', openCodec, ino, '01 0000020000000003'),
  row('xattr', xattrCodec, Buffer.from('v'), '01 76'),
  row(
    'filesystem',
    filesystemCodec,
    { info: FS, hashKey: Buffer.from('12345678'), deleting: false },
    '01 00 3132333435363738 00000003 0006 757569642d33 0004 74657374 00010000 0000000000000000 0000000000000000 00000001' +
      '000b 6c6f63616c686f73743a31 0000000000000000 01 0008 2f6e6f7768657265',
  ),
];

const writer = new RecordWriter();

describe.each(cases)('$name record', ({ codec, value, golden }) => {
  test('is stored as these bytes and read back', () => {
    codec.encode(value, writer.begin());
    const bytes = writer.finish();
    expect(bytes.toString('hex')).toBe(golden);
    expect(codec.decode(bytes)).toEqual(value);
  });

  test('is refused with another version, cut short, or with a byte too many', () => {
    const bytes = Buffer.from(golden, 'hex');
    expect(() => codec.decode(Buffer.concat([Buffer.from([2]), bytes.subarray(1)]))).toThrow(MetaserverError);
    expect(() => codec.decode(Buffer.alloc(0))).toThrow(MetaserverError);
    if (codec === (xattrCodec as unknown)) return;
    if (bytes.length > 1) expect(() => codec.decode(bytes.subarray(0, -1))).toThrow(MetaserverError);
    expect(() => codec.decode(Buffer.concat([bytes, Buffer.from([0])]))).toThrow(MetaserverError);
  });
});

describe('malformed records', () => {
  test.each([
    ['a bucket without entries', bucketCodec, '01 00'],
    ['an entry without a name', bucketCodec, '01 01 00 04 0000020000000003 00'],
    ['a block without extents', blockCodec, '01 00000002'],
    ['an empty extent', blockCodec, '01 00000002 00000001 00000000 0000000000000001 00000003'],
    [
      'overlapping extents',
      blockCodec,
      '01 00000002 00000000 00000002 0000000000000001 00000000 00000001 00000002 0000000000000001 00000000',
    ],
    ['a chunk id above 2^53', blockCodec, '01 00000002 00000001 00000002 0020000000000000 00000003'],
    ['a deletion of nothing', deletionCodec, '01 03'],
    ['a chunk in no state', chunkCodec, '01 00000064 0000000000000032 0000000000000002 02'],
  ])('%s', (_, codec, hex) => {
    expect(() => codec.decode(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toThrow(MetaserverError);
  });
});
