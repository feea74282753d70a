import { describe, expect, test } from '@jest/globals';
import {
  decodeBatch,
  decodeLogHeader,
  encodeBatch,
  encodedBatchBytes,
  encodeLogHeader,
} from '../../../src/kv/batch-codec.js';

const b = (text: string): Buffer => Buffer.from(text, 'latin1');
const batch = {
  deleteRanges: [{ start: b('a'), end: b('bc') }],
  deletes: [b('x\0')],
  puts: [
    { key: b('k'), value: b('value') },
    { key: b('empty'), value: b('') },
  ],
};

function encoded(): Buffer {
  const bytes = Buffer.alloc(encodedBatchBytes(batch));
  expect(encodeBatch(batch, bytes, 0).end).toBe(bytes.length);
  return bytes;
}

describe('batch', () => {
  test('golden bytes', () => {
    expect(encoded().toString('hex')).toBe(
      '2e000000' +
        '01000000' +
        '01000000' +
        '02000000' +
        '0100' +
        '0200' +
        '61' +
        '6263' +
        '0200' +
        '7800' +
        '0100' +
        '05000000' +
        '6b' +
        '76616c7565' +
        '0500' +
        '00000000' +
        '656d707479',
    );
  });

  test('decodes what was encoded, behind other bytes', () => {
    const bytes = Buffer.concat([b('xyz'), encoded(), b('more')]);
    expect(decodeBatch(bytes, 3)).toEqual({ batch, end: 3 + encoded().length });
  });

  test('gives the values where they lie', () => {
    const bytes = Buffer.alloc(100);
    const { values } = encodeBatch(batch, bytes, 10);
    expect(values.map(String)).toEqual(['value', '']);
    expect(values[0]!.buffer).toBe(bytes.buffer);
  });

  test.each([
    ['cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['cut in its head', (bytes: Buffer) => bytes.subarray(0, 15)],
    ['a length too short', (bytes: Buffer) => (bytes.writeUInt32LE(45, 0), bytes)],
    ['a length too long', (bytes: Buffer) => (bytes.writeUInt32LE(47, 0), Buffer.concat([bytes, b('..')]))],
    ['too many entries', (bytes: Buffer) => (bytes.writeUInt32LE(0xffffffff, 12), bytes)],
    ['a key that is too long', (bytes: Buffer) => (bytes.writeUInt16LE(0xffff, 23), bytes)],
    ['one put less', (bytes: Buffer) => (bytes.writeUInt32LE(1, 12), bytes)],
  ])('refuses %s', (_what, spoil) => {
    expect(() => decodeBatch(spoil(encoded()), 0)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });
});

describe('record header', () => {
  test('golden bytes', () => {
    const header = encodeLogHeader(2 ** 40 + 3, 7);
    expect(header.toString('hex')).toBe('01' + '030000000001' + '07000000');
    expect(decodeLogHeader(header)).toEqual({ firstSequence: 2 ** 40 + 3, batches: 7 });
  });

  test('refuses another version or length', () => {
    const header = encodeLogHeader(1, 1);
    expect(() => decodeLogHeader(header.subarray(1))).toThrow(expect.objectContaining({ code: 'corrupt' }));
    header.writeUInt8(2, 0);
    expect(() => decodeLogHeader(header)).toThrow('version 2');
  });
});
