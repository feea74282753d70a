import { ALLOCATION_UNIT_BYTES, S_ISGID, S_ISUID, S_IXGRP, compareTime, type InodeAttr } from '../../model/inode.js';
import type { InodeState } from '../inode-state.js';

/** The attributes with what is not committed laid over them: size, mtime and ctime of the last write, killed privileges, and an estimate of the allocated bytes. */
export function overlayAttr(state: InodeState, attr: InodeAttr): InodeAttr {
  const base = attr.change >= state.attr.change ? attr : state.attr;
  const { overlay, lastWrite } = state;
  const killPriv = state.killPrivAt > 0;
  if (overlay.pieceCount === 0 && !killPriv) return base;
  let { mtime, ctime, mode } = base;
  if (lastWrite !== undefined && overlay.pieceCount > 0) {
    if (lastWrite.sequence > state.timesSetAt) mtime = lastWrite.time;
    if (compareTime(lastWrite.time, ctime) > 0) ctime = lastWrite.time;
  }
  if (killPriv) {
    mode &= ~S_ISUID;
    if ((mode & S_IXGRP) !== 0) mode &= ~S_ISGID;
  }
  const size = Math.max(base.size, overlay.end);
  return { ...base, size, mtime, ctime, mode, allocatedBytes: allocated(base, overlay.bytes, size) };
}

/** Dirty bytes may replace committed ones: the sum is an upper bound, and so is the size; what is committed already is a lower one. */
function allocated(base: InodeAttr, dirtyBytes: number, size: number): number {
  const units = (bytes: number): number => Math.ceil(bytes / ALLOCATION_UNIT_BYTES) * ALLOCATION_UNIT_BYTES;
  return Math.max(base.allocatedBytes, Math.min(units(size), base.allocatedBytes + units(dirtyBytes)));
}
