import { allocatedBytes } from '../../model/allocated-bytes.js';
import type { Extent } from '../../model/extent.js';
import { FsError } from '../../common/fs-error.js';
import { LiveBytes } from '../live-bytes.js';
import type { Ino } from '../../model/ids.js';
import { isRegular } from '../../model/inode.js';
import { blockOfKey } from '../keys.js';
import type { BlockRecord } from '../records/block-record.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { FoundRow, FoundRows } from '../store/transaction.js';
import { addTruncation, clipBlock, sizeLimit } from '../truncation.js';
import { applyLiveBytes } from './chunks.js';
import type { OpTransaction } from './op-transaction.js';
import { chargeBytes, chargeFreed } from './quotas.js';

/** Block rows that an operation cuts or frees itself; more are left to the background (`gc/trimmer.ts`). */
const INLINE_ROWS_MAX = 32;
/** Extents that one operation takes out of block rows: each may be the last of its chunk, which changes two more rows. */
export const STEP_EXTENTS_MAX = 4096;
/** Truncations whose rows may wait for the background at once. */
const TRIMS_MAX = 16;

/** A regular file: ENOENT when it is gone, EINVAL for anything else. */
export async function mustFile(op: OpTransaction, ino: Ino): Promise<InodeRecord> {
  const record = await op.mustInode(ino);
  if (!isRegular(record.attr.mode)) throw new FsError('EINVAL', 'not a regular file');
  return record;
}

/**
 * Accounts for bytes that an operation allocated for an inode (or, negative, freed), in the filesystem and in its quota. Those of a commit are paid from the session's reservation, then from free space; others from free space
 * alone, for the reservation is promised to data that is written already. ENOSPC when there is neither, so that the sum of what is used and reserved never exceeds the capacity.
 */
export async function spend(
  op: OpTransaction,
  { attr }: InodeRecord,
  bytes: number,
  from: 'reservation' | 'free' = 'reservation',
): Promise<void> {
  if (bytes === 0) return;
  await chargeBytes(op, attr.quota, bytes, from);
  if (bytes < 0) return op.addCounters({ usedBytes: bytes });
  const { tables, keys, info } = op.scope;
  const key = keys.session(op.session);
  const session = from === 'reservation' ? await op.tx.get(tables.sessions, key) : undefined;
  const reserved = Math.min(bytes, session?.reservedBytes ?? 0);
  const counters = await op.counters();
  const used = counters.usedBytes + bytes;
  const promised = counters.reservedBytes - reserved;
  if (info.capacityBytes > 0 && used + promised > info.capacityBytes) {
    throw new FsError('ENOSPC', `the filesystem's ${info.capacityBytes} bytes are used or reserved`);
  }
  op.putCounters({ ...counters, usedBytes: used, reservedBytes: promised });
  if (session !== undefined && reserved > 0) {
    op.tx.put(tables.sessions, key, { ...session, reservedBytes: session.reservedBytes - reserved });
  }
}

/** The extents of a stored block as readers see them: without what truncations took whose rows are not cut yet. */
export function liveExtents(
  op: OpTransaction,
  record: InodeRecord,
  block: number,
  row: BlockRecord | undefined,
): readonly Extent[] {
  if (row === undefined) return [];
  if (record.trims.length === 0) return row.extents;
  return clipBlock(row.extents, block, op.scope.info.blockSizeBytes, sizeLimit(record.trims, row.epoch));
}

/** Notes that the operation's session changes data or size. REQUIRES: the change number grows afterwards (`op.changed`). */
export function writtenBy(op: OpTransaction, record: InodeRecord): InodeRecord {
  const { attr } = record;
  const dataChange = attr.change + 1;
  if (attr.lastWriter === op.session) return { ...record, dataChange };
  return {
    ...record,
    attr: { ...attr, writerEpoch: attr.writerEpoch + 1, lastWriter: op.session },
    dataChange,
    foreignDataChange: record.dataChange,
  };
}

/**
 * Sets a file's size: data past it is gone for good, whatever the size becomes later. The rows are cut here when they are few; else the inode notes
 * the truncation, readers apply it, and the trimmer cuts them in bounded steps.
 */
export async function setSize(op: OpTransaction, record: InodeRecord, size: number): Promise<InodeRecord> {
  const { tables, keys, info } = op.scope;
  const { attr } = record;
  const epoch = attr.truncEpoch + 1;
  const written = writtenBy(op, record);
  const truncated: InodeRecord = {
    ...written,
    attr: { ...written.attr, size, truncEpoch: epoch },
    truncations: addTruncation(record.truncations, epoch, size),
  };
  if (attr.allocatedBytes === 0 || size >= attr.size) return truncated;
  const range = keys.blocksFrom(attr.ino, Math.floor(size / info.blockSizeBytes));
  const found = await op.tx.range(tables.blocks, range, INLINE_ROWS_MAX + 1);
  // rows that an older truncation still has to cut keep their old epoch: they are the trimmer's
  if (areFew(found) && record.trims.length === 0) return (await cutRows(op, truncated, found.rows, size)).record;
  if (record.trims.length >= TRIMS_MAX) throw new FsError('EAGAIN', 'too many truncations wait for their blocks');
  op.tx.put(tables.trims, keys.trim(attr.ino), true);
  return { ...truncated, trims: addTruncation(record.trims, epoch, size) };
}

/**
 * Cuts rows at `limit` and by the inode's pending truncations, at most {@link STEP_EXTENTS_MAX} extents; the inode with fewer allocated bytes. `stoppedAt`: the row where more is to be
 * done; what is left in it is still hidden by the truncation that is pending.
 */
export async function cutRows(
  op: OpTransaction,
  record: InodeRecord,
  rows: readonly FoundRow<BlockRecord>[],
  limit: number,
): Promise<{ readonly record: InodeRecord; readonly stoppedAt: string | undefined }> {
  const { info } = op.scope;
  const { freed, stoppedAt } = await takeExtents(op, rows, record.attr.truncEpoch, ({ key, value }) => {
    const end = Math.min(limit, sizeLimit(record.trims, value.epoch));
    const kept = clipBlock(value.extents, blockOfKey(key), info.blockSizeBytes, end);
    return kept === value.extents && record.trims.length === 0 ? undefined : kept;
  });
  if (freed === 0) return { record, stoppedAt };
  await chargeBytes(op, record.attr.quota, -freed, 'free');
  const attr = { ...record.attr, allocatedBytes: record.attr.allocatedBytes - freed };
  return { record: { ...record, attr }, stoppedAt };
}

/** Reduces rows to what `keep` says (undefined = the row stays as it is), from the end of each, until enough is done. */
async function takeExtents(
  op: OpTransaction,
  rows: readonly FoundRow<BlockRecord>[],
  epoch: number,
  keep: (row: FoundRow<BlockRecord>) => readonly Extent[] | undefined,
): Promise<{ readonly freed: number; readonly stoppedAt: string | undefined }> {
  const { tables } = op.scope;
  const live = new LiveBytes();
  let freed = 0;
  let left = STEP_EXTENTS_MAX;
  let stoppedAt: string | undefined;
  for (const row of rows) {
    const { key, value } = row;
    const kept = keep(row);
    if (kept === undefined) continue;
    const gone = value.extents.length - kept.length;
    if (left === 0 && gone > 0) stoppedAt = key;
    if (stoppedAt !== undefined) break;
    const partly = gone > left;
    const extents = partly ? value.extents.slice(0, value.extents.length - left) : kept;
    if (partly) stoppedAt = key;
    left -= partly ? left : gone;
    live.remove(value.extents);
    live.add(extents);
    freed += allocatedBytes(value.extents) - allocatedBytes(extents);
    if (extents.length === 0) op.tx.delete(tables.blocks, key);
    else op.tx.put(tables.blocks, key, { epoch: partly ? value.epoch : epoch, extents });
  }
  await applyLiveBytes(op, live, []);
  if (freed > 0) await op.addCounters({ usedBytes: -freed });
  return { freed, stoppedAt };
}

/** Whether an operation may cut these rows itself. */
function areFew({ rows, next }: FoundRows<BlockRecord>): boolean {
  return next === undefined && rows.reduce((sum, { value }) => sum + value.extents.length, 0) <= STEP_EXTENTS_MAX;
}

/** Removes an inode that nothing names any more, and its rows, when they are few; else the trimmer does the rest. */
export async function freeInode(op: OpTransaction, record: InodeRecord): Promise<void> {
  const { tables, keys } = op.scope;
  const { ino, allocatedBytes: allocated } = record.attr;
  op.deleteInode(ino);
  let rest = false;
  if (allocated > 0) {
    const found = await op.tx.range(tables.blocks, keys.blocksFrom(ino, 0), INLINE_ROWS_MAX + 1);
    if (areFew(found)) await freeRows(op, found.rows);
    else rest = true;
  }
  if (record.xattrCount > 0) {
    const found = await op.tx.range(tables.xattrs, keys.xattrs(ino), INLINE_ROWS_MAX + 1);
    if (found.next === undefined) for (const { key } of found.rows) op.tx.delete(tables.xattrs, key);
    else rest = true;
  }
  if (rest) op.tx.put(tables.trims, keys.trim(ino), true);
  await chargeFreed(op, record);
  await op.addCounters({ usedInodes: -1 });
}

/** Removes rows of a file that is gone, at most {@link STEP_EXTENTS_MAX} extents; the row where more is to be done. */
export async function freeRows(op: OpTransaction, rows: readonly FoundRow<BlockRecord>[]): Promise<string | undefined> {
  const { stoppedAt } = await takeExtents(op, rows, 0, () => []);
  return stoppedAt;
}
