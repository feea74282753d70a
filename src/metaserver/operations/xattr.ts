import { FsError } from '../../common/fs-error.js';
import type { Getxattr, Listxattr, Removexattr, Setxattr } from '../../gen/curvefs/v1/metaserver.js';
import { ACL_ACCESS, ACL_DEFAULT, aclKind } from '../../model/acl.js';
import { XATTR_NAME_MAX_BYTES, XATTR_VALUE_MAX_BYTES } from '../../model/inode.js';
import { XATTR_CREATE, XATTR_KILL_SGID, XATTR_REPLACE } from '../../model/operation.js';
import { inoFromProto } from '../../wire/attr.js';
import { bufferOf } from '../../wire/operation.js';
import { xattrNameOfKey } from '../keys.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { FoundRows } from '../store/transaction.js';
import type { OpTransaction } from './op-transaction.js';
import { removeAcl, setAccessAcl, setDefaultAcl } from './acl.js';
import type { OpReply } from './reply.js';
import { dropXattr, putXattr, xattrValue } from './xattr-rows.js';

const LIST_ROWS = 1024;

export async function getxattr(op: OpTransaction, request: Getxattr): Promise<OpReply> {
  const record = await op.mustInode(inoFromProto(request.ino, 'getxattr.ino'));
  const value = record.xattrCount === 0 ? undefined : await xattrValue(op, record, request.name);
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

/** Sets an attribute; an ACL changes the mode with it, and is set whatever the flags say of its existence, as by the kernel. */
export async function setxattr(op: OpTransaction, request: Setxattr): Promise<OpReply> {
  const { name, value, flags } = request;
  if (name.length === 0 || name.length > XATTR_NAME_MAX_BYTES) throw new FsError('ERANGE');
  if (value.length > XATTR_VALUE_MAX_BYTES) throw new FsError('E2BIG');
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE | XATTR_KILL_SGID)) !== 0) throw new FsError('EINVAL', `flags ${flags}`);
  op.mustGrow();
  const record = await op.mustInode(inoFromProto(request.ino, 'setxattr.ino'));
  const changed = op.changed(await withXattr(op, record, request), {});
  op.putInode(changed);
  return { attrs: [changed.attr] };
}

async function withXattr(op: OpTransaction, record: InodeRecord, request: Setxattr): Promise<InodeRecord> {
  const { name, value, flags } = request;
  const kind = aclKind(name);
  if (kind === 'access') return setAccessAcl(op, record, value, (flags & XATTR_KILL_SGID) !== 0);
  if (kind === 'default') return setDefaultAcl(op, record, value);
  const before = await xattrValue(op, record, name);
  if ((flags & XATTR_CREATE) !== 0 && before !== undefined) throw new FsError('EEXIST');
  if ((flags & XATTR_REPLACE) !== 0 && before === undefined) throw new FsError('ENODATA');
  return putXattr(op, record, name, value, before);
}

export async function removexattr(op: OpTransaction, request: Removexattr): Promise<OpReply> {
  const record = await op.mustInode(inoFromProto(request.ino, 'removexattr.ino'));
  const kind = aclKind(request.name);
  const without =
    kind === undefined
      ? await dropXattr(op, record, request.name)
      : await removeAcl(op, record, kind === 'access' ? ACL_ACCESS : ACL_DEFAULT);
  if (without === record) throw new FsError('ENODATA');
  const changed = op.changed(without, {});
  op.putInode(changed);
  return { attrs: [changed.attr] };
}
