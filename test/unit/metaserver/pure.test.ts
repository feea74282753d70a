import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { allocatedBytes } from '../../../src/model/allocated-bytes.js';
import {
  blockOfKey,
  deletionOfKey,
  firstOfKey,
  hashOfKey,
  Keys,
  secondOfKey,
  xattrNameOfKey,
} from '../../../src/metaserver/keys.js';
import { NameHash } from '../../../src/metaserver/name-hash.js';
import { GenerationCache } from '../../../src/metaserver/store/generation-cache.js';
import { addTruncation, clipBlock, sizeLimit } from '../../../src/metaserver/truncation.js';
import type { Truncation } from '../../../src/metaserver/records/inode-record.js';
import type { ChunkId, Fh, FsId, Ino, SessionId } from '../../../src/model/ids.js';

const keys = new Keys(258 as FsId);
const safe = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

describe('keys', () => {
  test('are these bytes', () => {
    expect(Buffer.from(keys.bucket((2 ** 40) as Ino, 0x010203040506), 'latin1').toString('hex')).toBe(
      '46000001026b000001000000000044010203040506',
    );
    expect(Buffer.from(keys.block(1 as Ino, 7), 'latin1').toString('hex')).toBe(
      '46000001026b00000000000000014200000007',
    );
  });

  test('order as their numbers and give them back', () => {
    fc.assert(
      fc.property(safe, safe, (a, b) => {
        expect(keys.inode(a as Ino) < keys.inode(b as Ino)).toBe(a < b);
        expect(firstOfKey(keys.orphan(a as Ino))).toBe(a);
        expect(secondOfKey(keys.open(a as SessionId, b as Fh))).toBe(b);
        expect(blockOfKey(keys.block(a as Ino, b % 2 ** 32))).toBe(b % 2 ** 32);
        const hash = b % 2 ** 48;
        expect(hashOfKey(keys.bucket(a as Ino, hash))).toBe(hash);
        const deletion = { dueMs: hash, chunkId: a as ChunkId };
        expect(deletionOfKey(keys.deletion(hash, a as ChunkId))).toEqual(deletion);
      }),
    );
  });

  test('keep bytes of names', () => {
    const name = Buffer.from([0, 0xff, 0x80, 0x41]);
    expect(xattrNameOfKey(keys.xattr(5 as Ino, name))).toEqual(name);
  });
});

describe('name hash', () => {
  test('is HalfSipHash-1-3 cut to 48 bits', () => {
    const key = Buffer.from([0, 1, 2, 3, 4, 5, 6, 7]);
    // first vector of the reference implementation (vectors_hsip64, 2-4 rounds)
    expect(halfSipHash(key, Buffer.alloc(0), 2, 4).toString('hex')).toBe('218d1f59b9b83cc8');
    const hash = new NameHash(key);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (name) => {
        expect(hash.of(name)).toBe(halfSipHash(key, name, 1, 3).readUIntLE(0, 6));
      }),
    );
  });

  test('stays in its range and depends on the key', () => {
    const one = new NameHash(Buffer.from('12345678'));
    const other = new NameHash(Buffer.from('12345679'));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 255 }), (name) => {
        const hash = one.of(name);
        expect(Number.isInteger(hash) && hash >= 1 && hash < 2 ** 48).toBe(true);
        expect(other.of(name)).not.toBe(hash);
      }),
    );
  });

  test('spreads: few of 100 000 names share a hash', () => {
    const hash = new NameHash(Buffer.from('12345678'));
    const seen = new Set<number>();
    for (let i = 0; i < 100_000; i++) seen.add(hash.of(Buffer.from(`file-${i}`)));
    expect(seen.size).toBeGreaterThan(99_990);
  });
});

describe('truncations', () => {
  test('clip what was written before by the smallest size since', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 30 }), fc.nat(31), (sizes, writtenAt) => {
        let history: readonly Truncation[] = [];
        sizes.forEach((size, i) => (history = addTruncation(history, i + 1, size)));
        const since = sizes.slice(Math.min(writtenAt, sizes.length));
        expect(sizeLimit(history, writtenAt)).toBe(since.length === 0 ? Infinity : Math.min(...since));
      }),
    );
  });

  test('cut a block where the file ends', () => {
    const extents = [
      { offset: 0, length: 10, chunkId: 1 as ChunkId, chunkOffset: 0 },
      { offset: 20, length: 10, chunkId: 2 as ChunkId, chunkOffset: 5 },
    ];
    expect(clipBlock(extents, 1, 100, 100)).toEqual([]);
    expect(clipBlock(extents, 1, 100, 125)).toEqual([extents[0], { ...extents[1], length: 5 }]);
    expect(clipBlock(extents, 1, 100, 130)).toBe(extents);
    expect(clipBlock(extents, 0, 100, Infinity)).toBe(extents);
  });
});

test('allocation counts each 4 KiB unit once', () => {
  const extent = (offset: number, length: number) => ({ offset, length, chunkId: 1 as ChunkId, chunkOffset: 0 });
  expect(allocatedBytes([])).toBe(0);
  expect(allocatedBytes([extent(0, 1)])).toBe(4096);
  expect(allocatedBytes([extent(0, 1), extent(100, 1), extent(4095, 2)])).toBe(8192);
  expect(allocatedBytes([extent(4096, 4096), extent(12_288, 1)])).toBe(8192);
});

describe('generation cache', () => {
  test('keeps what is used within its bound', () => {
    const cache = new GenerationCache<number>(10, () => 1);
    for (let i = 0; i < 1000; i++) {
      cache.set(`k${i}`, i);
      expect(cache.get('k0')).toBe(0);
      expect(cache.size).toBeLessThanOrEqual(11);
    }
    expect(cache.get('k5')).toBeUndefined();
  });

  test('never shows a value that was replaced', () => {
    const cache = new GenerationCache<number>(8, () => 1);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(6), fc.nat(100))), (sets) => {
        cache.clear();
        const last = new Map<string, number>();
        for (const [key, value] of sets) {
          cache.set(`${key}`, value);
          last.set(`${key}`, value);
          for (const [known, expected] of last) expect([undefined, expected]).toContain(cache.get(known));
        }
      }),
    );
  });
});

/** The algorithm as its authors wrote it down, for any number of rounds. */
function halfSipHash(key: Buffer, input: Uint8Array, compress: number, finalize: number): Buffer {
  const k0 = key.readUInt32LE(0);
  const k1 = key.readUInt32LE(4);
  const v: [number, number, number, number] = [k0, k1 ^ 0xee, 0x6c796765 ^ k0, 0x74656462 ^ k1];
  const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));
  const rounds = (count: number): void => {
    for (let i = 0; i < count; i++) {
      v[0] = (v[0] + v[1]) | 0;
      v[1] = rotate(v[1], 5) ^ v[0];
      v[0] = rotate(v[0], 16);
      v[2] = (v[2] + v[3]) | 0;
      v[3] = rotate(v[3], 8) ^ v[2];
      v[0] = (v[0] + v[3]) | 0;
      v[3] = rotate(v[3], 7) ^ v[0];
      v[2] = (v[2] + v[1]) | 0;
      v[1] = rotate(v[1], 13) ^ v[2];
      v[2] = rotate(v[2], 16);
    }
  };
  const padded = Buffer.concat([input, Buffer.alloc(4 - (input.length % 4))]);
  padded[padded.length - 1] = input.length;
  for (let at = 0; at < padded.length; at += 4) {
    const m = padded.readInt32LE(at);
    v[3] ^= m;
    rounds(compress);
    v[0] ^= m;
  }
  const out = Buffer.alloc(8);
  v[2] ^= 0xee;
  rounds(finalize);
  out.writeInt32LE(v[1] ^ v[3], 0);
  v[1] ^= 0xdd;
  rounds(finalize);
  out.writeInt32LE(v[1] ^ v[3], 4);
  return out;
}
