import { NO_INO, type Ino, type SessionId } from '../model/ids.js';
import type { InodeAttr, Timespec } from '../model/inode.js';
import { Notifier } from './notifier.js';
import { ExtentCache, type ExtentBudget } from './read/extent-cache.js';
import { ReadAheadState } from './read/read-ahead-state.js';
import type { Batch } from './upload/batch.js';
import { DirtyOverlay, type OverlaySink } from './write/dirty-overlay.js';
import type { DirtyUnits } from './write/reservation.js';

/** Batches in one commit. */
export const COMMIT_BATCHES_MAX = 16;

export interface InodeStateDeps {
  readonly sink: OverlaySink;
  /** Where what is dirty of a quota is counted. */
  readonly dirtyOf: (quota: Ino) => DirtyUnits;
  readonly budget: ExtentBudget;
  readonly blockSize: number;
  readonly session: SessionId;
}

/** The last write that is not committed. */
export interface LastWrite {
  readonly time: Timespec;
  readonly sequence: number;
}

/**
 * What the data path knows of one inode: the newest attributes seen, what is written over them, what is uploaded, and what may be read without asking.
 * It exists while the inode is open here or has anything uncommitted.
 *
 * Whoever changes data, size or times at the server holds the inode's lock (`InodeTable.lock`) from building the request to taking in the reply.
 */
export class InodeState {
  readonly ino: Ino;
  readonly overlay: DirtyOverlay;
  readonly extents: ExtentCache;
  readonly readAhead = new ReadAheadState();
  readonly #session: SessionId;
  readonly #dirtyOf: (quota: Ino) => DirtyUnits;

  /** Allocation units that are dirty here. INVARIANT: counted in `#dirty`, the account of the quota that `attr` names. */
  #units = 0;
  #dirty: DirtyUnits | undefined;

  /** Opens of this mount. */
  opens = 0;
  /** The committed attributes. INVARIANT: `attr.change` never goes back. */
  attr: InodeAttr;
  /** Size as readers here see it. INVARIANT: max(attr.size, overlay.end). */
  size: number;
  lastWrite: LastWrite | undefined;
  /** Writes up to this sequence number are older than times that were set explicitly. */
  timesSetAt = 0;
  /** Time epochs from this one to the attributes' are equal as far as mtime goes. */
  timeEpochFloor: number;
  /** Sequence number of the last write that removes the privilege bits and is not committed; 0 = none. */
  killPrivAt = 0;
  /** Setattrs under way: writes wait for their end. */
  changing = 0;
  /** In the order in which they will be committed. */
  batches: Batch[] = [];
  /** A commit loop is running. */
  committing = false;
  /** Most batches in the next commit: one that replaces too many extents is sent in parts. */
  commitBatchesMax = COMMIT_BATCHES_MAX;
  /** Commits that failed one after the other. */
  commitFailures = 0;
  /** Monotonic time of the oldest write that no upload carries. */
  dirtySinceMs = 0;
  /** Monotonic time of the last write. */
  writtenMs = 0;
  /** The last failure of an upload, and how many there were (errseq_t). */
  error: Error | undefined;
  errorCount = 0;
  /** The inode is gone: nothing of it needs to be uploaded. */
  discarded = false;
  /** It may be that a truncation that failed was executed: attributes are asked for before the next write. */
  unsure = false;
  /** Something happened: a batch is committed, an upload failed, a setattr ended. */
  readonly progress = new Notifier();

  constructor(deps: InodeStateDeps, attr: InodeAttr) {
    this.ino = attr.ino;
    this.attr = attr;
    this.size = attr.size;
    this.timeEpochFloor = attr.timeEpoch;
    this.#session = deps.session;
    const { sink } = deps;
    this.#dirtyOf = deps.dirtyOf;
    this.#dirty = this.#dirtyIn(attr.quota);
    this.overlay = new DirtyOverlay(deps.blockSize, {
      dead: (record, bytes) => sink.dead(record, bytes),
      changed: (pieces, bytes, units) => {
        this.#units += units;
        if (this.#dirty !== undefined) this.#dirty.units += units;
        sink.changed(pieces, bytes, units);
      },
    });
    this.extents = new ExtentCache(deps.blockSize, deps.budget);
  }

  /** True when something of it is not committed. */
  get dirty(): boolean {
    return this.overlay.pieceCount > 0 || this.batches.length > 0 || this.killPrivAt > 0;
  }

  /** Attributes from any reply but one to an own change. */
  learn(attr: InodeAttr): void {
    const old = this.attr;
    if (attr.change <= old.change) return;
    const onlyOurs = attr.writerEpoch === old.writerEpoch && attr.lastWriter === (this.#session as number);
    const truncated = attr.truncEpoch !== old.truncEpoch;
    if (truncated || !onlyOurs) this.extents.clear();
    this.#take(attr);
    if (truncated) this.overlay.truncate(attr.size, attr.truncEpoch);
    this.resize();
  }

  /** Attributes from the reply to an own change; false when others may have changed data in between, so that cached extents are worth nothing. */
  learnOwn(attr: InodeAttr, truncations: number): boolean {
    const old = this.attr;
    const ours = attr.lastWriter === (this.#session as number);
    const same =
      ours && attr.writerEpoch === old.writerEpoch && (attr.change <= old.change || old.lastWriter === attr.lastWriter);
    const first = ours && attr.writerEpoch === old.writerEpoch + 1 && attr.change === old.change + 1;
    const untouched = attr.writerEpoch === old.writerEpoch && attr.change === old.change + 1;
    const kept =
      (same || first || untouched) && (attr.change <= old.change || attr.truncEpoch <= old.truncEpoch + truncations);
    if (!kept) this.extents.clear();
    if (attr.change > old.change) {
      this.#take(attr);
      if (!kept && attr.truncEpoch !== old.truncEpoch) this.overlay.truncate(attr.size, attr.truncEpoch);
    }
    this.resize();
    return kept;
  }

  /** Restores the invariant of `size`. */
  resize(): void {
    this.size = Math.max(this.attr.size, this.overlay.end);
  }

  #dirtyIn(quota: Ino): DirtyUnits | undefined {
    return quota === NO_INO ? undefined : this.#dirtyOf(quota);
  }

  #take(attr: InodeAttr): void {
    if (attr.quota !== this.attr.quota) {
      if (this.#dirty !== undefined) this.#dirty.units -= this.#units;
      this.#dirty = this.#dirtyIn(attr.quota);
      if (this.#dirty !== undefined) this.#dirty.units += this.#units;
    }
    if (attr.timeEpoch !== this.attr.timeEpoch) this.timeEpochFloor = attr.timeEpoch;
    this.attr = attr;
  }

  fail(error: Error): void {
    this.error = error;
    this.errorCount++;
    this.progress.notify();
  }
}
