import { FsError } from '../../common/fs-error.js';
import type { CloneRange, Fallocate } from '../../gen/curvefs/v1/metaserver.js';
import { allocatedBytes } from '../../model/allocated-bytes.js';
import { clipExtents, cutExtents, NO_CHUNK, overlayExtents, type Extent } from '../../model/extent.js';
import { FILE_SIZE_MAX_BYTES } from '../../model/inode.js';
import type { CloneSpec, FallocateSpec } from '../../model/operation.js';
import { inoFromProto } from '../../wire/attr.js';
import { cloneSpecFromProto, fallocateSpecFromProto } from '../../wire/operation.js';
import { LiveBytes } from '../live-bytes.js';
import { blockOfKey } from '../keys.js';
import type { BlockRecord } from '../records/block-record.js';
import type { InodeRecord } from '../records/inode-record.js';
import { applyLiveBytes } from './chunks.js';
import { liveExtents, mustFile, spend, writtenBy } from './content.js';
import type { OpTransaction } from './op-transaction.js';
import { killPrivilege } from './privilege.js';
import type { OpReply } from './reply.js';

/** Block rows that one operation writes: a few milliseconds of the executor. What is longer, the client asks for in parts. */
const ROWS_MAX = 512;
/** Extents that one clone lays out, as far as more than one block is in it. */
const EXTENTS_MAX = 8192;

/** What becomes of the extents of one block between two offsets in it. */
type Edit = (stored: readonly Extent[], start: number, end: number) => readonly Extent[];

const EDITS: Readonly<Record<FallocateSpec['mode'], Edit>> = {
  allocate: (stored, start, end) => overlayExtents([unwritten(start, end)], stored),
  punch: cutExtents,
  zero: (stored, start, end) => overlayExtents(stored, [unwritten(start, end)]),
};

function unwritten(start: number, end: number): Extent {
  return { offset: start, length: end - start, chunkId: NO_CHUNK, chunkOffset: 0 };
}

/** fallocate(2): ENOSPC leaves all as it was before this operation. */
export async function fallocate(op: OpTransaction, request: Fallocate): Promise<OpReply> {
  const spec = fallocateSpecFromProto(request);
  const { offset, length, mode } = spec;
  const record = await mustFile(op, inoFromProto(request.ino, 'fallocate.ino'));
  checkRange(offset, length);
  const { blockSizeBytes } = op.scope.info;
  const stop = offset + length;
  const change = new RangeChange(op, record);
  let end = stop;
  if (mode === 'punch') {
    const rows = await storedRows(op, record, offset, stop);
    // only blocks that have something count
    end = Math.min(stop, rows.nextBlock * blockSizeBytes);
    for (const { block, row } of rows.found) change.edit(block, row, offset, end, EDITS[mode]);
  } else {
    op.mustGrow();
    const first = Math.floor(offset / blockSizeBytes);
    end = Math.min(stop, (first + ROWS_MAX) * blockSizeBytes);
    const rows = await change.rows(offset, end);
    rows.forEach((row, i) => change.edit(first + i, row, offset, end, EDITS[mode]));
  }
  const size = spec.keepSize || mode === 'punch' ? 0 : end;
  return change.finish(Math.max(size, spec.sizeAtLeast), spec.killPriv, end - offset);
}

/** copy_file_range(2): the destination's extents name the chunks of the source's; holes and unwritten parts become holes. */
export async function cloneRange(op: OpTransaction, request: CloneRange): Promise<OpReply> {
  const spec = cloneSpecFromProto(request);
  const record = await mustFile(op, inoFromProto(request.ino, 'cloneRange.ino'));
  const source = await mustFile(op, spec.source);
  checkRange(spec.sourceOffset, spec.length);
  checkRange(spec.offset, spec.length);
  if (source.attr.ino === record.attr.ino && Math.abs(spec.offset - spec.sourceOffset) < spec.length) {
    throw new FsError('EINVAL', 'the ranges overlap');
  }
  const change = new RangeChange(op, record);
  const wanted = Math.min(spec.length, source.attr.size - spec.sourceOffset);
  if (wanted <= 0) return change.nothing();
  op.mustGrow();
  const { parts, done } = await sourceParts(op, source, { ...spec, length: wanted });
  const { blockSizeBytes } = op.scope.info;
  const first = Math.floor(spec.offset / blockSizeBytes);
  const rows = await change.rows(spec.offset, spec.offset + done);
  rows.forEach((row, i) =>
    change.edit(first + i, row, spec.offset, spec.offset + done, (stored, start, end) =>
      overlayExtents(cutExtents(stored, start, end), clipExtents(parts.get(first + i) ?? [], start, end)),
    ),
  );
  return change.finish(Math.max(spec.sizeAtLeast, spec.offset + done), spec.killPriv, done);
}

function checkRange(offset: number, length: number): void {
  if (length === 0) throw new FsError('EINVAL', 'an empty range');
  if (offset + length > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG', `a range up to ${offset + length}`);
}

/** The source's extents as the destination will have them, by its blocks; `done`: how many bytes of the range they are. */
async function sourceParts(
  op: OpTransaction,
  source: InodeRecord,
  { sourceOffset, offset, length }: CloneSpec,
): Promise<{ readonly parts: ReadonlyMap<number, Extent[]>; readonly done: number }> {
  const { blockSizeBytes: size } = op.scope.info;
  const parts = new Map<number, Extent[]>();
  // a row of the source meets at most two of the destination
  const limit = Math.min(length, (ROWS_MAX / 2) * size);
  const rows = await storedRows(op, source, sourceOffset, sourceOffset + limit);
  let count = 0;
  let done = Math.min(limit, rows.nextBlock * size - sourceOffset);
  for (const { block, row } of rows.found) {
    const base = block * size;
    if (count > EXTENTS_MAX) {
      done = Math.min(done, base - sourceOffset);
      break;
    }
    for (const extent of clipExtents(
      liveExtents(op, source, block, row),
      sourceOffset - base,
      sourceOffset + limit - base,
    )) {
      if (extent.chunkId === NO_CHUNK) continue;
      count += place(parts, extent, base + extent.offset - sourceOffset + offset, size);
    }
  }
  return { parts, done };
}

/** Puts an extent at a place in the file, cut at the borders of blocks; returns the number of its parts. */
function place(parts: Map<number, Extent[]>, extent: Extent, at: number, blockSize: number): number {
  let count = 0;
  for (let taken = 0; taken < extent.length; count++) {
    const block = Math.floor((at + taken) / blockSize);
    const start = at + taken - block * blockSize;
    const length = Math.min(extent.length - taken, blockSize - start);
    let list = parts.get(block);
    if (list === undefined) parts.set(block, (list = []));
    list.push({ offset: start, length, chunkId: extent.chunkId, chunkOffset: extent.chunkOffset + taken });
    taken += length;
  }
  return count;
}

interface StoredRows {
  readonly found: readonly { readonly block: number; readonly row: BlockRecord }[];
  /** The first block that was not looked at; Infinity = all were. */
  readonly nextBlock: number;
}

/** The rows of the blocks over [start, end), as many as one operation may look at. */
async function storedRows(op: OpTransaction, record: InodeRecord, start: number, end: number): Promise<StoredRows> {
  const { tables, keys, info } = op.scope;
  if (record.attr.allocatedBytes === 0) return { found: [], nextBlock: Infinity };
  const first = Math.floor(start / info.blockSizeBytes);
  const last = Math.min(Math.ceil(end / info.blockSizeBytes), 2 ** 32 - 1);
  const range = { start: keys.block(record.attr.ino, first), end: keys.block(record.attr.ino, last) };
  const { rows, next } = await op.tx.range(tables.blocks, range, ROWS_MAX);
  return {
    found: rows.map(({ key, value }) => ({ block: blockOfKey(key), row: value })),
    // what goes on does so right behind the last row read
    nextBlock: next === undefined ? Infinity : blockOfKey(next.slice(0, -1)) + 1,
  };
}

/** Block rows of one file being changed in one operation, and what it comes to: chunks named, space, size, times. */
class RangeChange {
  readonly #op: OpTransaction;
  readonly #record: InodeRecord;
  readonly #live = new LiveBytes();
  #grown = 0;

  constructor(op: OpTransaction, record: InodeRecord) {
    this.#op = op;
    this.#record = record;
  }

  /** The rows of the blocks over [start, end). */
  rows(start: number, end: number): Promise<readonly (BlockRecord | undefined)[]> {
    const { tables, keys, info } = this.#op.scope;
    const first = Math.floor(start / info.blockSizeBytes);
    const count = Math.ceil(end / info.blockSizeBytes) - first;
    const { ino } = this.#record.attr;
    return this.#op.tx.getMany(
      tables.blocks,
      Array.from({ length: count }, (_, i) => keys.block(ino, first + i)),
    );
  }

  /** Changes what of a block lies in [start, end) of the file. */
  edit(block: number, row: BlockRecord | undefined, start: number, end: number, edit: Edit): void {
    const { tables, keys, info } = this.#op.scope;
    const { attr } = this.#record;
    const base = block * info.blockSizeBytes;
    const from = Math.max(0, start - base);
    const to = Math.min(info.blockSizeBytes, end - base);
    if (from >= to) return;
    const result = edit(liveExtents(this.#op, this.#record, block, row), from, to);
    this.#live.add(result);
    this.#grown += allocatedBytes(result);
    if (row !== undefined) {
      this.#live.remove(row.extents);
      this.#grown -= allocatedBytes(row.extents);
    }
    const key = keys.block(attr.ino, block);
    if (result.length > 0) this.#op.tx.put(tables.blocks, key, { epoch: attr.truncEpoch, extents: result });
    else if (row !== undefined) this.#op.tx.delete(tables.blocks, key);
  }

  /** Stores the inode: as a write of the range would leave it, but for what `sizeAtLeast` says. */
  async finish(sizeAtLeast: number, killPriv: boolean, done: number): Promise<OpReply> {
    const op = this.#op;
    await applyLiveBytes(op, this.#live, []);
    await spend(op, this.#record, this.#grown, 'free');
    const record = killPriv ? await killPrivilege(op, this.#record) : this.#record;
    const { attr } = record;
    const changed = op.changed(writtenBy(op, record), {
      size: Math.max(attr.size, sizeAtLeast),
      allocatedBytes: attr.allocatedBytes + this.#grown,
      mtime: op.now,
    });
    const stored = { ...changed, mtimeExplicit: false };
    op.putInode(stored);
    return ranged(stored, done);
  }

  /** Nothing is in the range. */
  nothing(): OpReply {
    return ranged(this.#record, 0);
  }
}

function ranged(record: InodeRecord, done: number): OpReply {
  return {
    attrs: [record.attr],
    result: { kind: 'proto', result: { $case: 'range', value: { done: BigInt(done) } } },
  };
}
