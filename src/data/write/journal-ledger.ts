import { must } from '../../common/assert.js';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { isJournalError } from '../../journal/journal-error.js';
import type { Journal, RecordRef } from '../../journal/journal.js';
import type { Ino } from '../../model/ids.js';

interface Segment {
  readonly number: number;
  /** Records that are not released. */
  live: number;
  /** Inodes that have write records in it, needed or not: replay would meet them. */
  readonly inodes: Set<Ino>;
  /** Tombstones that stay until this segment is gone. */
  readonly holds: Tombstone[];
}

interface Tombstone {
  readonly ref: RecordRef;
  /** It says nothing about records after this sequence number. */
  readonly covers: number;
  /** Older segments that hold it. */
  heldBy: number;
  released: boolean;
}

export interface JournalLedgerOptions {
  /**
   * A synced record is released only when what supersedes it is on disk too (write-back mount: fsync promised it). Without write-back nothing rests on
   * the journal's disk state, for fsync uploads.
   */
  readonly releaseAfterSync: boolean;
}

/** Waiting releases that start a sync by themselves, as a share of the journal. */
const DEFERRED_SHARE = 1 / 8;

/**
 * Decides how long each record of the journal is kept. The journal replays whole segments, released records included, as long as the segment has
 * one record that is retained; a stale write that is replayed must therefore meet the record that says it is over. So such a record (a tombstone: COMMITTED, SETATTR_DONE)
 * is retained until every older segment that has writes of its inode is gone. A later tombstone replaces the inode's earlier ones where it covers them.
 */
export class JournalLedger {
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #opts: JournalLedgerOptions;

  /** In order of their numbers; the last one is being written. INVARIANT: all segments that replay would find. */
  readonly #segments = new Map<number, Segment>();
  #active: Segment | undefined;
  /** Tombstones that are held, by inode. */
  readonly #tombstones = new Map<Ino, Tombstone[]>();
  #lastSequence = 0;
  /** Releases that wait for a sync. */
  #deferred: RecordRef[] = [];
  #deferredBytes = 0;
  #syncing: Promise<void> | undefined;

  constructor(deps: { readonly journal: Journal; readonly logger: Logger }, opts: JournalLedgerOptions) {
    this.#journal = deps.journal;
    this.#logger = deps.logger;
    this.#opts = opts;
  }

  /** The youngest record's sequence number: what is appended from now on is later. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Appends a write; throws the journal's `full`. */
  appendWrite(kind: number, ino: Ino, header: Uint8Array, payload: Uint8Array): RecordRef {
    const ref = this.#journal.append(kind, header, payload);
    this.#retain(ref).inodes.add(ino);
    return ref;
  }

  /** Appends what is no write, from the slice that is kept for it. */
  appendNote(kind: number, header: Uint8Array, payload: Uint8Array): RecordRef {
    const ref = this.#journal.append(kind, header, payload, { reserved: true });
    this.#retain(ref);
    return ref;
  }

  /** As {@link appendNote}, for a note that may be missing; undefined when there is no room for it, or the failed journal is spared. */
  tryNote(kind: number, header: Uint8Array, payload: Uint8Array): RecordRef | undefined {
    try {
      return this.appendNote(kind, header, payload);
    } catch (error) {
      if (!isJournalError(error, 'full') && !this.maySpare(error)) throw error;
      this.#logger.debug('a note is not journaled', { kind, error: errorMessage(error) });
      return undefined;
    }
  }

  /**
   * True when what failed is the journal's disk and no fsync rests on it (no write-back): what is dirty can still be read from the journal's pages and is committed without
   * notes; at worst, recovery commits it again.
   */
  maySpare(error: unknown): boolean {
    return !this.#opts.releaseAfterSync && isJournalError(error, 'io');
  }

  /** The record is not needed any more: all of a write is committed or overwritten, a note has its outcome. */
  release(ref: RecordRef): void {
    if (!this.#opts.releaseAfterSync) {
      this.#release(ref);
      return;
    }
    this.#deferred.push(ref);
    this.#deferredBytes += ref.length;
    if (this.#deferredBytes > this.#journal.capacityBytes * DEFERRED_SHARE) this.releaseDeferred();
  }

  /**
   * Keeps a tombstone as long as replay could meet what it ends. It covers records up to `covers`; all of the inode's up to `through` are over by it, so that
   * tombstones that cover no more than those are not needed any more.
   */
  bury(ino: Ino, ref: RecordRef, { covers, through }: { readonly covers: number; readonly through: number }): void {
    const tombstone: Tombstone = { ref, covers: Math.max(covers, through), heldBy: 0, released: false };
    for (const segment of this.#segments.values()) {
      if (segment.number >= ref.segment) break;
      if (!segment.inodes.has(ino)) continue;
      segment.holds.push(tombstone);
      tombstone.heldBy++;
    }
    const kept: Tombstone[] = [];
    for (const old of this.#tombstones.get(ino) ?? []) {
      if (!old.released && old.covers <= through) this.#end(old);
      if (!old.released) kept.push(old);
    }
    if (tombstone.heldBy > 0) kept.push(tombstone);
    if (kept.length > 0) this.#tombstones.set(ino, kept);
    else this.#tombstones.delete(ino);
    if (tombstone.heldBy === 0) this.#end(tombstone);
  }

  /** Tombstones that are kept for the inode. */
  tombstoneCount(ino: Ino): number {
    return this.#tombstones.get(ino)?.length ?? 0;
  }

  /** True when replay would meet writes of the inode. */
  hasWrites(ino: Ino): boolean {
    for (const segment of this.#segments.values()) if (segment.inodes.has(ino)) return true;
    return false;
  }

  /** Everything appended before the call is on disk when it resolves. */
  async sync(): Promise<void> {
    const deferred = this.#deferred;
    this.#deferred = [];
    this.#deferredBytes = 0;
    try {
      await this.#journal.sync();
    } catch (error) {
      this.#deferred.push(...deferred);
      throw error;
    }
    for (const ref of deferred) this.#release(ref);
  }

  /** Starts a sync for the releases that wait for one, if there are any. */
  releaseDeferred(): void {
    if (this.#deferred.length === 0 || this.#syncing !== undefined) return;
    this.#syncing = this.sync()
      .catch((error: unknown) => this.#logger.error('cannot sync the journal', { error: errorMessage(error) }))
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  #retain(ref: RecordRef): Segment {
    this.#lastSequence = ref.sequence;
    let active = this.#active;
    if (active === undefined || active.number !== ref.segment) {
      const sealed = active;
      active = { number: ref.segment, live: 0, inodes: new Set(), holds: [] };
      this.#active = active;
      this.#segments.set(ref.segment, active);
      if (sealed?.live === 0) this.#gone(sealed);
    }
    active.live++;
    return active;
  }

  #release(ref: RecordRef): void {
    this.#journal.release(ref);
    const segment = must(this.#segments.get(ref.segment), 'the segment of a retained record');
    segment.live--;
    if (segment.live === 0 && segment !== this.#active) this.#gone(segment);
  }

  #gone(segment: Segment): void {
    this.#segments.delete(segment.number);
    for (const tombstone of segment.holds) {
      tombstone.heldBy--;
      if (tombstone.heldBy === 0) this.#end(tombstone);
    }
  }

  #end(tombstone: Tombstone): void {
    if (tombstone.released) return;
    tombstone.released = true;
    this.release(tombstone.ref);
  }
}
