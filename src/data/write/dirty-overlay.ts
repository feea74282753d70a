import type { RecordRef } from '../../journal/journal.js';
import { ALLOCATION_UNIT_BYTES, type Timespec } from '../../model/inode.js';
import type { Batch } from '../upload/batch.js';

/** A write record of which at least one byte is not committed yet. */
export interface DirtyRecord {
  readonly ref: RecordRef;
  readonly mtime: Timespec;
  readonly truncEpoch: number;
  readonly timeEpoch: number;
  /** Bytes of it that are still in the overlay. */
  live: number;
}

/** A run of a file's bytes that is not committed yet, and where in the journal it lies. It never crosses a block's border. */
export interface DirtyPiece {
  /** Offsets in the file. */
  start: number;
  end: number;
  readonly record: DirtyRecord;
  /** Offset of `start` in the record's payload. */
  recordOffset: number;
  /** The upload that it goes with; undefined = it waits for one. */
  batch: Batch | undefined;
  /** Offset of `start` in the batch's chunk, once that is laid out. */
  chunkOffset: number;
}

export interface DirtyBlock {
  /** Sorted, never overlapping, never empty. */
  readonly pieces: DirtyPiece[];
  /** Bytes of pieces without a batch. */
  pending: number;
  /** Allocation units that the pieces touch, each once. */
  units: number;
}

/** Told of what goes: bytes of a record that nobody needs any more, changes in the number of pieces, bytes, and allocation units. */
export interface OverlaySink {
  dead(record: DirtyRecord, bytes: number): void;
  changed(pieces: number, bytes: number, units: number): void;
}

/**
 * What of one inode is written and not committed: per block a sorted array of pieces. Appending is a push; a random write is a binary search and a splice in an
 * array of at most a block's pieces. Later writes cut earlier ones, those in uploads too: an upload commits only what still bears its mark.
 */
export class DirtyOverlay {
  readonly #blockSize: number;
  readonly #unitBytes: number;
  readonly #sink: OverlaySink;
  readonly #blocks = new Map<number, DirtyBlock>();
  /** INVARIANT: the bytes of all pieces. */
  #bytes = 0;
  #pieces = 0;
  /** INVARIANT: the sum of the blocks' `pending`. */
  #pending = 0;
  /** INVARIANT: no block above it has pieces. */
  #lastBlock = -1;

  /** REQUIRES: a block is a whole number of allocation units. */
  constructor(blockSize: number, sink: OverlaySink, unitBytes: number = ALLOCATION_UNIT_BYTES) {
    this.#blockSize = blockSize;
    this.#unitBytes = unitBytes;
    this.#sink = sink;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get pieceCount(): number {
    return this.#pieces;
  }

  /** Bytes that no upload carries yet. */
  get pendingBytes(): number {
    return this.#pending;
  }

  /** Offset behind the last dirty byte; 0 when there is none. */
  get end(): number {
    if (this.#blocks.size === 0) return 0;
    let block = this.#blocks.get(this.#lastBlock);
    if (block === undefined) {
      this.#lastBlock = -1;
      for (const index of this.#blocks.keys()) if (index > this.#lastBlock) this.#lastBlock = index;
      block = this.#blocks.get(this.#lastBlock)!;
    }
    return block.pieces[block.pieces.length - 1]!.end;
  }

  get blocks(): ReadonlyMap<number, DirtyBlock> {
    return this.#blocks;
  }

  /** Lays a record's bytes over what is there. `record.live` counts them already. */
  insert(start: number, end: number, record: DirtyRecord): void {
    const from = start;
    while (start < end) {
      const index = Math.floor(start / this.#blockSize);
      const stop = Math.min(end, (index + 1) * this.#blockSize);
      let block = this.#blocks.get(index);
      if (block === undefined) this.#blocks.set(index, (block = { pieces: [], pending: 0, units: 0 }));
      if (index > this.#lastBlock) this.#lastBlock = index;
      this.#insert(block, { start, end: stop, record, recordOffset: start - from, batch: undefined, chunkOffset: 0 });
      start = stop;
    }
  }

  /** Drops what lies at or behind `size`; with `olderThan`, only what was written under an older truncate epoch. */
  truncate(size: number, olderThan = Infinity): void {
    const first = Math.floor(size / this.#blockSize);
    for (const [index, block] of this.#blocks) {
      if (index < first) continue;
      this.#filter(index, block, (piece) => {
        if (piece.end <= size || piece.record.truncEpoch >= olderThan) return true;
        if (piece.start >= size) return false;
        this.#lose(block, piece, piece.end - size);
        piece.end = size;
        return true;
      });
    }
  }

  /** Drops what lies in [start, end) and was written up to a sequence number. */
  removeRange(start: number, end: number, through: number): void {
    for (const [index, block] of this.#blocks) {
      if ((index + 1) * this.#blockSize <= start || index * this.#blockSize >= end) continue;
      const tails: DirtyPiece[] = [];
      this.#filter(index, block, (piece) => {
        if (piece.end <= start || piece.start >= end || piece.record.ref.sequence > through) return true;
        if (piece.start >= start && piece.end <= end) return false;
        const from = Math.max(piece.start, start);
        const to = Math.min(piece.end, end);
        this.#lose(block, piece, to - from);
        if (piece.start < start && piece.end > end) tails.push(cut(piece, end, piece.end));
        if (piece.start < start) {
          piece.end = start;
        } else {
          piece.recordOffset += end - piece.start;
          piece.chunkOffset += end - piece.start;
          piece.start = end;
        }
        return true;
      });
      for (const tail of tails) {
        block.pieces.splice(this.firstAt(block, tail.start), 0, tail);
        this.#pieces++;
        this.#sink.changed(1, 0, 0);
      }
      if (tails.length > 0) this.#recount(block);
    }
  }

  /** Allocation units that bytes in [start, end) would touch beyond those that are touched already. */
  unitsAddedBy(start: number, end: number): number {
    const unit = this.#unitBytes;
    let added = 0;
    while (start < end) {
      const index = Math.floor(start / this.#blockSize);
      const stop = Math.min(end, (index + 1) * this.#blockSize);
      const first = Math.floor(start / unit);
      const past = Math.ceil(stop / unit);
      added += past - first;
      const block = this.#blocks.get(index);
      if (block !== undefined) {
        added -= unitsTouched(block.pieces, this.firstAt(block, first * unit), block.pieces.length, unit, first, past);
      }
      start = stop;
    }
    return added;
  }

  /** Drops the pieces of a batch: they are committed. */
  removeBatch(batch: Batch): void {
    for (const index of batch.blocks) {
      const block = this.#blocks.get(index);
      if (block !== undefined) this.#filter(index, block, (piece) => piece.batch !== batch);
    }
  }

  /** Marks a waiting piece as part of an upload. */
  assign(block: DirtyBlock, piece: DirtyPiece, batch: Batch): void {
    piece.batch = batch;
    this.#wait(block, piece.start - piece.end);
  }

  /** What is left of a batch, in file order of its blocks. */
  batchPieces(batch: Batch): DirtyPiece[] {
    const result: DirtyPiece[] = [];
    for (const index of batch.blocks) {
      for (const piece of this.#blocks.get(index)?.pieces ?? []) if (piece.batch === batch) result.push(piece);
    }
    return result;
  }

  /** The pieces of a block that meet [start, end): index of the first and one past the last. */
  firstAt(block: DirtyBlock, start: number): number {
    const { pieces } = block;
    let low = 0;
    let high = pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (pieces[middle]!.end <= start) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Throws when an invariant does not hold; tests call it after every step. */
  checkInvariants(): void {
    let bytes = 0;
    let count = 0;
    let waiting = 0;
    for (const [index, block] of this.#blocks) {
      let at = index * this.#blockSize;
      let pending = 0;
      if (block.pieces.length === 0) throw new Error(`block ${index} is empty`);
      for (const piece of block.pieces) {
        if (piece.start < at || piece.end <= piece.start) throw new Error(`pieces of block ${index} overlap`);
        at = piece.end;
        bytes += piece.end - piece.start;
        if (piece.batch === undefined) pending += piece.end - piece.start;
        count++;
      }
      if (at > (index + 1) * this.#blockSize) throw new Error(`a piece leaves block ${index}`);
      if (unitsTouched(block.pieces, 0, block.pieces.length, this.#unitBytes) !== block.units) {
        throw new Error(`block ${index}: ${block.units} units counted`);
      }
      if (pending !== block.pending) throw new Error(`block ${index}: ${pending} bytes wait, ${block.pending} counted`);
      waiting += pending;
    }
    if (waiting !== this.#pending || bytes !== this.#bytes || count !== this.#pieces)
      throw new Error('the sums are wrong');
  }

  #insert(block: DirtyBlock, added: DirtyPiece): void {
    const { pieces } = block;
    const { start, end } = added;
    this.#wait(block, end - start);
    this.#bytes += end - start;
    const last = pieces[pieces.length - 1];
    if (last === undefined || start >= last.end) {
      pieces.push(added);
      this.#pieces++;
      const units = this.#unitsAt(pieces, pieces.length - 1, pieces.length);
      block.units += units;
      this.#sink.changed(1, end - start, units);
      return;
    }
    const first = this.firstAt(block, start);
    let next = first;
    let left: DirtyPiece | undefined;
    let right: DirtyPiece | undefined;
    const losses: DirtyRecord[] = [];
    const lost: number[] = [];
    for (; next < pieces.length && pieces[next]!.start < end; next++) {
      const piece = pieces[next]!;
      const from = Math.max(piece.start, start);
      const to = Math.min(piece.end, end);
      losses.push(piece.record);
      lost.push(to - from);
      if (piece.batch === undefined) this.#wait(block, from - to);
      if (piece.end > end) right = cut(piece, end, piece.end);
      if (piece.start < start) left = cut(piece, piece.start, start);
    }
    const replacement = [left, added, right].filter((piece) => piece !== undefined);
    // The piece behind may share its first unit.
    const unitsBefore = this.#unitsAt(pieces, first, next + 1);
    pieces.splice(first, next - first, ...replacement);
    const more = replacement.length - (next - first);
    this.#pieces += more;
    let gone = 0;
    for (const bytes of lost) gone += bytes;
    this.#bytes -= gone;
    const units = this.#unitsAt(pieces, first, first + replacement.length + 1) - unitsBefore;
    block.units += units;
    this.#sink.changed(more, end - start - gone, units);
    for (let i = 0; i < losses.length; i++) this.#sink.dead(losses[i]!, lost[i]!);
  }

  #filter(index: number, block: DirtyBlock, keep: (piece: DirtyPiece) => boolean): void {
    const { pieces } = block;
    let kept = 0;
    for (const piece of pieces) {
      if (keep(piece)) pieces[kept++] = piece;
      else {
        this.#pieces--;
        this.#sink.changed(-1, 0, 0);
        this.#lose(block, piece, piece.end - piece.start);
      }
    }
    pieces.length = kept;
    this.#recount(block);
    if (kept === 0) {
      this.#blocks.delete(index);
      if (this.#blocks.size === 0) this.#lastBlock = -1;
    }
  }

  /** Units that pieces[from, to) touch and those before them do not. */
  #unitsAt(pieces: readonly DirtyPiece[], from: number, to: number): number {
    const past = from === 0 ? 0 : Math.ceil(pieces[from - 1]!.end / this.#unitBytes);
    return unitsTouched(pieces, from, Math.min(to, pieces.length), this.#unitBytes, past);
  }

  #recount(block: DirtyBlock): void {
    const units = unitsTouched(block.pieces, 0, block.pieces.length, this.#unitBytes);
    const change = units - block.units;
    if (change === 0) return;
    block.units = units;
    this.#sink.changed(0, 0, change);
  }

  #wait(block: DirtyBlock, bytes: number): void {
    block.pending += bytes;
    this.#pending += bytes;
  }

  #lose(block: DirtyBlock, piece: DirtyPiece, bytes: number): void {
    if (piece.batch === undefined) this.#wait(block, -bytes);
    this.#bytes -= bytes;
    this.#sink.changed(0, -bytes, 0);
    this.#sink.dead(piece.record, bytes);
  }
}

/** Units that pieces[from, to) touch, each once, as far as they lie in [first, past). */
function unitsTouched(
  pieces: readonly DirtyPiece[],
  from: number,
  to: number,
  unitBytes: number,
  first = 0,
  past = Infinity,
): number {
  let units = 0;
  let next = first;
  for (let i = from; i < to && next < past; i++) {
    const { start, end } = pieces[i]!;
    const low = Math.max(next, Math.floor(start / unitBytes));
    const high = Math.min(past, Math.ceil(end / unitBytes));
    if (high <= low) continue;
    units += high - low;
    next = high;
  }
  return units;
}

/** The part [start, end) of a piece. */
function cut(piece: DirtyPiece, start: number, end: number): DirtyPiece {
  const skipped = start - piece.start;
  return {
    start,
    end,
    record: piece.record,
    recordOffset: piece.recordOffset + skipped,
    batch: piece.batch,
    chunkOffset: piece.chunkOffset + skipped,
  };
}
