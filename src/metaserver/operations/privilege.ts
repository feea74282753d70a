import { S_ISGID, S_ISUID, S_IXGRP } from '../../model/inode.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { OpTransaction } from './op-transaction.js';
import { dropXattr } from './xattr.js';

const CAPABILITY = Buffer.from('security.capability');

/** The mode without set-user-ID, and without set-group-ID where the group may execute (otherwise it means something else). */
export function modeWithoutPrivilege(mode: number): number {
  const kept = mode & ~S_ISUID;
  return (kept & S_IXGRP) === 0 ? kept : kept & ~S_ISGID;
}

/** Takes the privilege that a write or change of owner removes: mode bits and file capabilities. */
export async function killPrivilege(op: OpTransaction, record: InodeRecord): Promise<InodeRecord> {
  const stripped = record.xattrCount === 0 ? record : await dropXattr(op, record, CAPABILITY);
  const mode = modeWithoutPrivilege(stripped.attr.mode);
  return mode === stripped.attr.mode ? stripped : { ...stripped, attr: { ...stripped.attr, mode } };
}
