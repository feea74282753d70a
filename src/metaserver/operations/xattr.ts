import { FsError } from '../../common/fs-error.js';
import type { Getxattr, Listxattr, Removexattr, Setxattr } from '../../gen/curvefs/v1/metaserver.js';
import { XATTR_NAME_MAX_BYTES, XATTR_TOTAL_MAX_BYTES, XATTR_VALUE_MAX_BYTES } from '../../model/inode.js';
import { inoFromProto } from '../../wire/attr.js';
import { bufferOf } from '../../wire/operation.js';
import { xattrNameOfKey } from '../keys.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { FoundRows } from '../store/transaction.js';
import type { OpTransaction } from './op-transaction.js';
import type { OpReply } from './reply.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
/** What an attribute counts for in the limit of one inode beside its name and value: bounds their number, too. */
const XATTR_BYTES = 16;
const LIST_ROWS = 1024;

export async function getxattr(op: OpTransaction, request: Getxattr): Promise<OpReply> {
  const record = await op.mustInode(inoFromProto(request.ino, 'getxattr.ino'));
  const value = record.xattrCount === 0 ? undefined : await valueOf(op, record, request.name);
  const result = { found: value !== undefined, value: bufferOf(value ?? Buffer.alloc(0)) };
  return { attrs: [record.attr], result: { kind: 'proto', result: { $case: 'xattr', value: result } } };
}

export async function listxattr(op: OpTransaction, request: Listxattr): Promise<OpReply> {
  const record = await op.mustInode(inoFromProto(request.ino, 'listxattr.ino'));
  const names: Buffer[] = [];
  if (record.xattrCount > 0) {
    const range = op.scope.keys.xattrs(record.attr.ino);
    let start: string | undefined = range.start;
    while (start !== undefined) {
      const found: FoundRows<Uint8Array> = await op.tx.range(
        op.scope.tables.xattrs,
        { start, end: range.end },
        LIST_ROWS,
      );
      for (const { key } of found.rows) names.push(xattrNameOfKey(key));
      start = found.next;
    }
  }
  return { attrs: [record.attr], result: { kind: 'proto', result: { $case: 'xattrNames', value: { names } } } };
}

export async function setxattr(op: OpTransaction, request: Setxattr): Promise<OpReply> {
  const { name, value, flags } = request;
  if (name.length === 0 || name.length > XATTR_NAME_MAX_BYTES) throw new FsError('ERANGE');
  if (value.length > XATTR_VALUE_MAX_BYTES) throw new FsError('E2BIG');
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) throw new FsError('EINVAL', `flags ${flags}`);
  op.mustGrow();
  const record = await op.mustInode(inoFromProto(request.ino, 'setxattr.ino'));
  const before = await valueOf(op, record, name);
  if ((flags & XATTR_CREATE) !== 0 && before !== undefined) throw new FsError('EEXIST');
  if ((flags & XATTR_REPLACE) !== 0 && before === undefined) throw new FsError('ENODATA');
  const xattrBytes = record.xattrBytes + size(name, value) - (before === undefined ? 0 : size(name, before));
  if (xattrBytes > XATTR_TOTAL_MAX_BYTES) throw new FsError('ENOSPC', 'too many extended attributes');
  op.tx.put(op.scope.tables.xattrs, op.scope.keys.xattr(record.attr.ino, name), value);
  const changed = {
    ...op.changed(record, { hasXattrs: true }),
    xattrBytes,
    xattrCount: record.xattrCount + (before === undefined ? 1 : 0),
  };
  op.putInode(changed);
  return { attrs: [changed.attr] };
}

export async function removexattr(op: OpTransaction, request: Removexattr): Promise<OpReply> {
  const record = await op.mustInode(inoFromProto(request.ino, 'removexattr.ino'));
  const without = await dropXattr(op, record, request.name);
  if (without === record) throw new FsError('ENODATA');
  const changed = op.changed(without, {});
  op.putInode(changed);
  return { attrs: [changed.attr] };
}

/** Removes an attribute's row; the inode that has it no more (not stored yet), the same one when it had none. */
export async function dropXattr(op: OpTransaction, record: InodeRecord, name: Uint8Array): Promise<InodeRecord> {
  const value = await valueOf(op, record, name);
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

async function valueOf(op: OpTransaction, record: InodeRecord, name: Uint8Array): Promise<Uint8Array | undefined> {
  if (record.xattrCount === 0 || name.length === 0 || name.length > XATTR_NAME_MAX_BYTES) return undefined;
  return op.tx.get(op.scope.tables.xattrs, op.scope.keys.xattr(record.attr.ino, name));
}

function size(name: Uint8Array, value: Uint8Array): number {
  return XATTR_BYTES + name.length + value.length;
}
