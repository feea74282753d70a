/* Advisory locks as the client and the metaserver both speak of them, and the rules for the ranges of one owner (fcntl(2)). */

/** One past the last byte that a lock can cover: the end of a lock "to the end of the file, however large it grows". */
export const LOCK_END_MAX = 1n << 63n;

/** `read` = shared (F_RDLCK, LOCK_SH), `write` = exclusive (F_WRLCK, LOCK_EX). */
export type LockType = 'read' | 'write';

/**
 * - `posix`: fcntl(2) locks on ranges, those of open file descriptions (F_OFD_*) among them
 * - `flock`: flock(2) on the whole file; the two kinds do not see each other
 */
export type LockKind = 'posix' | 'flock';

/** The bytes start ≤ offset < end. */
export interface ByteRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** A range that its owner has locked; `pid` is the process that set it, as its mount sees it. */
export interface LockRange extends ByteRange {
  readonly type: LockType;
  readonly pid: number;
}

/** Whose lock: what the kernel calls the owner (a process's table of descriptors, or an open file description), within a mount. */
export interface LockOwner {
  readonly kind: LockKind;
  readonly owner: bigint;
}

/** A request to set, convert (`type`) or drop (undefined) a lock on a range. */
export interface LockSpec extends LockOwner, ByteRange {
  readonly type: LockType | undefined;
  readonly pid: number;
  /** Wait while others hold what conflicts. */
  readonly wait: boolean;
  /** Of an open file description: waits for it are no part of a deadlock, as threads of any process may drop it. */
  readonly ofd: boolean;
}

/** A question for what is in the way of a lock. */
export interface LockQuery extends LockOwner, ByteRange {
  readonly type: LockType;
}

export function overlap(a: ByteRange, b: ByteRange): boolean {
  return a.start < b.end && b.start < a.end;
}

/** True for locks of two owners that cannot be held at once. */
export function conflict(
  a: ByteRange & { readonly type: LockType },
  b: ByteRange & { readonly type: LockType },
): boolean {
  return (a.type === 'write' || b.type === 'write') && overlap(a, b);
}

/**
 * An owner's locks after it has set the range to a type (or, undefined, to none): what was there is cut out, even out of the middle of a lock, and neighbours of the
 * same type become one. Takes and returns ranges in ascending order, disjoint, no two of one type adjacent.
 */
export function setRange(
  ranges: readonly LockRange[],
  { start, end }: ByteRange,
  type: LockType | undefined,
  pid: number,
): readonly LockRange[] {
  const before: LockRange[] = [];
  const after: LockRange[] = [];
  let set = { start, end };
  for (const range of ranges) {
    if (range.type === type && range.start <= end && start <= range.end) {
      if (range.start < set.start) set = { ...set, start: range.start };
      if (range.end > set.end) set = { ...set, end: range.end };
      continue;
    }
    if (range.start < start) before.push(range.end > start ? { ...range, end: start } : range);
    if (range.end > end) after.push(range.start < end ? { ...range, start: end } : range);
  }
  return type === undefined ? [...before, ...after] : [...before, { ...set, type, pid }, ...after];
}
