import type { Extent } from '../model/extent.js';
import type { ChunkId } from '../model/ids.js';
import { ALLOCATION_UNIT_BYTES } from '../model/inode.js';

/** Bytes that a block's extents allocate: the 4 KiB units that they touch, each once. */
export function allocatedBytes(extents: readonly Extent[]): number {
  let units = 0;
  let counted = 0;
  for (const { offset, length } of extents) {
    const first = Math.max(counted, Math.floor(offset / ALLOCATION_UNIT_BYTES));
    const end = Math.ceil((offset + length) / ALLOCATION_UNIT_BYTES);
    if (end > first) {
      units += end - first;
      counted = end;
    }
  }
  return units * ALLOCATION_UNIT_BYTES;
}

/** How many more (or fewer) bytes of each chunk extents name after a change. */
export class LiveBytes {
  readonly deltas = new Map<ChunkId, number>();

  add(extents: readonly Extent[]): void {
    for (const { chunkId, length } of extents) this.deltas.set(chunkId, (this.deltas.get(chunkId) ?? 0) + length);
  }

  remove(extents: readonly Extent[]): void {
    for (const { chunkId, length } of extents) this.deltas.set(chunkId, (this.deltas.get(chunkId) ?? 0) - length);
  }
}
