import { describe, expect, test } from '@jest/globals';
import {
  checkRecordTrailer,
  decodeRecordHead,
  decodeSegmentHeader,
  encodeRecordHead,
  encodeRecordTrailer,
  encodeSegmentHeader,
  RECORD_TRAILER_BYTES,
  recordBytes,
} from '../../../src/journal/segment-format.js';

const segment = { journalId: Buffer.from('0102030405060708', 'hex'), number: 2 ** 33 + 5, firstSequence: 2 ** 40 + 7 };
const head = { kind: 3, headerLength: 2, payloadLength: 5, sequence: 2 ** 40 + 7, durableSequence: 9 };
const payload = Buffer.from('hello');

function record(): Buffer {
  const bytes = Buffer.alloc(recordBytes(2, 5));
  const length = encodeRecordHead(bytes, segment.journalId, segment.number, head, Buffer.from('hd'));
  payload.copy(bytes, length);
  encodeRecordTrailer(bytes, length + payload.length, payload, head.sequence);
  return bytes;
}

describe('segment header', () => {
  test('golden bytes', () => {
    expect(encodeSegmentHeader(segment).toString('hex')).toBe(
      '4346534a01000000' + '0102030405060708' + '0500000002000000' + '0700000000010000' + '00'.repeat(28) + '61edfab9',
    );
    expect(decodeSegmentHeader(encodeSegmentHeader(segment), 'f')).toEqual(segment);
  });

  test('zeros are a segment that is not in use', () => {
    expect(decodeSegmentHeader(Buffer.alloc(64), 'f')).toBeUndefined();
  });

  test.each([
    ['magic', 0, 'corrupt'],
    ['a newer version', 4, 'version'],
    ['journal id', 9, 'corrupt'],
    ['number', 16, 'corrupt'],
    ['checksum', 61, 'corrupt'],
  ])('refuses a changed %s', (_what, at, code) => {
    const bytes = encodeSegmentHeader(segment);
    bytes[at]! ^= 0x40;
    expect(() => decodeSegmentHeader(bytes, 'f')).toThrow(expect.objectContaining({ code }));
  });
});

describe('record', () => {
  test('golden bytes', () => {
    expect(record().toString('hex')).toBe(
      '43465352' +
        '0300' +
        '0200' +
        '05000000' +
        '05000000' +
        '0700000000010000' +
        '0102030405060708' +
        '0900000000000000' +
        '9f31a10f' +
        '6864' +
        '68656c6c6f' +
        '86a61036' +
        '07000000' +
        '0000000000',
    );
    expect(decodeRecordHead(record(), 0, segment)).toEqual(head);
  });

  test('any flipped bit of the head is noticed', () => {
    for (let bit = 0; bit < 46 * 8; bit++) {
      const bytes = record();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeRecordHead(bytes, 0, segment)).toBeUndefined();
    }
  });

  test('any flipped bit of payload or trailer is noticed', () => {
    for (let bit = 46 * 8; bit < (51 + RECORD_TRAILER_BYTES) * 8; bit++) {
      const bytes = record();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(checkRecordTrailer(bytes.subarray(46, 51), bytes.subarray(51, 59), head.sequence)).toBe(false);
    }
    expect(checkRecordTrailer(record().subarray(46, 51), record().subarray(51, 59), head.sequence)).toBe(true);
    expect(checkRecordTrailer(record().subarray(46, 51), record().subarray(51, 58), head.sequence)).toBe(false);
    expect(checkRecordTrailer(record().subarray(46, 51), record().subarray(51, 59), head.sequence + 1)).toBe(false);
  });

  test('a record of another segment or journal is none', () => {
    expect(decodeRecordHead(record(), 0, { ...segment, number: segment.number + 1 })).toBeUndefined();
    expect(decodeRecordHead(record(), 0, { ...segment, journalId: Buffer.alloc(8) })).toBeUndefined();
    expect(decodeRecordHead(record().subarray(0, 43), 0, segment)).toBeUndefined();
    expect(decodeRecordHead(Buffer.alloc(64), 0, segment)).toBeUndefined();
  });
});
