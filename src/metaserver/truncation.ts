import { clipExtents, type Extent } from '../model/extent.js';
import type { Truncation } from './records/inode-record.js';

/** Most truncations that an inode remembers; beyond it the oldest is forgotten (a commit as late as that is clipped by the others only). */
export const TRUNCATIONS_MAX = 32;

/**
 * Adds a truncation to a history in which epochs and sizes ascend. Those before it that left as much or more are dropped: whoever they clip, it clips further.
 * What was written under an epoch is then clipped by the first truncation after it.
 */
export function addTruncation(history: readonly Truncation[], epoch: number, size: number): readonly Truncation[] {
  let kept = history.length;
  while (kept > 0 && history[kept - 1]!.size >= size) kept--;
  return [...history.slice(Math.max(0, kept - TRUNCATIONS_MAX + 1), kept), { epoch, size }];
}

/** The smallest size since `epoch`: where data written under it ends. */
export function sizeLimit(history: readonly Truncation[], epoch: number): number {
  for (const truncation of history) if (truncation.epoch > epoch) return truncation.size;
  return Infinity;
}

/** What of a block's extents lies below `limit`, an offset in the file. */
export function clipBlock(
  extents: readonly Extent[],
  block: number,
  blockSize: number,
  limit: number,
): readonly Extent[] {
  const end = limit - block * blockSize;
  if (end >= blockSize) return extents;
  if (end <= 0) return [];
  const last = extents.at(-1);
  return last === undefined || last.offset + last.length <= end ? extents : clipExtents(extents, 0, end);
}
