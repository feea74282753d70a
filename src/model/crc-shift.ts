import { crc32 } from 'node:zlib';

/*
 * A CRC-32 continued from a start value is the start value, moved over the bytes, XOR the CRC of the bytes alone: crc32(b, s) = shift(s) ^ crc32(b, 0), as in zlib's
 * crc32_combine. So one pass over a frame gives both its own seeded checksum and its part of a longer one. The shift over a whole frame is linear: four table look-ups.
 */
const FRAME_BYTES = 32 * 1024;
const TABLES: readonly Uint32Array[] = makeTables();

/** A checksum moved over one whole frame's length. */
export function shiftOverFrame(crc: number): number {
  const [t0, t1, t2, t3] = TABLES as readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  return (t0[crc & 0xff]! ^ t1[(crc >>> 8) & 0xff]! ^ t2[(crc >>> 16) & 0xff]! ^ t3[crc >>> 24]!) >>> 0;
}

function makeTables(): Uint32Array[] {
  const zeros = Buffer.alloc(FRAME_BYTES);
  const ofZeros = crc32(zeros);
  return [0, 8, 16, 24].map((low) => {
    const bits = Array.from({ length: 8 }, (_, bit) => crc32(zeros, (1 << (low + bit)) >>> 0) ^ ofZeros);
    return Uint32Array.from(
      { length: 256 },
      (_, byte) => bits.reduce((sum, value, bit) => ((byte >> bit) & 1 ? sum ^ value : sum), 0) >>> 0,
    );
  });
}
