import { NO_CHUNK, type Extent } from '../model/extent.js';
import type { ChunkId } from '../model/ids.js';

/** How many more (or fewer) bytes of each chunk extents name after a change. */
export class LiveBytes {
  readonly deltas = new Map<ChunkId, number>();

  add(extents: readonly Extent[]): void {
    this.#count(extents, 1);
  }

  remove(extents: readonly Extent[]): void {
    this.#count(extents, -1);
  }

  #count(extents: readonly Extent[], sign: 1 | -1): void {
    for (const { chunkId, length } of extents) {
      if (chunkId !== NO_CHUNK) this.deltas.set(chunkId, (this.deltas.get(chunkId) ?? 0) + sign * length);
    }
  }
}
