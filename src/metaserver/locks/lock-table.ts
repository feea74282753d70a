import type { Ino, SessionId } from '../../model/ids.js';
import type { LockKind, LockOwner, LockRange } from '../../model/lock.js';
import { LockSet } from '../../model/lock-set.js';

/** An owner of locks in the whole slot: the same process may wait for one inode and hold locks on another. */
export function ownerKey(session: SessionId, owner: bigint): string {
  return `${session}.${owner.toString(36)}`;
}

/** The session in an {@link ownerKey}. */
export function sessionOfOwner(key: string): SessionId {
  return Number(key.slice(0, key.indexOf('.'))) as SessionId;
}

/** One owner's locks on one inode. */
export interface LockRef extends LockOwner {
  readonly ino: Ino;
  readonly session: SessionId;
}

/**
 * Who holds which locks: derived from the lock rows, kept in memory because every request asks. Changed only when a transaction is applied.
 * Bounded by the limits of {@link import('./locks.js').Locks}.
 */
export class LockTable {
  /** INVARIANT: no empty sets. */
  readonly #sets: Readonly<Record<LockKind, Map<Ino, LockSet<string>>>> = { posix: new Map(), flock: new Map() };
  /** INVARIANT: every (inode, kind, owner) of `#sets`, under its session; no empty maps. */
  readonly #bySession = new Map<SessionId, Map<string, LockRef>>();
  #size = 0;

  /** Locked ranges, of all inodes. */
  get size(): number {
    return this.#size;
  }

  /** Not to be changed by the caller. */
  on(ino: Ino, kind: LockKind): LockSet<string> {
    return this.#sets[kind].get(ino) ?? EMPTY;
  }

  sessions(): SessionId[] {
    return [...this.#bySession.keys()];
  }

  of({ ino, kind, session, owner }: LockRef): readonly LockRange[] {
    return this.on(ino, kind).of(ownerKey(session, owner));
  }

  /** What a session holds, by owner and inode. */
  refsOf(session: SessionId): Iterable<LockRef> {
    return this.#bySession.get(session)?.values() ?? [];
  }

  /** On how many inodes, by how many owners, a session holds locks. */
  countOf(session: SessionId): number {
    return this.#bySession.get(session)?.size ?? 0;
  }

  put(ref: LockRef, ranges: readonly LockRange[]): void {
    const { ino, session, kind, owner } = ref;
    const sets = this.#sets[kind];
    let set = sets.get(ino);
    if (set === undefined) sets.set(ino, (set = new LockSet<string>()));
    const key = ownerKey(session, owner);
    this.#size += ranges.length - set.of(key).length;
    set.put(key, ranges);
    if (set.isEmpty) sets.delete(ino);
    const refKey = `${kind}/${ino}/${key}`;
    let refs = this.#bySession.get(session);
    if (ranges.length > 0) {
      if (refs === undefined) this.#bySession.set(session, (refs = new Map<string, LockRef>()));
      refs.set(refKey, ref);
    } else if (refs?.delete(refKey) === true && refs.size === 0) this.#bySession.delete(session);
  }

  clear(): void {
    this.#sets.posix.clear();
    this.#sets.flock.clear();
    this.#bySession.clear();
    this.#size = 0;
  }
}

const EMPTY = new LockSet<string>();
