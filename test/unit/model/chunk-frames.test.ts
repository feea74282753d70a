import { describe, expect, test } from '@jest/globals';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import {
  decodeFrames,
  encodeFrames,
  FRAME_CRC_BYTES,
  FRAME_PAYLOAD_BYTES,
  FRAME_STORED_BYTES,
  frameSeed,
  payloadLength,
  placePayload,
  sealFrames,
  storedLength,
  storedOffset,
} from '../../../src/model/chunk-frames.js';
import { shiftOverFrame } from '../../../src/model/crc-shift.js';
import type { ChunkId } from '../../../src/model/ids.js';

const id = (value: number): ChunkId => value as ChunkId;

function payloadOf(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}

function decode(stored: Buffer, chunkId: ChunkId, firstFrame: number): Buffer {
  const out = Buffer.alloc(payloadLength(stored.length) ?? 0);
  expect(decodeFrames(stored, chunkId, firstFrame, out)).toBe(out.length);
  return out;
}

describe('chunk frames', () => {
  test('golden bytes', () => {
    expect(encodeFrames(Buffer.from('hello'), id(42)).toString('hex')).toBe('68656c6c6f' + GOLDEN_42);
    expect(encodeFrames(Buffer.from('hello'), id(2 ** 40 + 42)).toString('hex')).toBe('68656c6c6f' + GOLDEN_BIG);
    expect(encodeFrames(Buffer.alloc(0), id(1))).toHaveLength(0);
  });

  test('any range of whole frames decodes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 * FRAME_PAYLOAD_BYTES }), fc.nat(4), fc.nat(5), (length, from, count) => {
        const payload = payloadOf(length);
        const stored = encodeFrames(payload, id(7));
        expect(stored).toHaveLength(storedLength(length));
        const range = stored.subarray(from * FRAME_STORED_BYTES, (from + count) * FRAME_STORED_BYTES);
        const expected = payload.subarray(from * FRAME_PAYLOAD_BYTES, (from + count) * FRAME_PAYLOAD_BYTES);
        expect(decode(range, id(7), from).equals(expected)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  test('checksums known without a seed give the same frames', () => {
    const payload = payloadOf(3 * FRAME_PAYLOAD_BYTES + 77);
    const expected = encodeFrames(payload, id(123_456_789));
    const stored = Buffer.alloc(expected.length);
    placePayload(stored, 0, payload);
    const plain = [0, 1, 2].map((frame) =>
      crc32(payload.subarray(frame * FRAME_PAYLOAD_BYTES, (frame + 1) * FRAME_PAYLOAD_BYTES)),
    );
    sealFrames(stored, payload.length, id(123_456_789), [plain[0]!, -1, plain[2]!]);
    expect(stored.equals(expected)).toBe(true);
  });

  test('a shift over a frame continues a checksum', () => {
    const first = payloadOf(1000);
    const frame = payloadOf(FRAME_PAYLOAD_BYTES);
    expect((shiftOverFrame(crc32(first)) ^ crc32(frame)) >>> 0).toBe(crc32(Buffer.concat([first, frame])));
  });

  test('decodes in place', () => {
    const payload = payloadOf(3 * FRAME_PAYLOAD_BYTES + 77);
    const stored = encodeFrames(payload, id(3));
    expect(stored.subarray(0, decodeFrames(stored, id(3), 0, stored)).equals(payload)).toBe(true);
  });

  test('payload offsets map to stored offsets', () => {
    expect([0, FRAME_PAYLOAD_BYTES - 1, FRAME_PAYLOAD_BYTES, 3 * FRAME_PAYLOAD_BYTES + 5].map(storedOffset)).toEqual([
      0,
      FRAME_PAYLOAD_BYTES - 1,
      FRAME_STORED_BYTES,
      3 * FRAME_STORED_BYTES + 5,
    ]);
    expect(payloadLength(FRAME_STORED_BYTES + FRAME_CRC_BYTES)).toBeUndefined();
    expect(payloadLength(FRAME_STORED_BYTES + FRAME_CRC_BYTES + 1)).toBe(FRAME_PAYLOAD_BYTES + 1);
  });

  test('refuses a flipped bit anywhere', () => {
    const stored = encodeFrames(payloadOf(2 * FRAME_PAYLOAD_BYTES + 100), id(9));
    for (const at of [0, FRAME_PAYLOAD_BYTES - 1, FRAME_PAYLOAD_BYTES + 1, FRAME_STORED_BYTES, stored.length - 1]) {
      const bad = Buffer.from(stored);
      bad[at]! ^= 4;
      expect(() => decode(bad, id(9), 0)).toThrow('checksum does not match');
    }
  });

  test("refuses another chunk's bytes, a moved frame, and a torn object", () => {
    const stored = encodeFrames(payloadOf(3 * FRAME_PAYLOAD_BYTES), id(9));
    expect(() => decode(stored, id(10), 0)).toThrow('checksum does not match');
    expect(() => decode(stored, id(9 + 2 ** 32), 0)).toThrow('checksum does not match');
    expect(() => decode(stored.subarray(FRAME_STORED_BYTES), id(9), 0)).toThrow('frame 0');
    expect(() => decode(stored.subarray(0, FRAME_STORED_BYTES + 1000), id(9), 0)).toThrow('frame 1');
    expect(() => decode(stored.subarray(0, FRAME_STORED_BYTES + 2), id(9), 0)).toThrow('bytes are missing');
  });

  test('seeds differ between the frames of a chunk and between neighbours', () => {
    const seeds = new Set<number>();
    for (let chunk = 0; chunk < 64; chunk++)
      for (let frame = 0; frame < 512; frame++) seeds.add(frameSeed(id(chunk), frame));
    expect(seeds.size).toBeGreaterThan(64 * 512 - 3);
  });
});

const GOLDEN_42 = '7ff17f67';
const GOLDEN_BIG = '1f599349';
