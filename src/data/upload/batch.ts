import type { ChunkId } from '../../model/ids.js';

/**
 * One chunk in the making: the pieces of an inode's overlay that bear this mark.
 * - `queued`: formed, waits for a slot; what it will hold is decided when it starts.
 * - `uploading`: laid out and being put; its pieces may still be cut, never grow.
 * - `waiting`: a put failed and will be tried again.
 * - `stored`: the object is durable; it is committed after the batches before it.
 * - `done`: committed, or nothing of it was left.
 */
export type BatchState = 'queued' | 'uploading' | 'waiting' | 'stored' | 'done';

export interface Batch {
  readonly blocks: readonly number[];
  /** The truncate epoch of all its pieces: the server clips a commit by it. */
  readonly truncEpoch: number;
  /** Payload when it was formed. */
  readonly bytes: number;
  state: BatchState;
  chunkId: ChunkId | undefined;
  /** Payload of the chunk as it was put. */
  chunkBytes: number;
  /** Failed puts. */
  attempts: number;
}
