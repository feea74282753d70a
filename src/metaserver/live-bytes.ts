import type { Extent } from '../model/extent.js';
import type { ChunkId } from '../model/ids.js';

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
