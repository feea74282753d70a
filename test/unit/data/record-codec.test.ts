import { describe, expect, test } from '@jest/globals';
import {
  decodeCommitted,
  decodeIntent,
  decodeSetattr,
  decodeSetattrDone,
  decodeWrite,
  encodeCommitted,
  encodeIntent,
  encodeSetattr,
  encodeSetattrDone,
  RecordEncoder,
} from '../../../src/data/write/record-codec.js';
import type { ChunkId, Ino } from '../../../src/model/ids.js';

const ino = (2 ** 52 - 1) as Ino;
const write = {
  session: 7,
  ino,
  offset: 2 ** 50 - 1,
  mtime: { sec: -5, nsec: 999_999_999 },
  killPriv: true,
  change: 11,
  writerEpoch: 3,
  truncEpoch: 2,
  timeEpoch: 1,
};
const ranges = [
  { offset: 0, length: 4096, sequence: 17 },
  { offset: 2 ** 49, length: 1, sequence: 2 ** 40 },
];

describe('journal record headers', () => {
  test('golden bytes of a write', () => {
    expect(Buffer.from(new RecordEncoder().write(write)).toString('hex')).toBe(
      '01010000ffc99a3b' +
        '00000000000014c0' +
        'feffffffffff2f43' +
        'f8ffffffffff0f43' +
        '0000000000001c40' +
        '0000000000002640' +
        '0000000000000840' +
        '0000000000000040' +
        '000000000000f03f' +
        '0000000000000000',
    );
  });

  test('round trips', () => {
    expect(decodeWrite(new RecordEncoder().write(write))).toEqual(write);
    const opId = { kind: 'kernel' as const, number: 2 ** 52, step: 3 };
    for (const size of [undefined, 0, 123]) {
      for (const setsMode of [true, false]) {
        const setattr = { session: 7, ino, opId, size, setsMode };
        expect(decodeSetattr(encodeSetattr(setattr))).toEqual(setattr);
        const done = { ino, begin: 44, applied: setsMode, change: 5, size, setsMode };
        expect(decodeSetattrDone(encodeSetattrDone(done))).toEqual(done);
      }
    }
    const intent = { session: 7, ino, chunkIds: [5, 2 ** 53 - 1] as ChunkId[], ranges };
    const encoded = encodeIntent(intent);
    expect(decodeIntent(encoded.header, encoded.payload)).toEqual(intent);
    const committed = { ino, through: 99, change: 12, ranges };
    const second = encodeCommitted(committed);
    expect(decodeCommitted(second.header, second.payload)).toEqual(committed);
  });

  test('refuses other versions, cut headers and cut lists', () => {
    const good = Buffer.from(new RecordEncoder().write(write));
    const newer = Buffer.from(good);
    newer[0] = 2;
    expect(() => decodeWrite(newer)).toThrow('version 2, this program knows 1');
    expect(() => decodeWrite(good.subarray(0, 79))).toThrow('79 bytes');
    expect(() => decodeWrite(Buffer.alloc(0))).toThrow('version none');
    const { header, payload } = encodeIntent({ session: 1, ino, chunkIds: [1 as ChunkId], ranges });
    expect(() => decodeIntent(header, payload.subarray(0, payload.length - 1))).toThrow('cut short');
    expect(() => decodeIntent(header, payload.subarray(0, 7))).toThrow('cut short');
    expect(() => decodeSetattr(header)).toThrow('24 bytes');
  });
});
