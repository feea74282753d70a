import { FsError } from '../../common/fs-error.js';
import { NO_INO, type Ino, type SessionId } from '../../model/ids.js';
import { isDirectory, type InodeAttr } from '../../model/inode.js';
import { secondOfKey } from '../keys.js';
import { MetaserverError } from '../metaserver-error.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { QuotaRecord } from '../records/quota-record.js';
import type { OpTransaction } from './op-transaction.js';

/*
 * Quotas of directories. Every inode says in `attr.quota` which one it is charged to: that of the nearest directory above it that has one. A quota that lies in the tree of another
 * is charged to that one as well, so that a change of usage goes up the chain of `outer`. All of it happens in the transaction that changes the inode.
 */

/** What changes in a quota's usage. */
export interface Charge {
  readonly bytes?: number;
  readonly inodes?: number;
  readonly reserved?: number;
}

/** Inodes that a rename into another quota's tree takes along in one transaction. */
const MOVED_INODES_MAX = 1024;
const ROWS_PER_READ = 256;

/** The quota that entries of a directory are charged to. */
export function childQuota({ attr, quotaRoot }: InodeRecord): Ino {
  return quotaRoot ? attr.ino : attr.quota;
}

/** A quota and those around it, innermost first. */
export async function quotaChain(op: OpTransaction, quota: Ino): Promise<readonly (readonly [Ino, QuotaRecord])[]> {
  const chain: (readonly [Ino, QuotaRecord])[] = [];
  for (let at = quota; at !== NO_INO;) {
    const record = await op.tx.get(op.scope.tables.quotas, op.scope.keys.quota(at));
    if (record === undefined) throw new MetaserverError('corrupt', `inodes are charged to ${at}, which has no quota`);
    chain.push([at, record]);
    at = record.outer;
  }
  return chain;
}

/** Changes usage without asking for limits. */
export async function charge(op: OpTransaction, quota: Ino, by: Charge): Promise<void> {
  if (quota === NO_INO) return;
  for (const [ino, record] of await quotaChain(op, quota)) apply(op, ino, record, by);
}

function apply(
  op: OpTransaction,
  ino: Ino,
  record: QuotaRecord,
  { bytes = 0, inodes = 0, reserved = 0 }: Charge,
): void {
  const { quotas } = op.scope.tables;
  const key = op.scope.keys.quota(ino);
  const changed = {
    ...record,
    usedBytes: record.usedBytes + bytes,
    usedInodes: record.usedInodes + inodes,
    reservedBytes: record.reservedBytes + reserved,
  };
  const { usedBytes, usedInodes, reservedBytes } = changed;
  if (usedBytes < 0 || usedInodes < 0 || reservedBytes < 0) {
    throw new MetaserverError('corrupt', `usage of the quota of ${ino} below zero: ${JSON.stringify(changed)}`);
  }
  if (record.state === 'gone' && usedInodes === 0 && reservedBytes === 0) op.tx.delete(quotas, key);
  else op.tx.put(quotas, key, changed);
}

/** EDQUOT unless so much more fits in a quota and all those around it, up to the one `below` which it is charged already. */
async function requireRoom(
  op: OpTransaction,
  quota: Ino,
  bytes: number,
  inodes: number,
  below: ReadonlySet<Ino>,
): Promise<void> {
  for (const [ino, record] of await quotaChain(op, quota)) {
    if (below.has(ino)) return;
    const { bytesMax, inodesMax, usedBytes, usedInodes, reservedBytes } = record;
    if (inodesMax > 0 && inodes > 0 && usedInodes + inodes > inodesMax) {
      throw new FsError('EDQUOT', `directory ${ino} has its ${inodesMax} inodes`);
    }
    if (bytesMax > 0 && bytes > 0 && usedBytes + reservedBytes + bytes > bytesMax) {
      throw new FsError('EDQUOT', `the ${bytesMax} bytes of directory ${ino} are used or reserved`);
    }
  }
}

const NOTHING_BELOW: ReadonlySet<Ino> = new Set();

/** Whether one more inode fits in a quota. */
export async function hasInode(op: OpTransaction, quota: Ino): Promise<boolean> {
  const chain = await quotaChain(op, quota);
  return chain.every(([, { inodesMax, usedInodes }]) => inodesMax === 0 || usedInodes < inodesMax);
}

/** Charges a new inode: EDQUOT at a limit. */
export async function chargeNewInode(op: OpTransaction, quota: Ino): Promise<void> {
  if (quota === NO_INO) return;
  await requireRoom(op, quota, 0, 1, NOTHING_BELOW);
  await charge(op, quota, { inodes: 1 });
}

/**
 * Charges bytes that an inode allocated, or gives back what it freed. A commit's are paid from the session's reservation; what that does not cover was acknowledged before the limit was set,
 * the inode moved, or the session that reserved it ended, and is charged all the same. Others have to fit.
 */
export async function chargeBytes(
  op: OpTransaction,
  quota: Ino,
  bytes: number,
  from: 'reservation' | 'free',
): Promise<void> {
  if (quota === NO_INO || bytes === 0) return;
  if (bytes > 0 && from === 'free') await requireRoom(op, quota, bytes, 0, NOTHING_BELOW);
  const held = bytes > 0 && from === 'reservation' ? await heldBytes(op, quota) : 0;
  const paid = Math.min(held, Math.max(0, bytes));
  await charge(op, quota, { bytes, reserved: -paid });
  if (paid > 0) hold(op, quota, held - paid);
}

/** An inode is gone: it is charged to nobody, and a quota that it had goes as soon as nothing is charged to it. */
export async function chargeFreed(op: OpTransaction, { attr, quotaRoot }: InodeRecord): Promise<void> {
  await charge(op, attr.quota, { bytes: -attr.allocatedBytes, inodes: -1 });
  if (!quotaRoot) return;
  const quota = await op.tx.get(op.scope.tables.quotas, op.scope.keys.quota(attr.ino));
  if (quota !== undefined) apply(op, attr.ino, { ...quota, bytesMax: 0, inodesMax: 0, state: 'gone' }, {});
}

/** Charges an inode to another quota, and with it what is charged to a quota that it has itself; the inode as it is stored then. */
export async function moveCharge(op: OpTransaction, record: InodeRecord, to: Ino): Promise<InodeRecord> {
  const { attr, quotaRoot } = record;
  const from = attr.quota;
  if (from === to) return record;
  const { tables, keys } = op.scope;
  let bytes = attr.allocatedBytes;
  let inodes = 1;
  let reserved = 0;
  if (quotaRoot) {
    const key = keys.quota(attr.ino);
    const own = await op.tx.get(tables.quotas, key);
    if (own === undefined) throw new MetaserverError('corrupt', `directory ${attr.ino} has lost its quota`);
    op.tx.put(tables.quotas, key, { ...own, outer: to });
    bytes += own.usedBytes;
    inodes += own.usedInodes;
    reserved += own.reservedBytes;
  }
  // what is around both keeps what it has
  const [old, now] = [await quotaChain(op, from), await quotaChain(op, to)];
  const oldInos = new Set(old.map(([ino]) => ino));
  const newInos = new Set(now.map(([ino]) => ino));
  for (const [ino, quota] of old) {
    if (!newInos.has(ino)) apply(op, ino, quota, { bytes: -bytes, inodes: -inodes, reserved: -reserved });
  }
  for (const [ino, quota] of now) if (!oldInos.has(ino)) apply(op, ino, quota, { bytes, inodes, reserved });
  // no ctime: nobody changed the file
  const moved = op.changed(record, { quota: to }, attr.ctime);
  op.putInode(moved);
  return moved;
}

/**
 * A name is about to move into a directory: charges it, and what is below it, to the directory's quota. EDQUOT when it does not fit; EXDEV for what cannot be moved at once (more than
 * 1024 inodes, or a file that has names elsewhere too), as project quotas of XFS answer: mv(1) copies then.
 */
export async function moveIntoQuota(
  op: OpTransaction,
  record: InodeRecord,
  parent: InodeRecord,
  newParent: InodeRecord,
): Promise<InodeRecord> {
  const to = childQuota(newParent);
  if (record.attr.quota === to) return record;
  const within = childQuota(parent) === to;
  if (!isDirectory(record.attr.mode) && record.attr.nlink > 1 && !within) {
    throw new FsError('EXDEV', 'a file with several names cannot leave the tree of its quota');
  }
  const tree = await treeOf(op, record, to);
  if (!within) {
    if (tree.namedElsewhere) throw new FsError('EXDEV', 'a file below has a name outside of what is moved');
    const below = new Set((await quotaChain(op, record.attr.quota)).map(([ino]) => ino));
    await requireRoom(op, to, tree.bytes, tree.inodes, below);
  }
  for (const each of tree.below) await moveCharge(op, each, to);
  return moveCharge(op, record, to);
}

/** An inode and all below it that is not charged to `to`, nor to a quota of its own: EXDEV when that is too much. */
async function treeOf(
  op: OpTransaction,
  root: InodeRecord,
  to: Ino,
): Promise<{
  readonly below: readonly InodeRecord[];
  readonly bytes: number;
  readonly inodes: number;
  /** A file below has a name that is not in the tree. */
  readonly namedElsewhere: boolean;
}> {
  const { tables, keys } = op.scope;
  const below: InodeRecord[] = [];
  // a file is met by each of its names
  const namesLeft = new Map<Ino, number>();
  const directories = [root];
  let bytes = root.attr.allocatedBytes;
  let inodes = 1;
  const countRoot = async ({ attr }: InodeRecord): Promise<void> => {
    const own = await op.tx.get(tables.quotas, keys.quota(attr.ino));
    bytes += own?.usedBytes ?? 0;
    inodes += own?.usedInodes ?? 0;
  };
  if (root.quotaRoot) await countRoot(root);
  for (const directory of directories) {
    if (!isDirectory(directory.attr.mode) || directory.quotaRoot || directory.entries === 0) continue;
    const range = keys.bucketsFrom(directory.attr.ino, 0);
    for (let start: string | undefined = range.start; start !== undefined;) {
      const page: Awaited<ReturnType<typeof readEntries>> = await readEntries(op, { start, end: range.end });
      start = page.next;
      for (const record of page.records) {
        const { ino, mode, nlink, quota } = record.attr;
        if (quota !== to && !namesLeft.has(ino)) {
          namesLeft.set(ino, isDirectory(mode) ? 1 : nlink);
          below.push(record);
          bytes += record.attr.allocatedBytes;
          inodes++;
          if (record.quotaRoot) await countRoot(record);
        }
        if (isDirectory(mode)) directories.push(record);
        if (below.length + directories.length > MOVED_INODES_MAX) {
          throw new FsError('EXDEV', `more than ${MOVED_INODES_MAX} inodes cannot change their quota at once`);
        }
      }
      for (const ino of page.named) {
        const left = namesLeft.get(ino);
        if (left !== undefined) namesLeft.set(ino, left - 1);
      }
    }
  }
  const namedElsewhere = [...namesLeft.values()].some((left) => left > 0);
  return { below, bytes, inodes, namedElsewhere };
}

/** Inodes of the entries in some buckets of a directory, each once; `named`: what each entry names. */
export async function readEntries(
  op: OpTransaction,
  range: { readonly start: string; readonly end: string },
  limit = ROWS_PER_READ,
): Promise<{
  readonly records: readonly InodeRecord[];
  readonly named: readonly Ino[];
  readonly next: string | undefined;
}> {
  const { tables, keys } = op.scope;
  const page = await op.tx.range(tables.buckets, range, limit);
  const named = page.rows.flatMap(({ value }) => value.map(({ ino }) => ino));
  const inos = [...new Set(named)];
  const found = await op.tx.getMany(
    tables.inodes,
    inos.map((ino) => keys.inode(ino)),
  );
  const records = found.map((record, i) => {
    if (record === undefined)
      throw new MetaserverError('corrupt', `an entry names inode ${inos[i]}, which is not there`);
    return record;
  });
  return { records, named, next: page.next };
}

/** Bytes that a session may still commit, for the space that a quota leaves. Infinity = there is no limit. */
export async function quotaRoom(
  op: OpTransaction,
  quota: Ino,
): Promise<{ readonly room: number; readonly held: number; readonly least: number }> {
  const held = await heldBytes(op, quota);
  let room = Infinity;
  let least = Infinity;
  for (const [, { bytesMax, usedBytes, reservedBytes }] of await quotaChain(op, quota)) {
    if (bytesMax === 0) continue;
    room = Math.min(room, bytesMax - usedBytes - (reservedBytes - held));
    least = Math.min(least, bytesMax);
  }
  return { room: Math.max(0, room), held, least };
}

/** Sets what the session holds of a quota. */
export async function setHold(op: OpTransaction, quota: Ino, before: number, bytes: number): Promise<void> {
  if (before === bytes) return;
  await charge(op, quota, { reserved: bytes - before });
  hold(op, quota, bytes);
}

/** Returns what an ended session holds. */
export async function dropHolds(op: OpTransaction, session: SessionId): Promise<void> {
  const { tables, keys } = op.scope;
  const range = keys.quotaHoldsOf(session);
  for (let start: string | undefined = range.start; start !== undefined;) {
    const page: { rows: readonly { key: string; value: number }[]; next: string | undefined } = await op.tx.range(
      tables.quotaHolds,
      { start, end: range.end },
      ROWS_PER_READ,
    );
    start = page.next;
    for (const { key, value } of page.rows) {
      await charge(op, secondOfKey(key) as Ino, { reserved: -value });
      op.tx.delete(tables.quotaHolds, key);
    }
  }
}

async function heldBytes(op: OpTransaction, quota: Ino): Promise<number> {
  return (await op.tx.get(op.scope.tables.quotaHolds, op.scope.keys.quotaHold(op.session, quota))) ?? 0;
}

function hold(op: OpTransaction, quota: Ino, bytes: number): void {
  const { tables, keys } = op.scope;
  const key = keys.quotaHold(op.session, quota);
  if (bytes === 0) op.tx.delete(tables.quotaHolds, key);
  else op.tx.put(tables.quotaHolds, key, bytes);
}

/** An inode that is charged to a quota from its making. */
export function withQuota(record: InodeRecord, quota: Ino): InodeRecord {
  return quota === NO_INO ? record : { ...record, attr: { ...record.attr, quota } satisfies InodeAttr };
}
