import { FsError } from '../../common/fs-error.js';
import type { CommitExtents, ExtentsResult, ReadExtents, SwapExtents } from '../../gen/curvefs/v1/metaserver.js';
import { allocatedBytes } from '../../model/allocated-bytes.js';
import {
  clipExtents,
  NO_CHUNK,
  overlayExtents,
  type BlockExtents,
  type ChunkInfo,
  type Extent,
} from '../../model/extent.js';
import type { ChunkId } from '../../model/ids.js';
import { ALLOCATION_UNIT_BYTES, compareTime, FILE_SIZE_MAX_BYTES, type Timespec } from '../../model/inode.js';
import { inoFromProto } from '../../wire/attr.js';
import { blocksToProto } from '../../wire/extent.js';
import { commitSpecFromProto, swapSpecFromProto } from '../../wire/operation.js';
import { LiveBytes } from '../live-bytes.js';
import { blockOfKey } from '../keys.js';
import type { BlockRecord } from '../records/block-record.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { FoundRows } from '../store/transaction.js';
import { clipBlock, sizeLimit } from '../truncation.js';
import { applyLiveBytes } from './chunks.js';
import { liveExtents, mustFile, spend, writtenBy } from './content.js';
import type { OpTransaction } from './op-transaction.js';
import { killPrivilege } from './privilege.js';
import type { OpReply } from './reply.js';

/** Extents of one reply: about 200 KiB on the wire, below a frame. */
const REPLY_EXTENTS_MAX = 8000;
const ROWS_PER_READ = 64;

export async function readExtents(op: OpTransaction, request: ReadExtents): Promise<OpReply> {
  const record = await mustFile(op, inoFromProto(request.ino, 'readExtents.ino'));
  const result = await readBlocks(op, record, request.firstBlock, request.blockCount, REPLY_EXTENTS_MAX);
  return { attrs: [record.attr], result: { kind: 'proto', result: { $case: 'extents', value: result } } };
}

/** The stored extents of a range of blocks, cut short when they are more than `extentsMax` (one block is always whole). */
export async function readBlocks(
  op: OpTransaction,
  record: InodeRecord,
  firstBlock: number,
  blockCount: number,
  extentsMax: number,
): Promise<ExtentsResult> {
  const { tables, keys } = op.scope;
  const endBlock = Math.min(firstBlock + blockCount, 2 ** 32 - 1);
  const end = keys.block(record.attr.ino, endBlock);
  const blocks: BlockExtents[] = [];
  let count = 0;
  if (record.attr.allocatedBytes === 0) return { blocks: [], nextBlock: endBlock };
  let start: string | undefined = keys.block(record.attr.ino, firstBlock);
  while (start !== undefined && start < end) {
    const found: FoundRows<BlockRecord> = await op.tx.range(tables.blocks, { start, end }, ROWS_PER_READ);
    for (const { key, value } of found.rows) {
      const block = blockOfKey(key);
      const extents = liveExtents(op, record, block, value);
      if (extents.length === 0) continue;
      count += extents.length;
      if (count > extentsMax && blocks.length > 0) return { blocks: blocksToProto(blocks), nextBlock: block };
      blocks.push({ block, extents });
      if (count > extentsMax) return { blocks: blocksToProto(blocks), nextBlock: block + 1 };
    }
    start = found.next;
  }
  return { blocks: blocksToProto(blocks), nextBlock: endBlock };
}

/**
 * Lays uploaded data over a file's extents. What truncations since took is clipped, a time set since is left alone, and the session's reservation pays for
 * what is newly allocated. One transaction: either all of it is in the file or nothing.
 */
export async function commitExtents(op: OpTransaction, request: CommitExtents): Promise<OpReply> {
  const spec = commitSpecFromProto(request);
  const { tables, keys, info } = op.scope;
  let record = await mustFile(op, inoFromProto(request.ino, 'commitExtents.ino'));
  const { attr } = record;
  if (spec.truncEpoch > attr.truncEpoch || spec.timeEpoch > attr.timeEpoch)
    throw new FsError('EINVAL', 'an epoch from the future');
  checkExtents(spec.blocks, spec.chunks, info.blockSizeBytes);
  const limit = sizeLimit(record.truncations, spec.truncEpoch);
  const size = Math.max(attr.size, Math.min(spec.sizeAtLeast ?? 0, limit));
  if (size > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG');

  const live = new LiveBytes();
  let grown = 0;
  let placed = false;
  const rows = await op.tx.getMany(
    tables.blocks,
    spec.blocks.map(({ block }) => keys.block(attr.ino, block)),
  );
  for (let i = 0; i < spec.blocks.length; i++) {
    const { block, extents } = spec.blocks[i]!;
    // data past the end would show when the file grows later
    const added = clipBlock(extents, block, info.blockSizeBytes, Math.min(limit, size));
    if (added.length === 0) continue;
    placed = true;
    const row = rows[i];
    const result = overlayExtents(liveExtents(op, record, block, row), added);
    live.add(result);
    if (row !== undefined) live.remove(row.extents);
    grown += allocatedBytes(result) - (row === undefined ? 0 : allocatedBytes(row.extents));
    op.tx.put(tables.blocks, keys.block(attr.ino, block), { epoch: attr.truncEpoch, extents: result });
  }
  if (grown > 0) op.mustGrow();
  await applyLiveBytes(op, live, spec.chunks);
  await spend(op, record, grown);

  if (spec.killPriv) record = await killPrivilege(op, record);
  const written = placed || size !== attr.size;
  const mtime = commitTime(record, spec.mtime, spec.timeEpoch);
  const changed = op.changed(
    written ? writtenBy(op, record) : record,
    { size, allocatedBytes: attr.allocatedBytes + grown, mtime: mtime ?? attr.mtime },
    // the moment of the write, not of its upload: a ctime that moved later would look like another change
    spec.mtime ?? attr.ctime,
  );
  const stored = mtime === undefined ? changed : { ...changed, mtimeExplicit: false };
  op.putInode(stored);
  return { attrs: [stored.attr] };
}

/** Replaces extents by equal content elsewhere, if they are still there. */
export async function swapExtents(op: OpTransaction, request: SwapExtents): Promise<OpReply> {
  const spec = swapSpecFromProto(request);
  const { tables, keys, info } = op.scope;
  const record = await mustFile(op, inoFromProto(request.ino, 'swapExtents.ino'));
  const { attr } = record;
  checkExtents(spec.replacement, spec.chunks, info.blockSizeBytes);
  if (!sameCoverage(spec.expected, spec.replacement)) throw new FsError('EINVAL', 'the replacement covers other bytes');
  const live = new LiveBytes();
  let grown = 0;
  for (let i = 0; i < spec.expected.length; i++) {
    const { block, extents } = spec.expected[i]!;
    const key = keys.block(attr.ino, block);
    const row = await op.tx.get(tables.blocks, key);
    const stored = liveExtents(op, record, block, row);
    if (row === undefined || !containsAll(stored, extents)) return swapped(record, false);
    const result = overlayExtents(stored, spec.replacement[i]!.extents);
    live.add(result);
    live.remove(row.extents);
    grown += allocatedBytes(result) - allocatedBytes(row.extents);
    op.tx.put(tables.blocks, key, { epoch: attr.truncEpoch, extents: result });
  }
  await applyLiveBytes(op, live, spec.chunks);
  if (grown === 0) return swapped(record, true);
  // rows that a truncation had still to cut were cut on the way
  await spend(op, record, grown);
  const stored = { ...record, attr: { ...attr, allocatedBytes: attr.allocatedBytes + grown } };
  op.putInode(stored);
  return swapped(stored, true);
}

function swapped(record: InodeRecord, done: boolean): OpReply {
  return { attrs: [record.attr], result: { kind: 'proto', result: { $case: 'swap', value: { swapped: done } } } };
}

/** The mtime that a commit sets; undefined = it leaves the mtime alone. */
function commitTime(record: InodeRecord, mtime: Timespec | undefined, timeEpoch: number): Timespec | undefined {
  if (mtime === undefined || timeEpoch < record.attr.timeEpoch) return undefined;
  // written after the times were set explicitly (the epoch says so), whatever those are; but not before a truncation or another commit
  return record.mtimeExplicit || compareTime(mtime, record.attr.mtime) > 0 ? mtime : undefined;
}

/** EINVAL unless every extent lies in its block and in a chunk that the request says was stored. */
function checkExtents(blocks: readonly BlockExtents[], chunks: readonly ChunkInfo[], blockSize: number): void {
  const sizes = new Map<ChunkId, number>();
  for (const { chunkId, size } of chunks) {
    if (size === 0 || chunkId === NO_CHUNK || sizes.has(chunkId))
      throw new FsError('EINVAL', `chunk ${chunkId} is empty or named twice`);
    sizes.set(chunkId, size);
  }
  for (const { extents } of blocks) {
    for (const { offset, length, chunkId, chunkOffset } of extents) {
      const size = sizes.get(chunkId);
      if (size === undefined) throw new FsError('EINVAL', `chunk ${chunkId} is not among those that were stored`);
      if (offset + length > blockSize || chunkOffset + length > size) {
        throw new FsError('EINVAL', `an extent leaves its block or chunk ${chunkId}`);
      }
    }
  }
}

/** Every expected extent is stored just so, be it as part of a larger one or in pieces. */
function containsAll(stored: readonly Extent[], expected: readonly Extent[]): boolean {
  return expected.every(({ offset, length, chunkId, chunkOffset }) => {
    let covered = 0;
    for (const part of clipExtents(stored, offset, offset + length)) {
      if (part.chunkId !== chunkId || part.chunkOffset - chunkOffset !== part.offset - offset) return false;
      covered += part.length;
    }
    return covered === length;
  });
}

/** The same blocks, and in each the same bytes covered. */
function sameCoverage(a: readonly BlockExtents[], b: readonly BlockExtents[]): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ block, extents }, i) => {
    const other = b[i]!;
    if (other.block !== block) return false;
    return JSON.stringify(runs(extents)) === JSON.stringify(runs(other.extents));
  });
}

/** The covered ranges, adjoining extents joined. */
function runs(extents: readonly Extent[]): [number, number][] {
  const result: [number, number][] = [];
  for (const { offset, length } of extents) {
    const last = result.at(-1);
    if (last !== undefined && last[1] === offset) last[1] = offset + length;
    else result.push([offset, offset + length]);
  }
  return result;
}

/** Reservations are in allocation units, so that rounding never makes a commit fail. */
export function roundReservation(bytes: number): number {
  return Math.ceil(bytes / ALLOCATION_UNIT_BYTES) * ALLOCATION_UNIT_BYTES;
}
