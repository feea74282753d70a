import type { Fh, Ino } from '../model/ids.js';
import { setRange, type LockKind, type LockOwner, type LockRange, type LockSpec } from '../model/lock.js';

/** What one owner of this mount has locked of one inode, or asks for. */
export interface Holding extends LockOwner {
  readonly ino: Ino;
  /** As the server has granted it. */
  ranges: readonly LockRange[];
  /** The handles by which the locks were asked for: they go with the first of them that is released. */
  readonly handles: Set<Fh>;
  /** Requests under way. */
  pending: number;
  /** Ends when what was begun for this owner and is waited for by nobody is done: requests of the owner come after it. */
  settling: Promise<void> | undefined;
}

/**
 * The locks that this mount holds at the server: so that closing a file asks the server only when there is something to drop. Bounded by the server's limits.
 *
 * The kernel names a process (fcntl locks) or an open file (flock, and the fcntl locks of open file descriptions, which no FLUSH ever names) as owner, in one number space.
 */
export class HeldLocks {
  /** INVARIANT: every holding has ranges, or a request under way, or settles; no empty maps. */
  readonly #byIno = new Map<Ino, Map<string, Holding>>();

  /** Inodes that somebody holds or wants a lock on. */
  get size(): number {
    return this.#byIno.size;
  }

  find(ino: Ino, kind: LockKind, owner: bigint): Holding | undefined {
    return this.#byIno.get(ino)?.get(keyOf(kind, owner));
  }

  /** What was locked by way of this handle. */
  ofHandle(ino: Ino, fh: Fh): Holding[] {
    const holdings = this.#byIno.get(ino);
    return holdings === undefined ? [] : [...holdings.values()].filter(({ handles }) => handles.has(fh));
  }

  /** The owner's holding, for a request that begins. End it with {@link end}. */
  begin(ino: Ino, kind: LockKind, owner: bigint, fh: Fh): Holding {
    let holdings = this.#byIno.get(ino);
    if (holdings === undefined) this.#byIno.set(ino, (holdings = new Map<string, Holding>()));
    const key = keyOf(kind, owner);
    let holding = holdings.get(key);
    if (holding === undefined) {
      holding = { ino, kind, owner, ranges: [], handles: new Set(), pending: 0, settling: undefined };
      holdings.set(key, holding);
    }
    holding.pending++;
    holding.handles.add(fh);
    return holding;
  }

  end(holding: Holding): void {
    holding.pending--;
    this.#forgetIfEmpty(holding);
  }

  /** The server has answered that it did what was asked. To be called in the order of its answers. */
  granted(holding: Holding, { type, pid, ...range }: Pick<LockSpec, 'start' | 'end' | 'type' | 'pid'>): void {
    holding.ranges = setRange(holding.ranges, range, type, pid);
  }

  /** Lets `work` run for the owner without anybody waiting; it must not fail. */
  settle(holding: Holding, work: Promise<void>): void {
    const settling = work.finally(() => {
      if (holding.settling !== settling) return;
      holding.settling = undefined;
      this.#forgetIfEmpty(holding);
    });
    holding.settling = settling;
  }

  #forgetIfEmpty(holding: Holding): void {
    const { ino, kind, owner, ranges, pending, settling } = holding;
    if (ranges.length > 0 || pending > 0 || settling !== undefined) return;
    const holdings = this.#byIno.get(ino);
    holdings?.delete(keyOf(kind, owner));
    if (holdings?.size === 0) this.#byIno.delete(ino);
  }
}

const keyOf = (kind: LockKind, owner: bigint): string => `${kind}/${owner.toString(36)}`;
