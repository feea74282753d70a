import { conflict, type ByteRange, type LockRange, type LockType } from './lock.js';

const NONE: readonly LockRange[] = [];

/**
 * The locks of one kind on one inode: what each owner (`Owner` is any map key) holds. Grants nothing by itself: whoever asks looks for conflicts first, and sets what
 * `setRange` made of it.
 */
export class LockSet<Owner> {
  /** INVARIANT: ascending and disjoint per owner, never empty; no two owners' ranges conflict. */
  readonly #ranges = new Map<Owner, readonly LockRange[]>();

  /** Ranges of all owners. */
  get size(): number {
    let size = 0;
    for (const ranges of this.#ranges.values()) size += ranges.length;
    return size;
  }

  get isEmpty(): boolean {
    return this.#ranges.size === 0;
  }

  of(owner: Owner): readonly LockRange[] {
    return this.#ranges.get(owner) ?? NONE;
  }

  /** Replaces what an owner holds. */
  put(owner: Owner, ranges: readonly LockRange[]): void {
    if (ranges.length === 0) this.#ranges.delete(owner);
    else this.#ranges.set(owner, ranges);
  }

  /** The first lock of another owner that is in the way: the one that begins lowest. */
  firstConflict(
    owner: Owner,
    wanted: ByteRange & { readonly type: LockType },
  ): { readonly owner: Owner; readonly range: LockRange } | undefined {
    let first: { readonly owner: Owner; readonly range: LockRange } | undefined;
    for (const [holder, ranges] of this.#ranges) {
      if (holder === owner) continue;
      const range = ranges.find((held) => conflict(held, wanted));
      if (range !== undefined && (first === undefined || range.start < first.range.start)) {
        first = { owner: holder, range };
      }
    }
    return first;
  }

  /** All other owners that have something in the way. */
  blockers(owner: Owner, wanted: ByteRange & { readonly type: LockType }): Owner[] {
    const blockers: Owner[] = [];
    for (const [holder, ranges] of this.#ranges) {
      if (holder !== owner && ranges.some((held) => conflict(held, wanted))) blockers.push(holder);
    }
    return blockers;
  }
}
