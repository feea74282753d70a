import fc from 'fast-check';
import type { BlockExtents, Extent } from '../../src/model/extent.js';
import type { ChunkId, Fh, Ino } from '../../src/model/ids.js';
import type { InodeAttr, Timespec } from '../../src/model/inode.js';

const u32 = fc.nat({ max: 0xffff_ffff });
export const safe = fc.oneof(fc.maxSafeNat(), fc.nat({ max: 300 }), fc.constant(Number.MAX_SAFE_INTEGER));
export const anIno = fc.integer({ min: 1, max: 2 ** 52 }) as fc.Arbitrary<Ino>;
export const anFh = safe as fc.Arbitrary<Fh>;
export const aName = fc.uint8Array({ minLength: 1, maxLength: 255 }).map((bytes) => Buffer.from(bytes));
export const aTime: fc.Arbitrary<Timespec> = fc.record({
  sec: fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -5, max: 5 })),
  nsec: fc.nat({ max: 999_999_999 }),
});
export const anAttr: fc.Arbitrary<InodeAttr> = fc.record({
  ino: anIno,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  size: safe,
  allocatedBytes: safe,
  atime: aTime,
  mtime: aTime,
  ctime: aTime,
  btime: aTime,
  change: safe,
  writerEpoch: safe,
  lastWriter: safe,
  truncEpoch: u32,
  timeEpoch: u32,
  parent: anIno,
  hasXattrs: fc.boolean(),
  aclChange: safe,
  quota: anIno,
});
const extents: fc.Arbitrary<Extent[]> = fc
  .array(
    fc.record({
      gap: fc.nat({ max: 1000 }),
      length: fc.integer({ min: 1, max: 100_000 }),
      chunkId: safe,
      chunkOffset: u32,
    }),
    { maxLength: 8 },
  )
  .map((runs) => {
    let end = 0;
    return runs.map(({ gap, length, chunkId, chunkOffset }) => {
      const offset = end + gap;
      end = offset + length;
      return { offset, length, chunkId: chunkId as ChunkId, chunkOffset };
    });
  });
export const someBlocks: fc.Arbitrary<BlockExtents[]> = fc
  .dictionary(fc.nat({ max: 1_000_000 }).map(String), extents, { maxKeys: 5 })
  .map((blocks) =>
    Object.entries(blocks)
      .map(([block, list]) => ({ block: Number(block), extents: list }))
      .sort((a, b) => a.block - b.block),
  );
