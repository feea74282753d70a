import { FsError } from '../../common/fs-error.js';
import type { Create } from '../../gen/curvefs/v1/metaserver.js';
import { NO_INO, type Ino } from '../../model/ids.js';
import {
  isDirectory,
  isRegular,
  isSymlink,
  LINK_MAX_DIRECTORY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
  S_IXGRP,
  SYMLINK_MAX_BYTES,
  type InodeAttr,
  type Timespec,
} from '../../model/inode.js';
import type { CreateSpec } from '../../model/operation.js';
import { inoFromProto } from '../../wire/attr.js';
import { createSpecFromProto } from '../../wire/operation.js';
import type { InodeRecord } from '../records/inode-record.js';
import { handDown } from './acl.js';
import { freeLingering, openInode } from './open.js';
import { checkName, type OpTransaction } from './op-transaction.js';
import { chargeNewInode, childQuota, hasInode, withQuota } from './quotas.js';
import type { OpReply } from './reply.js';

const TYPES = new Set([S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK]);
/** What stat(2) shows as a directory's size. */
export const DIRECTORY_SIZE = 4096;

/** Makes a file, directory, symlink or node, and opens it when asked; without `exclusive` an existing regular file is opened instead. */
export async function create(op: OpTransaction, request: Create): Promise<OpReply> {
  const spec = createSpecFromProto(request);
  checkSpec(spec);
  if (spec.unnamed === true) return createUnnamed(op, inoFromProto(request.parent, 'create.parent'), spec);
  const name = request.name;
  checkName(name);
  const parent = await op.mustLiveDirectory(inoFromProto(request.parent, 'create.parent'));
  const existing = await op.entry(parent.attr.ino, name);
  if (existing !== undefined) {
    const opens = !spec.exclusive && isRegular(spec.mode) && isRegular(existing.type);
    if (!opens) throw new FsError(!spec.exclusive && isDirectory(existing.type) ? 'EISDIR' : 'EEXIST');
    let record = await op.mustInode(existing.ino);
    if (spec.open !== undefined) {
      record = await openInode(op, record, spec.open);
      if (!spec.open.truncate) op.tx.soft = true;
    }
    return { attrs: [record.attr, parent.attr], result: { kind: 'created', created: false } };
  }
  if (isDirectory(spec.mode) && parent.attr.nlink >= LINK_MAX_DIRECTORY) throw new FsError('EMLINK');
  const record = await handDown(op, parent, await makeInode(op, parent, spec), spec.umask ?? 0);
  const { ino } = record.attr;
  op.putInode(record);
  await op.addEntry(parent.attr.ino, name, ino, record.attr.mode & S_IFMT);
  const directory = op.changeDirectory(parent, 1, isDirectory(record.attr.mode) ? 1 : 0);
  // a new file has nothing to truncate
  if (spec.open !== undefined) await openInode(op, record, { ...spec.open, truncate: false });
  return { attrs: [record.attr, directory.attr], result: { kind: 'created', created: true } };
}

/** A new inode that is charged to the filesystem and to the directory's quota: ENOSPC or EDQUOT at a limit. */
export async function makeInode(op: OpTransaction, parent: InodeRecord, spec: CreateSpec): Promise<InodeRecord> {
  const quota = childQuota(parent);
  const fits = async (): Promise<boolean> => !(await op.isOutOfInodes()) && hasInode(op, quota);
  if (!(await fits())) await freeLingering(op, fits);
  await chargeNewInode(op, quota);
  return withQuota(newInode(await op.allocateIno(), parent.attr, spec, op.now), quota);
}

/** O_TMPFILE: a file without a name, kept while it is open. */
async function createUnnamed(op: OpTransaction, parent: Ino, spec: CreateSpec): Promise<OpReply> {
  const { tables, keys, opens } = op.scope;
  const directory = await op.mustLiveDirectory(parent);
  const made = await handDown(op, directory, await makeInode(op, directory, spec), spec.umask ?? 0);
  const { ino } = made.attr;
  const record = { ...made, attr: { ...made.attr, nlink: 0 }, linkable: !spec.exclusive };
  op.putInode(record);
  op.tx.put(tables.orphans, keys.orphan(ino), true);
  op.tx.onApply(() => opens.orphans.add(ino));
  if (spec.open !== undefined) await openInode(op, record, { ...spec.open, truncate: false });
  return { attrs: [record.attr], result: { kind: 'created', created: true } };
}

function checkSpec(spec: CreateSpec): void {
  if (!TYPES.has(spec.mode & S_IFMT)) throw new FsError('EINVAL', `type ${(spec.mode & S_IFMT).toString(8)}`);
  if (isSymlink(spec.mode) !== (spec.target !== undefined))
    throw new FsError('EINVAL', 'a symlink and only it has a target');
  if (spec.target !== undefined && spec.target.length > SYMLINK_MAX_BYTES) throw new FsError('ENAMETOOLONG');
  if (spec.open !== undefined && !isRegular(spec.mode)) throw new FsError('EINVAL', 'only regular files are opened');
  if (spec.unnamed === true && spec.open === undefined)
    throw new FsError('EINVAL', 'a file without a name has to be opened');
}

/** A new inode under `parent`, with what a set-group-ID directory hands down (inode_init_owner and mode_strip_sgid in fs/inode.c: before umask and ACL). */
export function newInode(ino: Ino, parent: InodeAttr | undefined, spec: CreateSpec, now: Timespec): InodeRecord {
  let { mode, gid } = spec;
  if (parent !== undefined && (parent.mode & S_ISGID) !== 0) {
    gid = parent.gid;
    if (isDirectory(mode)) mode |= S_ISGID;
    else if ((mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP) && !spec.mayKeepSgid) mode &= ~S_ISGID;
  }
  const directory = isDirectory(mode);
  return {
    attr: {
      ino,
      mode: mode & (S_IFMT | 0o7777),
      nlink: directory ? 2 : 1,
      uid: spec.uid,
      gid,
      rdev: (mode & S_IFMT) === S_IFCHR || (mode & S_IFMT) === S_IFBLK ? (spec.rdev ?? 0) : 0,
      size: directory ? DIRECTORY_SIZE : (spec.target?.length ?? 0),
      allocatedBytes: 0,
      atime: now,
      mtime: now,
      ctime: now,
      btime: now,
      change: 1,
      writerEpoch: 0,
      lastWriter: 0,
      truncEpoch: 0,
      timeEpoch: 0,
      parent: directory ? (parent?.ino ?? ino) : NO_INO,
      hasXattrs: false,
      aclChange: 0,
      quota: NO_INO,
    },
    entries: 0,
    mtimeExplicit: false,
    linkable: false,
    quotaRoot: false,
    dataChange: 0,
    foreignDataChange: 0,
    xattrCount: 0,
    xattrBytes: 0,
    truncations: [],
    trims: [],
    target: spec.target === undefined ? undefined : Buffer.from(spec.target),
  };
}
