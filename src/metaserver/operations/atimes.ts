import { FsError } from '../../common/fs-error.js';
import type { UpdateAtimes } from '../../gen/curvefs/v1/metaserver.js';
import { compareTime, type InodeAttr } from '../../model/inode.js';
import { accessesFromProto } from '../../wire/operation.js';
import type { OpTransaction } from './op-transaction.js';
import type { OpReply } from './reply.js';

/**
 * Notes when files were read. It may come twice, for an earlier time changes nothing; it moves no change number, for nothing that a cache holds has changed; and nobody waits for
 * its durability. Files that are gone are passed over.
 */
export async function updateAtimes(op: OpTransaction, request: UpdateAtimes): Promise<OpReply> {
  const session = await op.tx.get(op.scope.tables.sessions, op.scope.keys.session(op.session));
  if (session?.readOnly === true) throw new FsError('EROFS', 'a read-only mount');
  const attrs: InodeAttr[] = [];
  op.tx.soft = true;
  for (const { ino, atime } of accessesFromProto(request)) {
    const record = await op.inode(ino);
    if (record === undefined) continue;
    const { attr } = record;
    const later = compareTime(atime, attr.atime) > 0 ? { ...record, attr: { ...attr, atime } } : record;
    if (later !== record) op.putInode(later);
    attrs.push(later.attr);
  }
  return { attrs };
}
