import type { Journal } from '../../journal/journal.js';
import { allocatedBytes } from '../../model/allocated-bytes.js';
import type { BlockExtents, ChunkInfo, Extent } from '../../model/extent.js';
import type { InodeState } from '../inode-state.js';
import type { JournalPiece, PutFromJournal } from '../transfer/chunk-transfer.js';
import type { DirtyPiece } from '../write/dirty-overlay.js';
import type { SequencedRange } from '../write/record-codec.js';
import type { Batch } from './batch.js';

/** Gives each piece its place in the chunk; returns what the transfer thread reads from the journal. */
export function layOut(
  pieces: readonly DirtyPiece[],
  journal: Journal,
): { readonly source: PutFromJournal; readonly bytes: number } {
  const paths: string[] = [];
  const indexOf = new Map<number, number>();
  const sources: JournalPiece[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    const { ref } = piece.record;
    let path = indexOf.get(ref.segment);
    if (path === undefined) {
      path = paths.push(journal.segmentPath(ref.segment)) - 1;
      indexOf.set(ref.segment, path);
    }
    const length = piece.end - piece.start;
    piece.chunkOffset = bytes;
    sources.push({
      path,
      position: ref.position,
      recordLength: ref.length,
      sequence: ref.sequence,
      offset: piece.recordOffset,
      length,
    });
    bytes += length;
  }
  return { source: { kind: 'journal', paths, pieces: sources }, bytes };
}

/** What a commit of these batches says to the server, to the journal, and to the reservation. */
export interface CommitPlan {
  readonly blocks: readonly BlockExtents[];
  readonly chunks: readonly ChunkInfo[];
  readonly ranges: readonly SequencedRange[];
  readonly end: number;
  /** Bytes that the commit allocates at most. */
  readonly allocated: number;
  /** The youngest write in it. */
  readonly newest: DirtyPiece | undefined;
  /** The youngest record's sequence number. */
  readonly covers: number;
}

type MutableExtent = { -readonly [K in keyof Extent]: Extent[K] };
type MutableRange = { -readonly [K in keyof SequencedRange]: SequencedRange[K] };

/** What is left of the batches: neighbours in file and chunk become one extent. Pieces of different batches never overlap. */
export function planCommit(state: InodeState, batches: readonly Batch[], blockSize: number): CommitPlan {
  const byBlock = new Map<number, MutableExtent[]>();
  const chunks: ChunkInfo[] = [];
  const ranges: MutableRange[] = [];
  let end = 0;
  let newest: DirtyPiece | undefined;
  for (const batch of batches) {
    const { chunkId } = batch;
    const pieces = state.overlay.batchPieces(batch);
    if (chunkId === undefined || pieces.length === 0) continue;
    chunks.push({ chunkId, size: batch.chunkBytes });
    for (const piece of pieces) {
      const length = piece.end - piece.start;
      const { sequence } = piece.record.ref;
      const block = Math.floor(piece.start / blockSize);
      let extents = byBlock.get(block);
      if (extents === undefined) byBlock.set(block, (extents = []));
      addExtent(extents, { offset: piece.start - block * blockSize, length, chunkId, chunkOffset: piece.chunkOffset });
      addRange(ranges, { offset: piece.start, length, sequence });
      end = Math.max(end, piece.end);
      if (newest === undefined || sequence > newest.record.ref.sequence) newest = piece;
    }
  }
  const blocks = [...byBlock].map(([block, extents]) => ({ block, extents: sorted(extents) }));
  blocks.sort((a, b) => a.block - b.block);
  return {
    blocks,
    chunks,
    ranges,
    end,
    allocated: blocks.reduce((sum, { extents }) => sum + allocatedBytes(extents), 0),
    newest,
    covers: newest?.record.ref.sequence ?? 0,
  };
}

function addExtent(extents: MutableExtent[], added: MutableExtent): void {
  const last = extents[extents.length - 1];
  if (
    last?.chunkId === added.chunkId &&
    last.offset + last.length === added.offset &&
    last.chunkOffset + last.length === added.chunkOffset
  ) {
    last.length += added.length;
  } else {
    extents.push(added);
  }
}

/** A merged range bears the younger sequence number: what was written to either part before that is over, or it would have cut the piece. */
function addRange(ranges: MutableRange[], added: MutableRange): void {
  const last = ranges[ranges.length - 1];
  if (last !== undefined && last.offset + last.length === added.offset) {
    last.length += added.length;
    last.sequence = Math.max(last.sequence, added.sequence);
  } else {
    ranges.push(added);
  }
}

function sorted(extents: MutableExtent[]): MutableExtent[] {
  for (let i = 1; i < extents.length; i++) {
    if (extents[i]!.offset < extents[i - 1]!.offset) return extents.sort((a, b) => a.offset - b.offset);
  }
  return extents;
}
