import { FsError } from '../../common/fs-error.js';
import { XATTR_NAME_MAX_BYTES, XATTR_TOTAL_MAX_BYTES } from '../../model/inode.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { OpTransaction } from './op-transaction.js';

/* The rows of an inode's extended attributes, and what the inode counts of them. The inodes returned are not stored yet. */

/** What an attribute counts for in the limit of one inode beside its name and value: bounds their number, too. */
const XATTR_BYTES = 16;

export async function xattrValue(
  op: OpTransaction,
  record: InodeRecord,
  name: Uint8Array,
): Promise<Uint8Array | undefined> {
  if (record.xattrCount === 0 || name.length === 0 || name.length > XATTR_NAME_MAX_BYTES) return undefined;
  return op.tx.get(op.scope.tables.xattrs, op.scope.keys.xattr(record.attr.ino, name));
}

/** Stores an attribute in the place of its value `before`; ENOSPC past the limit of one inode. */
export function putXattr(
  op: OpTransaction,
  record: InodeRecord,
  name: Uint8Array,
  value: Uint8Array,
  before: Uint8Array | undefined,
): InodeRecord {
  const xattrBytes = record.xattrBytes + size(name, value) - (before === undefined ? 0 : size(name, before));
  if (xattrBytes > XATTR_TOTAL_MAX_BYTES) throw new FsError('ENOSPC', 'too many extended attributes');
  op.tx.put(op.scope.tables.xattrs, op.scope.keys.xattr(record.attr.ino, name), value);
  const xattrCount = record.xattrCount + (before === undefined ? 1 : 0);
  return { ...record, xattrBytes, xattrCount, attr: { ...record.attr, hasXattrs: true } };
}

/** Removes an attribute; the same inode when it had none of that name. */
export async function dropXattr(op: OpTransaction, record: InodeRecord, name: Uint8Array): Promise<InodeRecord> {
  const value = await xattrValue(op, record, name);
  if (value === undefined) return record;
  op.tx.delete(op.scope.tables.xattrs, op.scope.keys.xattr(record.attr.ino, name));
  const xattrCount = record.xattrCount - 1;
  return {
    ...record,
    xattrCount,
    xattrBytes: record.xattrBytes - size(name, value),
    attr: { ...record.attr, hasXattrs: xattrCount > 0 },
  };
}

function size(name: Uint8Array, value: Uint8Array): number {
  return XATTR_BYTES + name.length + value.length;
}
