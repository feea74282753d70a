import { FsError } from '../../common/fs-error.js';
import type { Rename } from '../../gen/curvefs/v1/metaserver.js';
import { ROOT_INO, type Ino } from '../../model/ids.js';
import { isDirectory, LINK_MAX_DIRECTORY, S_IFCHR, S_IFMT } from '../../model/inode.js';
import {
  areRenameFlags,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  type NameRef,
  type Owner,
} from '../../model/operation.js';
import { renameFromProto } from '../../wire/operation.js';
import { MetaserverError } from '../metaserver-error.js';
import type { InodeRecord } from '../records/inode-record.js';
import { makeInode } from './create.js';
import { checkName, type OpTransaction } from './op-transaction.js';
import { childQuota, moveIntoQuota } from './quotas.js';
import type { OpReply } from './reply.js';
import { dropLink } from './unlink.js';

/** Deeper than any path that a client can name (PATH_MAX / 2); more is a loop. */
const DEPTH_MAX = 1_000_000;

/** rename(2), renameat2(2): the checks in the order of do_renameat2 and vfs_rename (fs/namei.c). */
export async function rename(op: OpTransaction, request: Rename): Promise<OpReply> {
  const { from, to, flags, whiteout } = renameFromProto(request);
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  if (!areRenameFlags(flags)) throw new FsError('EINVAL', `flags ${flags}`);
  checkName(from.name);
  checkName(to.name);
  const parent = await op.mustDirectory(from.parent);
  const newParent = from.parent === to.parent ? parent : await op.mustLiveDirectory(to.parent);
  const entry = await op.entry(from.parent, from.name);
  if (entry === undefined) throw new FsError('ENOENT');
  const replaced = await op.entry(to.parent, to.name);
  if (replaced !== undefined && (flags & RENAME_NOREPLACE) !== 0) throw new FsError('EEXIST');
  if (replaced === undefined && exchange) throw new FsError('ENOENT');

  const source = await op.mustInode(entry.ino);
  const target = replaced === undefined ? undefined : await op.mustInode(replaced.ino);
  if (from.parent !== to.parent) {
    if (isDirectory(source.attr.mode) && (await isWithin(op, newParent, entry.ino))) {
      throw new FsError('EINVAL', 'a directory cannot be moved into itself');
    }
    if (target !== undefined && isDirectory(target.attr.mode) && (await isWithin(op, parent, target.attr.ino))) {
      throw exchange ? new FsError('EINVAL', 'a directory cannot be moved into itself') : new FsError('ENOTEMPTY');
    }
  }
  // two names of one inode: nothing is to be done
  if (target !== undefined && target.attr.ino === source.attr.ino) return { attrs: [source.attr, parent.attr] };
  if (exchange && target !== undefined) return swapEntries(op, from, to, source, target, parent, newParent);
  return moveEntry(
    op,
    from,
    to,
    source,
    target,
    parent,
    newParent,
    (flags & RENAME_WHITEOUT) === 0 ? undefined : whiteout,
  );
}

async function moveEntry(
  op: OpTransaction,
  from: NameRef,
  to: NameRef,
  source: InodeRecord,
  target: InodeRecord | undefined,
  parent: InodeRecord,
  newParent: InodeRecord,
  whiteout: Owner | undefined,
): Promise<OpReply> {
  const { ino, mode } = source.attr;
  const directory = isDirectory(mode);
  if (target !== undefined) {
    if (directory && !isDirectory(target.attr.mode)) throw new FsError('ENOTDIR');
    if (!directory && isDirectory(target.attr.mode)) throw new FsError('EISDIR');
    if (target.entries > 0) throw new FsError('ENOTEMPTY');
  }
  const charged = from.parent === to.parent ? source : await moveIntoQuota(op, source, parent, newParent);
  if (directory && target === undefined && newParent.attr.nlink >= LINK_MAX_DIRECTORY) throw new FsError('EMLINK');
  if (whiteout === undefined) await op.removeEntry(from.parent, from.name);
  else await leaveWhiteout(op, from, parent, whiteout);
  if (target === undefined) await op.addEntry(to.parent, to.name, ino, mode & S_IFMT);
  else await op.replaceEntry(to.parent, to.name, ino, mode & S_IFMT);
  const gone = target === undefined ? undefined : await dropLink(op, target);

  const links = directory ? 1 : 0;
  const added = target === undefined ? 1 : 0;
  const removed = whiteout === undefined ? 1 : 0;
  // a replaced directory took one link of the new parent with it
  const linksAdded = target === undefined ? links : 0;
  const parents: InodeRecord[] =
    from.parent === to.parent
      ? [op.changeDirectory(parent, added - removed, linksAdded - links)]
      : [op.changeDirectory(parent, -removed, -links), op.changeDirectory(newParent, added, linksAdded)];
  const moved = op.changed(charged, directory ? { parent: to.parent } : {});
  op.putInode(moved);
  return { attrs: [moved, ...parents, ...(gone === undefined ? [] : [gone])].map(({ attr }) => attr) };
}

/** Lets the old name mean a whiteout, which is made as if by mknod(2). */
async function leaveWhiteout(op: OpTransaction, from: NameRef, parent: InodeRecord, owner: Owner): Promise<void> {
  const spec = { ...owner, mode: S_IFCHR, rdev: 0, mayKeepSgid: false, exclusive: true };
  const record = await makeInode(op, parent, spec);
  op.putInode(record);
  await op.replaceEntry(from.parent, from.name, record.attr.ino, S_IFCHR);
}

async function swapEntries(
  op: OpTransaction,
  from: NameRef,
  to: NameRef,
  source: InodeRecord,
  target: InodeRecord,
  parent: InodeRecord,
  newParent: InodeRecord,
): Promise<OpReply> {
  if (from.parent !== to.parent && childQuota(parent) !== childQuota(newParent)) {
    throw new FsError('EXDEV', 'what is charged to different quotas cannot be exchanged');
  }
  await op.replaceEntry(from.parent, from.name, target.attr.ino, target.attr.mode & S_IFMT);
  await op.replaceEntry(to.parent, to.name, source.attr.ino, source.attr.mode & S_IFMT);
  const sourceLinks = isDirectory(source.attr.mode) ? 1 : 0;
  const targetLinks = isDirectory(target.attr.mode) ? 1 : 0;
  const moved = op.changed(source, sourceLinks > 0 ? { parent: to.parent } : {});
  const other = op.changed(target, targetLinks > 0 ? { parent: from.parent } : {});
  op.putInode(moved);
  op.putInode(other);
  const parents =
    from.parent === to.parent
      ? [op.changeDirectory(parent, 0, 0)]
      : [
          op.changeDirectory(parent, 0, targetLinks - sourceLinks),
          op.changeDirectory(newParent, 0, sourceLinks - targetLinks),
        ];
  return { attrs: [moved, ...parents, other].map(({ attr }) => attr) };
}

/** True when `directory` is `ancestor` or lies below it. */
async function isWithin(op: OpTransaction, directory: InodeRecord, ancestor: Ino): Promise<boolean> {
  let at = directory.attr;
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    if (at.ino === ancestor) return true;
    if (at.ino === ROOT_INO) return false;
    at = (await op.mustInode(at.parent)).attr;
  }
  throw new MetaserverError('corrupt', `the parents of directory ${directory.attr.ino} form a loop`);
}
