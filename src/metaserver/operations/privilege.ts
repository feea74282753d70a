import { S_ISGID, S_ISUID, S_IXGRP } from '../../model/inode.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { OpTransaction } from './op-transaction.js';
import { dropXattr } from './xattr-rows.js';

const CAPABILITY = Buffer.from('security.capability');

/**
 * The mode without set-user-ID, and without set-group-ID where the group may execute. Where it may not the bit is no privilege by itself, and goes only
 * with `sgid`: when who changes the file could not set it (setattr_should_drop_sgid in the kernel).
 */
export function modeWithoutPrivilege(mode: number, sgid = false): number {
  const kept = mode & ~S_ISUID;
  return sgid || (kept & S_IXGRP) !== 0 ? kept & ~S_ISGID : kept;
}

/** Takes the privilege that a write or change of owner removes: mode bits and file capabilities. The inode is not stored yet. */
export async function killPrivilege(op: OpTransaction, record: InodeRecord, sgid = false): Promise<InodeRecord> {
  const stripped = record.xattrCount === 0 ? record : await dropXattr(op, record, CAPABILITY);
  const mode = modeWithoutPrivilege(stripped.attr.mode, sgid);
  return mode === stripped.attr.mode ? stripped : { ...stripped, attr: { ...stripped.attr, mode } };
}
