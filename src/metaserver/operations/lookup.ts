import { FsError } from '../../common/fs-error.js';
import type { Getattr, Lookup, Readlink } from '../../gen/curvefs/v1/metaserver.js';
import { NAME_MAX_BYTES, isSymlink } from '../../model/inode.js';
import { inoFromProto } from '../../wire/attr.js';
import { bufferOf } from '../../wire/operation.js';
import { MetaserverError } from '../metaserver-error.js';
import type { OpTransaction } from './op-transaction.js';
import type { OpReply } from './reply.js';

const ABSENT: OpReply = { attrs: [], result: { kind: 'absent' } };

/** The entry's attributes; ENOENT when there is none, ENOTDIR when the parent is no directory. */
export async function lookup(op: OpTransaction, request: Lookup): Promise<OpReply> {
  const parent = await op.mustDirectory(inoFromProto(request.parent, 'lookup.parent'));
  if (request.name.length > NAME_MAX_BYTES) throw new FsError('ENAMETOOLONG');
  const entry = await op.entry(parent.attr.ino, request.name);
  if (entry === undefined) return ABSENT;
  const record = await op.inode(entry.ino);
  if (record === undefined)
    throw new MetaserverError('corrupt', `an entry of ${parent.attr.ino} names inode ${entry.ino}, which is not there`);
  return { attrs: [record.attr] };
}

export async function getattr(op: OpTransaction, request: Getattr): Promise<OpReply> {
  const record = await op.mustInode(inoFromProto(request.ino, 'getattr.ino'));
  return { attrs: [record.attr] };
}

export async function readlink(op: OpTransaction, request: Readlink): Promise<OpReply> {
  const record = await op.mustInode(inoFromProto(request.ino, 'readlink.ino'));
  if (!isSymlink(record.attr.mode) || record.target === undefined) throw new FsError('EINVAL', 'not a symbolic link');
  return {
    attrs: [record.attr],
    result: { kind: 'proto', result: { $case: 'readlink', value: { target: bufferOf(record.target) } } },
  };
}
