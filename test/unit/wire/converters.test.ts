import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Attr, OpId, FsInfo as FsInfoMessage } from '../../../src/gen/curvefs/v1/common.js';
import {
  CommitExtents,
  Create,
  DirEntry,
  Open,
  Rename,
  Setattr,
  SwapExtents,
} from '../../../src/gen/curvefs/v1/metaserver.js';
import type { FsInfo } from '../../../src/model/filesystem.js';
import type { FsId, Ino } from '../../../src/model/ids.js';
import type { CommitSpec, CreateSpec, OpenSpec, SetAttr, SwapSpec } from '../../../src/model/operation.js';
import { attrFromProto, attrToProto, timespecFromProto } from '../../../src/wire/attr.js';
import { blocksFromProto } from '../../../src/wire/extent.js';
import { fsInfoFromProto, fsInfoToProto, storageFromProto } from '../../../src/wire/filesystem.js';
import { opIdFromProto, opIdToProto } from '../../../src/wire/op-id.js';
import {
  commitSpecFromProto,
  commitToProto,
  createSpecFromProto,
  createToProto,
  dirEntryFromProto,
  dirEntryToProto,
  openSpecFromProto,
  openToProto,
  renameFromProto,
  renameToProto,
  setAttrFromProto,
  setAttrToProto,
  swapSpecFromProto,
  swapToProto,
} from '../../../src/wire/operation.js';
import { safeNumber, safeSignedNumber } from '../../../src/wire/safe-number.js';
import { aName, anAttr, anFh, anIno, aTime, safe, someBlocks } from '../../helpers/arbitraries.js';

const u32 = fc.nat({ max: 0xffff_ffff });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const aSetTime = maybe(fc.oneof(aTime, fc.constant('now' as const)));
const aStorage = fc.oneof(
  fc.record({ kind: fc.constant('file' as const), path: fc.string().map((path) => `/${path}`) }),
  fc.record({
    kind: fc.constant('s3' as const),
    bucket: fc.string({ minLength: 1 }),
    prefix: fc.string(),
    endpoint: fc.string(),
    region: fc.string(),
    pathStyle: fc.boolean(),
  }),
);
const someChunks = fc.array(fc.record({ chunkId: safe, size: u32 }), { maxLength: 5 });
const anOpenSpec: fc.Arbitrary<OpenSpec> = fc.record({
  fh: anFh,
  write: fc.boolean(),
  truncate: fc.boolean(),
  killPriv: fc.boolean(),
});

/** Through the encoded bytes and back. */
const encoded = <T>(
  fns: { encode(message: T): { finish(): Uint8Array }; decode(bytes: Uint8Array): T },
  message: T,
): T => fns.decode(Buffer.from(fns.encode(message).finish()));

describe('what is converted to proto, encoded, decoded and converted back is the same', () => {
  test('attributes', () => {
    fc.assert(fc.property(anAttr, (attr) => expect(attrFromProto(encoded(Attr, attrToProto(attr)))).toEqual(attr)));
  });

  test('op ids', () => {
    const anOpId = fc.record({ kind: fc.constantFrom('kernel' as const, 'client' as const), number: safe, step: u32 });
    fc.assert(fc.property(anOpId, (opId) => expect(opIdFromProto(encoded(OpId, opIdToProto(opId)))).toEqual(opId)));
  });

  test('filesystems', () => {
    const anFs = fc.record({
      id: fc.integer({ min: 1, max: 0xffff_ffff }),
      uuid: fc.uuid(),
      name: fc.string(),
      storage: aStorage,
      blockSizeBytes: u32,
      capacityBytes: safe,
      inodesMax: safe,
      chunkFormat: u32,
      metaserver: fc.string(),
      createdMs: safe,
    }) as fc.Arbitrary<object> as fc.Arbitrary<FsInfo>;
    fc.assert(
      fc.property(anFs, (fs) => expect(fsInfoFromProto(encoded(FsInfoMessage, fsInfoToProto(fs)))).toEqual(fs)),
    );
  });

  test('setattr', () => {
    const aChange: fc.Arbitrary<SetAttr> = fc.record({
      mode: maybe(u32),
      uid: maybe(u32),
      gid: maybe(u32),
      size: maybe(safe),
      atime: aSetTime,
      mtime: aSetTime,
      ctime: maybe(aTime),
      killPriv: fc.boolean(),
      killSgid: fc.boolean(),
    });
    fc.assert(
      fc.property(anIno, aChange, (ino, change) => {
        expect(setAttrFromProto(encoded(Setattr, setAttrToProto(ino, change)))).toEqual(change);
      }),
    );
  });

  test('create and open', () => {
    const aSpec: fc.Arbitrary<CreateSpec> = fc.record({
      mode: u32,
      umask: u32,
      uid: u32,
      gid: u32,
      mayKeepSgid: fc.boolean(),
      rdev: u32,
      target: maybe(aName),
      open: maybe(anOpenSpec),
      exclusive: fc.boolean(),
      unnamed: fc.boolean(),
    });
    fc.assert(
      fc.property(anIno, aName, aSpec, (parent, name, spec) => {
        const proto = encoded(Create, createToProto(parent, name, spec));
        expect({ parent: Number(proto.parent), name: proto.name }).toEqual({ parent, name });
        expect(createSpecFromProto(proto)).toEqual(spec);
      }),
    );
    fc.assert(
      fc.property(anIno, anOpenSpec, (ino, spec) => {
        expect(openSpecFromProto(encoded(Open, openToProto(ino, spec)).spec)).toEqual(spec);
      }),
    );
  });

  test('rename', () => {
    const aRef = fc.record({ parent: anIno, name: aName });
    fc.assert(
      fc.property(aRef, aRef, u32, fc.record({ uid: u32, gid: u32 }), (from, to, flags, whiteout) => {
        expect(renameFromProto(encoded(Rename, renameToProto(from, to, flags, whiteout)))).toEqual({
          from,
          to,
          flags,
          whiteout,
        });
      }),
    );
  });

  test('directory entries', () => {
    const anEntry = fc.record({ name: aName, ino: anIno, type: u32, cookie: safe, attr: maybe(anAttr) });
    fc.assert(
      fc.property(anEntry, (entry) =>
        expect(dirEntryFromProto(encoded(DirEntry, dirEntryToProto(entry)))).toEqual(entry),
      ),
    );
  });

  test('commit and swap', () => {
    const aCommit = fc.record({
      blocks: someBlocks,
      chunks: someChunks,
      sizeAtLeast: maybe(safe),
      mtime: maybe(aTime),
      truncEpoch: u32,
      timeEpoch: u32,
      killPriv: fc.boolean(),
    }) as fc.Arbitrary<object> as fc.Arbitrary<CommitSpec>;
    fc.assert(
      fc.property(anIno, aCommit, (ino, spec) => {
        expect(commitSpecFromProto(encoded(CommitExtents, commitToProto(ino, spec)))).toEqual(spec);
      }),
    );
    const aSwap = fc.record({
      expected: someBlocks,
      replacement: someBlocks,
      chunks: someChunks,
    }) as fc.Arbitrary<object> as fc.Arbitrary<SwapSpec>;
    fc.assert(
      fc.property(anIno, aSwap, (ino, spec) => {
        expect(swapSpecFromProto(encoded(SwapExtents, swapToProto(ino, spec)))).toEqual(spec);
      }),
    );
  });
});

describe('malformed messages are refused, naming the field', () => {
  const attr = attrToProto(fc.sample(anAttr, 1)[0]!);
  const storage = { kind: 'file' as const, path: '/objects' };
  const fs = fsInfoToProto({
    id: 1 as FsId,
    uuid: '',
    name: '',
    storage,
    blockSizeBytes: 1,
    capacityBytes: 0,
    inodesMax: 0,
    chunkFormat: 1,
    metaserver: '',
    createdMs: 0,
  });
  const extent = { offset: 10, length: 5, chunkId: 1n, chunkOffset: 0 };

  test.each([
    ['a size beyond 2^53 - 1', () => attrFromProto({ ...attr, size: 2n ** 53n }), 'out-of-range', 'attr.size'],
    [
      'a change number of 64 bits',
      () => attrFromProto({ ...attr, change: 2n ** 64n - 1n }),
      'out-of-range',
      'attr.change',
    ],
    ['no inode number', () => attrFromProto({ ...attr, ino: 0n }), 'unset', 'attr.ino'],
    ['no mtime', () => attrFromProto({ ...attr, mtime: undefined }), 'unset', 'attr.mtime'],
    ['a second of nanoseconds', () => timespecFromProto({ sec: 0n, nsec: 1_000_000_000 }, 'at'), 'out-of-range', 'at'],
    ['an op id without a kind', () => opIdFromProto({ kind: 0, number: 1n, step: 0 }), 'unknown-value', 'opId.kind'],
    [
      'an op id of an unknown kind',
      () => opIdFromProto({ kind: 7 as 1, number: 1n, step: 0 }),
      'unknown-value',
      'opId.kind',
    ],
    ['no storage', () => fsInfoFromProto({ ...fs, storage: undefined }), 'unset', 'storage'],
    ['no filesystem id', () => fsInfoFromProto({ ...fs, id: 0 }), 'unset', 'fs.id'],
    [
      'a relative path',
      () => storageFromProto({ kind: { $case: 'file', value: { path: 'objects' } } }),
      'unknown-value',
      'storage.file.path',
    ],
    ['open without a spec', () => openSpecFromProto(undefined), 'unset', 'open.spec'],
    [
      'a time that is neither',
      () => setAttrFromProto({ ...setAttrToProto(1 as Ino, {}), atime: { value: undefined } }),
      'unset',
      'setattr.atime',
    ],
    [
      'a time that is not now',
      () => setAttrFromProto({ ...setAttrToProto(1 as Ino, {}), mtime: { value: { $case: 'now', value: false } } }),
      'unknown-value',
      'setattr.mtime',
    ],
    [
      'an empty extent',
      () => blocksFromProto([{ block: 0, extents: [{ ...extent, length: 0 }] }]),
      'unset',
      'extent.length',
    ],
    [
      'extents that overlap',
      () => blocksFromProto([{ block: 0, extents: [extent, { ...extent, offset: 14 }] }]),
      'unknown-value',
      'extent.offset',
    ],
    [
      'blocks out of order',
      () =>
        blocksFromProto([
          { block: 2, extents: [] },
          { block: 2, extents: [] },
        ]),
      'unknown-value',
      'blocks',
    ],
  ])('%s', (_, convert, code, field) => {
    expect(convert).toThrow(expect.objectContaining({ name: 'WireError', code, field }));
  });

  test('the limits of safe integers are inside', () => {
    expect(safeNumber(2n ** 53n - 1n, 'f')).toBe(Number.MAX_SAFE_INTEGER);
    expect(safeSignedNumber(-(2n ** 53n) + 1n, 'f')).toBe(-Number.MAX_SAFE_INTEGER);
    expect(() => safeSignedNumber(-(2n ** 53n), 'f')).toThrow('f:');
    expect(() => safeNumber(-1n, 'f')).toThrow('f:');
  });
});
