import { FsError } from '../../common/fs-error.js';
import type { Setattr } from '../../gen/curvefs/v1/metaserver.js';
import { FILE_SIZE_MAX_BYTES, isDirectory, isRegular, S_IFMT } from '../../model/inode.js';
import { inoFromProto } from '../../wire/attr.js';
import { setAttrFromProto } from '../../wire/operation.js';
import type { InodeRecord } from '../records/inode-record.js';
import { followMode } from './acl.js';
import { setSize } from './content.js';
import type { OpTransaction } from './op-transaction.js';
import { killPrivilege } from './privilege.js';
import type { OpReply } from './reply.js';

export async function setattr(op: OpTransaction, request: Setattr): Promise<OpReply> {
  const change = setAttrFromProto(request);
  let record = await op.mustInode(inoFromProto(request.ino, 'setattr.ino'));
  if (change.size !== undefined) record = await truncate(op, record, change.size);
  if (change.killPriv === true) record = await killPrivilege(op, record, change.killSgid);
  if (change.mode !== undefined) record = await followMode(op, record, change.mode);
  const { attr } = record;
  const mtime = change.mtime === 'now' ? op.now : change.mtime;
  const changed = op.changed(
    record,
    {
      mode: change.mode === undefined ? attr.mode : (attr.mode & S_IFMT) | (change.mode & ~S_IFMT & 0o7777),
      uid: change.uid ?? attr.uid,
      gid: change.gid ?? attr.gid,
      atime: (change.atime === 'now' ? op.now : change.atime) ?? attr.atime,
      mtime: mtime ?? attr.mtime,
      // a commit of data written before leaves the mtime alone
      timeEpoch: attr.timeEpoch + (mtime === undefined ? 0 : 1),
    },
    change.ctime ?? op.now,
  );
  const stored = mtime === undefined ? changed : { ...changed, mtimeExplicit: true };
  op.putInode(stored);
  return { attrs: [stored.attr] };
}

/** Sets the size and stamps the mtime; the inode is not stored yet. EISDIR, EINVAL (not a regular file), EFBIG. */
export async function truncate(op: OpTransaction, record: InodeRecord, size: number): Promise<InodeRecord> {
  if (isDirectory(record.attr.mode)) throw new FsError('EISDIR');
  if (!isRegular(record.attr.mode)) throw new FsError('EINVAL', 'not a regular file');
  if (size > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG');
  const truncated = await setSize(op, record, size);
  return { ...truncated, mtimeExplicit: false, attr: { ...truncated.attr, mtime: op.now } };
}
