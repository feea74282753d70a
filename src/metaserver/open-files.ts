import type { Fh, Ino, SessionId } from '../model/ids.js';

/** More than these are freed at once. */
export const LINGERING_MAX = 10_000;

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
  /** Orphans that nobody has had open since, and that are kept for a moment, with the time until which. INVARIANT: all are in `orphans`; at most {@link LINGERING_MAX}, oldest first. */
  readonly #lingering = new Map<Ino, number>();

  get size(): number {
    let size = 0;
    for (const opens of this.#bySession.values()) size += opens.size;
    return size;
  }

  get lingering(): ReadonlyMap<Ino, number> {
    return this.#lingering;
  }

  /** Keeps an orphan until `untilMs`. */
  linger(ino: Ino, untilMs: number): void {
    this.orphans.add(ino);
    this.#lingering.set(ino, untilMs);
  }

  /** An orphan is freed. */
  freed(ino: Ino): void {
    this.orphans.delete(ino);
    this.#lingering.delete(ino);
  }

  /** Orphans were read again. */
  clearOrphans(): void {
    this.orphans.clear();
    this.#lingering.clear();
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
    // from now on it lives until it is closed, as any other
    this.#lingering.delete(ino);
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
