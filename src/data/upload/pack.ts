import type { InodeState } from '../inode-state.js';
import type { DirtyBlock, DirtyPiece } from '../write/dirty-overlay.js';
import type { Batch } from './batch.js';

/** Most pieces of one chunk: bounds the messages to the transfer thread and to the server. */
export const BATCH_PIECES_MAX = 4096;

interface Draft {
  readonly blocks: number[];
  readonly pieces: { readonly block: DirtyBlock; readonly piece: DirtyPiece }[];
  readonly truncEpoch: number;
  bytes: number;
}

/**
 * Packs the pieces that wait for an upload into chunks of at most `chunkBytes`, in file order, and marks them: scattered small writes share a chunk, over several blocks if need be.
 * `only`: only this block.
 */
export function packBatches(state: InodeState, chunkBytes: number, only?: number): Batch[] {
  const { overlay } = state;
  const batches: Batch[] = [];
  let draft: Draft | undefined;
  const close = (): void => {
    if (draft === undefined) return;
    batches.push(mark(state, draft));
    draft = undefined;
  };
  for (const index of only === undefined ? sortedBlocks(overlay.blocks) : [only]) {
    const block = overlay.blocks.get(index);
    if (block === undefined || block.pending === 0) continue;
    // A block that is nearly a chunk of its own is not torn apart.
    if (draft !== undefined && draft.bytes + block.pending > chunkBytes && block.pending > chunkBytes / 2) close();
    for (const piece of block.pieces) {
      if (piece.batch !== undefined) continue;
      const bytes = piece.end - piece.start;
      if (
        draft !== undefined &&
        (draft.bytes + bytes > chunkBytes ||
          draft.truncEpoch !== piece.record.truncEpoch ||
          draft.pieces.length >= BATCH_PIECES_MAX)
      ) {
        close();
      }
      draft ??= { blocks: [], pieces: [], truncEpoch: piece.record.truncEpoch, bytes: 0 };
      if (draft.blocks[draft.blocks.length - 1] !== index) draft.blocks.push(index);
      draft.pieces.push({ block, piece });
      draft.bytes += bytes;
    }
  }
  close();
  return batches;
}

function mark(state: InodeState, draft: Draft): Batch {
  const batch: Batch = {
    blocks: draft.blocks,
    truncEpoch: draft.truncEpoch,
    bytes: draft.bytes,
    state: 'queued',
    chunkId: undefined,
    chunkBytes: 0,
    attempts: 0,
  };
  for (const { block, piece } of draft.pieces) state.overlay.assign(block, piece, batch);
  return batch;
}

function sortedBlocks(blocks: ReadonlyMap<number, DirtyBlock>): number[] {
  const waiting: number[] = [];
  for (const [index, block] of blocks) if (block.pending > 0) waiting.push(index);
  return waiting.sort((a, b) => a - b);
}
