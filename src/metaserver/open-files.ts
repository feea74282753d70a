import type { Fh, Ino, SessionId } from '../model/ids.js';

/**
 * Who has what open: derived from the open rows, kept in memory because every unlink asks. Changed only when a transaction is applied.
 * Bounded by what the mounts' kernels allow to be open.
 */
export class OpenFiles {
  /** INVARIANT: an inode's number of (session, handle) pairs in `#bySession`; never 0. */
  readonly #counts = new Map<Ino, number>();
  readonly #bySession = new Map<SessionId, Map<Fh, Ino>>();
  /** Unlinked, not freed yet. */
  readonly orphans = new Set<Ino>();

  get size(): number {
    let size = 0;
    for (const opens of this.#bySession.values()) size += opens.size;
    return size;
  }

  count(ino: Ino): number {
    return this.#counts.get(ino) ?? 0;
  }

  inoOf(session: SessionId, fh: Fh): Ino | undefined {
    return this.#bySession.get(session)?.get(fh);
  }

  of(session: SessionId): ReadonlyMap<Fh, Ino> {
    return this.#bySession.get(session) ?? new Map<Fh, Ino>();
  }

  sessions(): SessionId[] {
    return [...this.#bySession.keys()];
  }

  add(session: SessionId, fh: Fh, ino: Ino): void {
    this.remove(session, fh);
    let opens = this.#bySession.get(session);
    if (opens === undefined) this.#bySession.set(session, (opens = new Map<Fh, Ino>()));
    opens.set(fh, ino);
    this.#counts.set(ino, this.count(ino) + 1);
  }

  remove(session: SessionId, fh: Fh): void {
    const opens = this.#bySession.get(session);
    const ino = opens?.get(fh);
    if (opens === undefined || ino === undefined) return;
    opens.delete(fh);
    if (opens.size === 0) this.#bySession.delete(session);
    const count = this.count(ino) - 1;
    if (count === 0) this.#counts.delete(ino);
    else this.#counts.set(ino, count);
  }
}
