import type { ChunkId } from './ids.js';

/** In place of a chunk: the run is allocated and reads as zeros (fallocate(2)); what is written to it later takes no more space. */
export const NO_CHUNK = 0 as ChunkId;

/** A run of a block's bytes that lies in a chunk, or is allocated and empty ({@link NO_CHUNK}). What no extent covers is a hole and reads as zeros. */
export interface Extent {
  /** Offset in the block, bytes. */
  readonly offset: number;
  readonly length: number;
  readonly chunkId: ChunkId;
  /** Offset in the chunk's payload, bytes. */
  readonly chunkOffset: number;
}

/** The extents of one block (`offset / blockSize`) of a file: sorted by offset, never overlapping. */
export interface BlockExtents {
  readonly block: number;
  readonly extents: readonly Extent[];
}

/** A stored chunk: its id and its payload's length in bytes. */
export interface ChunkInfo {
  readonly chunkId: ChunkId;
  readonly size: number;
}

/**
 * Lays `added` over `stored` (both sorted and free of overlaps): what `added` covers is replaced, the rest stays, cut where needed.
 * The result is sorted and free of overlaps.
 */
export function overlayExtents(stored: readonly Extent[], added: readonly Extent[]): Extent[] {
  const result: Extent[] = [];
  let next = 0;
  for (const extent of stored) {
    let from = extent.offset;
    const end = extent.offset + extent.length;
    while (next < added.length && added[next]!.offset + added[next]!.length <= from) result.push(added[next++]!);
    for (let i = next; i < added.length && added[i]!.offset < end; i++) {
      const over = added[i]!;
      if (over.offset > from) result.push(sliceExtent(extent, from, over.offset));
      if (over.offset + over.length < end) {
        result.push(over);
        next = i + 1;
      }
      from = Math.max(from, over.offset + over.length);
    }
    if (from < end) result.push(sliceExtent(extent, from, end));
  }
  while (next < added.length) result.push(added[next++]!);
  return result;
}

/** The part of an extent that lies in [start, end), both offsets in the block and inside the extent. */
export function sliceExtent(extent: Extent, start: number, end: number): Extent {
  return {
    offset: start,
    length: end - start,
    chunkId: extent.chunkId,
    chunkOffset: extent.chunkOffset + (start - extent.offset),
  };
}

/** What of `extents` lies in [start, end) of the block, cut at the edges. */
export function clipExtents(extents: readonly Extent[], start: number, end: number): Extent[] {
  const result: Extent[] = [];
  for (const extent of extents) {
    const from = Math.max(start, extent.offset);
    const to = Math.min(end, extent.offset + extent.length);
    if (from < to) result.push(sliceExtent(extent, from, to));
  }
  return result;
}

/** The extents without what lies in [start, end) of the block. */
export function cutExtents(extents: readonly Extent[], start: number, end: number): Extent[] {
  return [...clipExtents(extents, 0, start), ...clipExtents(extents, end, Infinity)];
}
