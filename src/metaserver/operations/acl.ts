import { FsError } from '../../common/fs-error.js';
import {
  type Acl,
  ACL_ACCESS,
  ACL_BYTES_MAX,
  ACL_DEFAULT,
  aclMode,
  chmodAcl,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  isMinimalAcl,
} from '../../model/acl.js';
import { isDirectory, isSymlink, S_ISGID } from '../../model/inode.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { OpTransaction } from './op-transaction.js';
import { dropXattr, putXattr, xattrValue } from './xattr-rows.js';

/*
 * POSIX ACLs are extended attributes that are in step with the mode, acl(5): every operation that changes one of the two changes the other in its transaction.
 * `attr.aclChange` says whether an inode has any, so that those without pay nothing. The inodes returned are not stored yet.
 */

/** Sets the access ACL and with it the mode; one that the mode expresses is not kept. */
export async function setAccessAcl(
  op: OpTransaction,
  record: InodeRecord,
  value: Uint8Array,
  killSgid: boolean,
): Promise<InodeRecord> {
  const acl = checked(record, value);
  if (acl === undefined) return removeAcl(op, record, ACL_ACCESS);
  const { mode } = record.attr;
  const kept = mode & ~0o777 & (killSgid ? ~S_ISGID : ~0);
  const changed = { ...record, attr: { ...record.attr, mode: kept | aclMode(acl) } };
  return isMinimalAcl(acl) ? removeAcl(op, changed, ACL_ACCESS) : putAcl(op, changed, ACL_ACCESS, acl);
}

/** Sets what the directory hands down to new entries. */
export async function setDefaultAcl(op: OpTransaction, record: InodeRecord, value: Uint8Array): Promise<InodeRecord> {
  const acl = checked(record, value);
  if (acl === undefined) return removeAcl(op, record, ACL_DEFAULT);
  if (!isDirectory(record.attr.mode)) throw new FsError('EACCES', 'only directories have a default ACL');
  return putAcl(op, record, ACL_DEFAULT, acl);
}

/** Removes an ACL; the mode stays. The same inode when it had none. */
export async function removeAcl(op: OpTransaction, record: InodeRecord, name: Buffer): Promise<InodeRecord> {
  const without = await dropXattr(op, record, name);
  if (without === record) return record;
  const other = await xattrValue(op, without, name === ACL_ACCESS ? ACL_DEFAULT : ACL_ACCESS);
  return { ...without, attr: { ...without.attr, aclChange: other === undefined ? 0 : record.attr.change + 1 } };
}

/** Lets the access ACL, if there is one, follow a new mode. */
export async function followMode(op: OpTransaction, record: InodeRecord, mode: number): Promise<InodeRecord> {
  const acl = await storedAcl(op, record, ACL_ACCESS);
  return acl === undefined ? record : putAcl(op, record, ACL_ACCESS, chmodAcl(acl, mode));
}

/** What the parent makes of a new inode: its default ACL decides over the mode in place of the umask, and directories get it as well. */
export async function handDown(
  op: OpTransaction,
  parent: InodeRecord,
  record: InodeRecord,
  umask: number,
): Promise<InodeRecord> {
  const { mode } = record.attr;
  if (isSymlink(mode)) return record;
  const acl = await storedAcl(op, parent, ACL_DEFAULT);
  const withMode = (newMode: number): InodeRecord => ({ ...record, attr: { ...record.attr, mode: newMode } });
  if (acl === undefined) return (mode & umask) === 0 ? record : withMode(mode & ~(umask & 0o777));
  const inherited = inheritAcl(acl, mode);
  let made = withMode(inherited.mode);
  const { change } = made.attr;
  if (inherited.access !== undefined) made = await putAcl(op, made, ACL_ACCESS, inherited.access, change);
  return isDirectory(mode) ? putAcl(op, made, ACL_DEFAULT, acl, change) : made;
}

/** `change` is the number that the inode will have, so that no two states of its ACLs have the same one. */
async function putAcl(
  op: OpTransaction,
  record: InodeRecord,
  name: Buffer,
  acl: Acl,
  change = record.attr.change + 1,
): Promise<InodeRecord> {
  const stored = putXattr(op, record, name, encodeAcl(acl), await xattrValue(op, record, name));
  return { ...stored, attr: { ...stored.attr, aclChange: change } };
}

async function storedAcl(op: OpTransaction, record: InodeRecord, name: Buffer): Promise<Acl | undefined> {
  if (record.attr.aclChange === 0) return undefined;
  const value = await xattrValue(op, record, name);
  return value === undefined ? undefined : decodeAcl(value);
}

function checked(record: InodeRecord, value: Uint8Array): Acl | undefined {
  if (isSymlink(record.attr.mode)) throw new FsError('EOPNOTSUPP', 'an ACL of a symbolic link');
  if (value.length > ACL_BYTES_MAX) throw new FsError('E2BIG', `an ACL of ${value.length} bytes`);
  return decodeAcl(value);
}
