import { FsError } from '../../common/fs-error.js';
import type { MaybePromise } from '../../common/maybe-promise.js';
import type { ExtentsResult, Open } from '../../gen/curvefs/v1/metaserver.js';
import type { Fh, Ino, SessionId } from '../../model/ids.js';
import { isRegular } from '../../model/inode.js';
import type { OpenSpec } from '../../model/operation.js';
import { inoFromProto } from '../../wire/attr.js';
import { openSpecFromProto } from '../../wire/operation.js';
import type { InodeRecord } from '../records/inode-record.js';
import { freeInode } from './content.js';
import { readBlocks } from './extents.js';
import type { OpTransaction } from './op-transaction.js';
import { killPrivilege } from './privilege.js';
import type { OpReply } from './reply.js';
import { truncate } from './setattr.js';

/** Files of at most so many blocks and extents get them with the open. */
const OPEN_BLOCKS_MAX = 16;
const OPEN_EXTENTS_MAX = 64;
/** Changes after which an operation frees no more on the way. */
const REAP_BYTES_MAX = 1 << 20;

/** Registers an open, truncates when asked, and answers with fresh attributes: close-to-open. */
export async function open(op: OpTransaction, request: Open): Promise<OpReply> {
  const spec = openSpecFromProto(request.spec);
  const record = await openInode(op, await op.mustInode(inoFromProto(request.ino, 'open.ino')), spec);
  // what nobody else sees need not be synced for its own sake: a later batch takes it along
  if (!spec.truncate) op.tx.soft = true;
  const extents = await firstExtents(op, record);
  return {
    attrs: [record.attr],
    ...(extents === undefined ? {} : { result: { kind: 'proto', result: { $case: 'extents', value: extents } } }),
  };
}

/** The registration itself; the inode as it is after it. */
export async function openInode(op: OpTransaction, record: InodeRecord, spec: OpenSpec): Promise<InodeRecord> {
  registerOpen(op, op.session, spec.fh, record.attr.ino);
  if (!spec.truncate) return record;
  let truncated = await truncate(op, record, 0);
  if (spec.killPriv === true) truncated = await killPrivilege(op, truncated);
  const stored = op.changed(truncated, {});
  op.putInode(stored);
  return stored;
}

export function registerOpen(op: OpTransaction, session: SessionId, fh: Fh, ino: Ino): void {
  const { opens, tables, keys } = op.scope;
  const known = opens.inoOf(session, fh);
  if (known !== undefined && known !== ino) throw new FsError('EINVAL', `handle ${fh} is open on another file`);
  if (known === undefined) op.openDelta.set(ino, (op.openDelta.get(ino) ?? 0) + 1);
  op.tx.put(tables.opens, keys.open(session, fh), ino, known === undefined);
  op.tx.onApply(() => opens.add(session, fh, ino));
}

/** Ends an open; an inode that nothing names and nobody has open any more is freed. An unknown handle is no error: a release may be sent twice. */
export async function releaseOpen(op: OpTransaction, session: SessionId, fh: Fh): Promise<void> {
  const { opens, tables, keys } = op.scope;
  const ino = opens.inoOf(session, fh);
  if (ino === undefined) return;
  op.tx.delete(tables.opens, keys.open(session, fh));
  op.tx.onApply(() => opens.remove(session, fh));
  const delta = (op.openDelta.get(ino) ?? 0) - 1;
  op.openDelta.set(ino, delta);
  if (opens.count(ino) + delta > 0 || !opens.orphans.has(ino) || op.scope.opensIncomplete()) return;
  await freeOrphan(op, ino);
}

/** Frees an unlinked inode that nobody has open any more. */
export async function freeOrphan(op: OpTransaction, ino: Ino): Promise<void> {
  const { opens, tables, keys } = op.scope;
  const record = await op.inode(ino);
  op.tx.delete(tables.orphans, keys.orphan(ino));
  op.tx.onApply(() => opens.freed(ino));
  if (record !== undefined) await freeInode(op, record);
}

/**
 * Frees files that are only kept for a moment until the operation has done enough: for those that find no room. REQUIRES: the operation has opened nothing.
 */
export async function freeLingering(op: OpTransaction, enough: () => MaybePromise<boolean>): Promise<void> {
  const { opens } = op.scope;
  for (const ino of opens.lingering.keys()) {
    if ((await enough()) || op.tx.bytes > REAP_BYTES_MAX) return;
    if (opens.count(ino) === 0) await freeOrphan(op, ino);
  }
}

async function firstExtents(op: OpTransaction, record: InodeRecord): Promise<ExtentsResult | undefined> {
  const { attr } = record;
  const blockCount = Math.ceil(attr.size / op.scope.info.blockSizeBytes);
  if (!isRegular(attr.mode) || blockCount > OPEN_BLOCKS_MAX) return undefined;
  if (attr.allocatedBytes === 0) return { blocks: [], nextBlock: blockCount };
  const result = await readBlocks(op, record, 0, blockCount, OPEN_EXTENTS_MAX);
  return result.nextBlock === blockCount ? result : undefined;
}
