import { FsError } from '../../common/fs-error.js';
import type { Link, Rmdir, Unlink } from '../../gen/curvefs/v1/metaserver.js';
import type { Ino } from '../../model/ids.js';
import { isDirectory, isRegular, LINK_MAX, S_IFMT } from '../../model/inode.js';
import { inoFromProto } from '../../wire/attr.js';
import type { InodeRecord } from '../records/inode-record.js';
import { freeInode } from './content.js';
import { LINGERING_MAX } from '../open-files.js';
import { checkName, type OpTransaction } from './op-transaction.js';
import { childQuota, moveIntoQuota } from './quotas.js';
import type { OpReply } from './reply.js';

export async function link(op: OpTransaction, request: Link): Promise<OpReply> {
  checkName(request.newName);
  let record = await op.mustInode(inoFromProto(request.ino, 'link.ino'));
  const parent = await op.mustLiveDirectory(inoFromProto(request.newParent, 'link.newParent'));
  if ((await op.entry(parent.attr.ino, request.newName)) !== undefined) throw new FsError('EEXIST');
  if (isDirectory(record.attr.mode)) throw new FsError('EPERM', 'hard links to directories do not exist');
  if (record.attr.nlink === 0 && !record.linkable) throw new FsError('ENOENT', 'the file is unlinked');
  if (record.attr.nlink >= LINK_MAX) throw new FsError('EMLINK');
  op.mustGrow();
  record = await joinQuota(op, record, parent);
  if (record.attr.nlink === 0) keepOrphan(op, record.attr.ino);
  const linked = { ...op.changed(record, { nlink: record.attr.nlink + 1 }), linkable: false };
  op.putInode(linked);
  await op.addEntry(parent.attr.ino, request.newName, record.attr.ino, record.attr.mode & S_IFMT);
  const directory = op.changeDirectory(parent, 1, 0);
  return { attrs: [linked.attr, directory.attr] };
}

/** A file has its names in the tree of one quota: EXDEV for one elsewhere, as project quotas of XFS have it. */
async function joinQuota(op: OpTransaction, record: InodeRecord, parent: InodeRecord): Promise<InodeRecord> {
  if (record.attr.quota === childQuota(parent)) return record;
  if (record.attr.nlink > 0) throw new FsError('EXDEV', 'a file has all its names in the tree of one quota');
  return moveIntoQuota(op, record, parent, parent);
}

/** A file that had no name is given one. */
function keepOrphan(op: OpTransaction, ino: Ino): void {
  const { opens, tables, keys } = op.scope;
  op.tx.delete(tables.orphans, keys.orphan(ino));
  op.tx.onApply(() => opens.freed(ino));
}

export async function unlink(op: OpTransaction, request: Unlink): Promise<OpReply> {
  const { parent, record } = await mustEntry(op, request, 'unlink');
  if (isDirectory(record.attr.mode)) throw new FsError('EISDIR');
  await op.removeEntry(parent.attr.ino, request.name);
  const directory = op.changeDirectory(parent, -1, 0);
  const unlinked = await dropLink(op, record);
  return { attrs: [unlinked.attr, directory.attr] };
}

export async function rmdir(op: OpTransaction, request: Rmdir): Promise<OpReply> {
  const { parent, record } = await mustEntry(op, request, 'rmdir');
  if (!isDirectory(record.attr.mode)) throw new FsError('ENOTDIR');
  if (record.entries > 0) throw new FsError('ENOTEMPTY');
  await op.removeEntry(parent.attr.ino, request.name);
  const directory = op.changeDirectory(parent, -1, -1);
  const removed = await dropLink(op, record);
  return { attrs: [removed.attr, directory.attr] };
}

/**
 * A file that was made just now may have been looked up just now, by somebody about to open it. The kernel bears once that the file is gone by then (ESTALE: it walks the path again), but
 * where a name is replaced or removed and made all the time also the second file may be gone; so those are kept for a moment.
 */
function lingers({ scope, nowMs }: OpTransaction, { attr }: InodeRecord): boolean {
  if (!isRegular(attr.mode) || scope.opens.lingering.size >= LINGERING_MAX) return false;
  return nowMs - attr.btime.sec * 1000 - attr.btime.nsec / 1e6 < scope.lingerMs;
}

/** Takes one name from a file, or the only one from an empty directory. What nothing names is freed, or kept while it is open or very young; the inode as it is then. */
export async function dropLink(op: OpTransaction, record: InodeRecord): Promise<InodeRecord> {
  const { opens, tables, keys } = op.scope;
  const { ino, mode, nlink } = record.attr;
  const unlinked = op.changed(record, { nlink: isDirectory(mode) ? 0 : nlink - 1 });
  if (unlinked.attr.nlink > 0) {
    op.putInode(unlinked);
  } else if (opens.count(ino) > 0 || op.scope.opensIncomplete()) {
    op.putInode(unlinked);
    op.tx.put(tables.orphans, keys.orphan(ino), true);
    op.tx.onApply(() => opens.orphans.add(ino));
  } else if (lingers(op, unlinked)) {
    op.putInode(unlinked);
    op.tx.put(tables.orphans, keys.orphan(ino), true);
    op.tx.onApply(() => opens.linger(ino, op.nowMs + op.scope.lingerMs));
  } else {
    await freeInode(op, unlinked);
  }
  return unlinked;
}

async function mustEntry(
  op: OpTransaction,
  request: { readonly parent: bigint; readonly name: Uint8Array },
  what: string,
): Promise<{ parent: InodeRecord; record: InodeRecord }> {
  checkName(request.name);
  const parent = await op.mustDirectory(inoFromProto(request.parent, `${what}.parent`));
  const entry = await op.entry(parent.attr.ino, request.name);
  if (entry === undefined) throw new FsError('ENOENT');
  return { parent, record: await op.mustInode(entry.ino) };
}
