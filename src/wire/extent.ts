import type {
  BlockExtents as BlockExtentsProto,
  ChunkInfo as ChunkInfoProto,
  Extent as ExtentProto,
} from '../gen/curvefs/v1/common.js';
import type { BlockExtents, ChunkInfo, Extent } from '../model/extent.js';
import type { ChunkId } from '../model/ids.js';
import { safeNumber } from './safe-number.js';
import { WireError } from './wire-error.js';

/** Bytes that one extent takes in a frame, at most: four varints and their tags. */
export const EXTENT_WIRE_BYTES = 32;

export function blocksToProto(blocks: readonly BlockExtents[]): BlockExtentsProto[] {
  return blocks.map(({ block, extents }) => ({ block, extents: extents.map(extentToProto) }));
}

/** Checks what every user relies on: blocks ascending, extents sorted, not empty and not overlapping. */
export function blocksFromProto(protos: readonly BlockExtentsProto[]): BlockExtents[] {
  let previous = -1;
  return protos.map(({ block, extents }) => {
    if (block <= previous) throw new WireError('unknown-value', 'blocks', `block ${block} follows block ${previous}`);
    previous = block;
    return { block, extents: extentsFromProto(extents) };
  });
}

export function chunksToProto(chunks: readonly ChunkInfo[]): ChunkInfoProto[] {
  return chunks.map(({ chunkId, size }) => ({ chunkId: BigInt(chunkId), size }));
}

export function chunksFromProto(protos: readonly ChunkInfoProto[]): ChunkInfo[] {
  return protos.map(({ chunkId, size }) => ({ chunkId: chunkIdFromProto(chunkId), size }));
}

function chunkIdFromProto(proto: bigint): ChunkId {
  return safeNumber(proto, 'chunkId') as ChunkId;
}

function extentToProto(extent: Extent): ExtentProto {
  return {
    offset: extent.offset,
    length: extent.length,
    chunkId: BigInt(extent.chunkId),
    chunkOffset: extent.chunkOffset,
  };
}

function extentsFromProto(protos: readonly ExtentProto[]): Extent[] {
  let end = 0;
  return protos.map(({ offset, length, chunkId, chunkOffset }) => {
    if (length === 0) throw new WireError('unset', 'extent.length', 'must be set');
    if (offset < end) {
      throw new WireError(
        'unknown-value',
        'extent.offset',
        `${offset} lies before ${end}, the end of the extent before`,
      );
    }
    end = offset + length;
    return { offset, length, chunkId: chunkIdFromProto(chunkId), chunkOffset };
  });
}
