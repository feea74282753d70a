import type { Extent } from '../../model/extent.js';
import type { ChunkId } from '../../model/ids.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** The extents of one block of a file: sorted, free of overlaps, never empty when stored. */
export interface BlockRecord {
  /** The inode's truncation epoch when the row was written: truncations that came later still have to be applied to it. */
  readonly epoch: number;
  readonly extents: readonly Extent[];
}

const VERSION = 1;
const EXTENT_BYTES = 20;

export const blockCodec: RecordCodec<BlockRecord> = {
  encode({ epoch, extents }, writer) {
    writer.u8(VERSION).u32(epoch);
    for (const extent of extents) {
      writer.u32(extent.offset).u32(extent.length).u64(extent.chunkId).u32(extent.chunkOffset);
    }
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'block', VERSION);
    const epoch = reader.u32();
    if (reader.left === 0 || reader.left % EXTENT_BYTES !== 0) throw reader.corrupt(`${reader.left} bytes of extents`);
    const extents: Extent[] = [];
    let end = 0;
    while (reader.left > 0) {
      const offset = reader.u32();
      const length = reader.u32();
      const chunkId = reader.u64() as ChunkId;
      const chunkOffset = reader.u32();
      if (offset < end || length === 0) throw reader.corrupt('extents that overlap or are empty');
      end = offset + length;
      extents.push({ offset, length, chunkId, chunkOffset });
    }
    return { epoch, extents };
  },

  sizeOf: ({ extents }) => 5 + EXTENT_BYTES * extents.length,
};
