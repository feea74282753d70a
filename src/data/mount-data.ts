import type { Clock } from '../common/clock.js';
import { errorMessage, FsError } from '../common/fs-error.js';
import { interruptible } from '../common/interruptible.js';
import type { Logger } from '../common/logger.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import type { MetricsRegistry } from '../common/metrics.js';
import { isJournalError } from '../journal/journal-error.js';
import type { Journal } from '../journal/journal.js';
import type { ExtentMap, Metadata, OpContext, SetAttr } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import type { BlockCache } from './block-cache/block-cache.js';
import { fsErrorOf } from './data-error.js';
import { Compactor } from './compact/compactor.js';
import type { DataStatus } from './data-status.js';
import type { FileData, WriteOptions } from './file-data.js';
import type { InodeState } from './inode-state.js';
import { InodeTable } from './inode-table.js';
import type { MountDataOptions } from './mount-data-options.js';
import { Notifier } from './notifier.js';
import { ChunkCache } from './read/chunk-cache.js';
import { ExtentBudget } from './read/extent-cache.js';
import { FrameFetcher } from './read/frame-fetcher.js';
import { Reader } from './read/reader.js';
import { Seeker, type SeekTarget } from './read/seeker.js';
import { adoptWrites, type AdoptedWrite } from './recovery/adopt-writes.js';
import type { ChunkTransfer } from './transfer/chunk-transfer.js';
import { Committer } from './upload/committer.js';
import { FailureLog } from './upload/failure-log.js';
import { Uploader } from './upload/uploader.js';
import { AttrChanger } from './write/attr-changer.js';
import { overlayAttr } from './write/attr-overlay.js';
import type { OverlaySink } from './write/dirty-overlay.js';
import { COMMITTED_KIND, encodeCommitted } from './write/record-codec.js';
import { JournalLedger } from './write/journal-ledger.js';
import { RangeChanger, type AllocateRequest, type CopyRequest } from './write/range-changer.js';
import type { DirtyTotals, DirtyUnits } from './write/reservation.js';
import { Reservations } from './write/reservations.js';
import { WritePath } from './write/write-path.js';

export interface MountDataDeps {
  readonly metadata: Metadata;
  readonly journal: Journal;
  readonly transfer: ChunkTransfer;
  readonly blockCache: BlockCache | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

/** Longest payload of one journal record: what the kernel sends at most, so that a record is one write. */
const RECORD_BYTES_MAX = 1 << 20;
/** More is not read by the thread that serves the kernel. */
const NOW_BYTES_MAX = 128 << 10;
/** A mount holds at most this part of a filesystem's capacity for writes to come, and gives it back when none came for a while. */
const AHEAD_SHARE = 32;
const IDLE_CHECK_MS = 5000;

/**
 * The data path of a mount: {@link FileData} over a journal, a transfer, and the metadata service.
 *
 * A write goes to the journal and to the inode's overlay; the uploader packs, puts and commits behind it; a read looks at the overlay, then at the committed extents,
 * then fetches. Lock order: an inode's lock (over the RPC of a commit or setattr), nothing below it. Whoever owns this opens and closes journal, transfer and block cache.
 */
export class MountData implements FileData {
  readonly #deps: MountDataDeps;
  readonly #opts: MountDataOptions;
  readonly #totals: DirtyTotals = { bytes: 0, pieces: 0, units: 0 };
  readonly #room = new Notifier();
  readonly #ledger: JournalLedger;
  readonly #table: InodeTable;
  readonly #reservations: Reservations;
  readonly #failures: FailureLog;
  readonly #committer: Committer;
  readonly #uploader: Uploader;
  readonly #writes: WritePath;
  readonly #attrs: AttrChanger;
  readonly #ranges: RangeChanger;
  readonly #seeker: Seeker;
  readonly #chunks: ChunkCache;
  readonly #reader: Reader;
  readonly #compactor: Compactor;
  #idleTimer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  constructor(deps: MountDataDeps, opts: MountDataOptions) {
    this.#deps = deps;
    this.#opts = opts;
    const { metadata, journal, transfer, clock, logger } = deps;
    const blockSize = metadata.fs.blockSizeBytes;
    const nowMs = (): number => clock.monotonicMs();
    const settled = (state: InodeState): void => this.#settled(state);
    const budget = new ExtentBudget(opts.extentsMax);
    const ledger = new JournalLedger({ journal, logger }, { releaseAfterSync: opts.writeback });
    const sink: OverlaySink = {
      dead: (record, bytes) => {
        record.live -= bytes;
        if (record.live === 0) ledger.release(record.ref);
      },
      changed: (pieces, bytes, units) => {
        this.#totals.pieces += pieces;
        this.#totals.bytes += bytes;
        this.#totals.units += units;
        if (pieces < 0) this.#room.notify();
      },
    };
    this.#ledger = ledger;
    const aheadBytes = opts.reserveAheadBytes;
    const wholeAheadBytes = Math.min(aheadBytes, Math.floor(metadata.fs.capacityBytes / AHEAD_SHARE));
    const reservations = new Reservations(
      { metadata, totals: this.#totals, logger, nowMs },
      { aheadBytes, wholeAheadBytes },
    );
    this.#reservations = reservations;
    const dirtyOf = (quota: Ino): DirtyUnits => reservations.dirtyOf(quota);
    this.#table = new InodeTable({ metadata, sink, budget, nowMs, dirtyOf });
    const table = this.#table;
    this.#failures = new FailureLog({ clock });
    const failures = this.#failures;
    this.#committer = new Committer({
      ...{ table, ledger, journal, metadata, reservations, failures, clock, settled },
      logger: logger.child('commit'),
      syncIntents: opts.writeback,
      uploadAgain: (state, batches) => this.#uploader.again(state, batches),
      sessionLost: (error) => this.#sessionLost(error),
    });
    this.#uploader = new Uploader(
      {
        table,
        ledger,
        journal,
        metadata,
        transfer,
        sink,
        clock,
        committer: this.#committer,
        failures,
        logger: logger.child('upload'),
      },
      { ...opts, chunkBytes: blockSize },
    );
    this.#writes = new WritePath(
      {
        ...{ table, ledger, journal, metadata, reservations, clock },
        uploads: this.#uploader,
        totals: this.#totals,
        room: this.#room,
      },
      { dirtyExtentsMax: opts.dirtyExtentsMax, recordBytesMax: RECORD_BYTES_MAX },
    );
    this.#attrs = new AttrChanger({ table, ledger, metadata, settled });
    this.#ranges = new RangeChanger({
      ...{ table, ledger, journal, metadata, reservations, settled, clock },
      uploads: this.#uploader,
      syncNotes: opts.writeback,
    });
    this.#seeker = new Seeker({ metadata, nowMs });
    const fetcher = new FrameFetcher({ transfer, cache: deps.blockCache, fsId: metadata.fs.id, logger });
    this.#chunks = new ChunkCache(
      {
        fetch: (chunkId, start, end) => fetcher.fetch(chunkId, start, end),
        fetchNow: (chunkId, start, end) => fetcher.fetchNow(chunkId, start, end),
      },
      {
        bytesMax: opts.memoryCacheBytes,
        aheadBytesMax: opts.readAheadBytes * 2,
        fetchBytesMax: Math.min(blockSize, 4 << 20),
        nowBytesMax: NOW_BYTES_MAX,
      },
    );
    const cache = this.#chunks;
    this.#compactor = new Compactor({
      ...{ table, metadata, transfer, cache, clock },
      idle: () => this.#uploader.active === 0 && this.#writes.waiting === 0,
      logger: logger.child('compact'),
      metrics: deps.metrics,
    });
    const compactor = opts.compaction ? this.#compactor : undefined;
    this.#reader = new Reader(
      {
        ...{ metadata, journal, cache, nowMs },
        logger: logger.child('read'),
        seen: (ino, block, extents) => compactor?.consider(ino, block, extents),
      },
      opts,
    );
    this.#declareMetrics(budget);
  }

  /** Begins what runs by itself: uploads by age, compaction. */
  start(): void {
    this.#uploader.start();
    if (this.#opts.compaction) this.#compactor.start();
    this.#idleTimer ??= setInterval(() => this.#reservations.giveBackIdle(), IDLE_CHECK_MS).unref();
  }

  opened(attr: InodeAttr, extents: ExtentMap | undefined): void {
    this.#table.opened(attr, extents);
  }

  released(ino: Ino): void {
    const state = this.#table.get(ino);
    if (state === undefined) return;
    state.opens = Math.max(0, state.opens - 1);
    this.#table.trim(state);
  }

  read(ino: Ino, offset: number, length: number, signal?: AbortSignal): MaybePromise<readonly Uint8Array[]> {
    const state = this.#table.get(ino);
    if (state !== undefined) return this.#reader.read(state, offset, length, signal);
    return this.#table.load(ino, signal).then((loaded) => {
      const found = this.#reader.read(loaded, offset, length, signal);
      const trim = (): void => this.#table.trim(loaded);
      if (found instanceof Promise) void found.then(trim, trim);
      else trim();
      return found;
    });
  }

  write(ino: Ino, offset: number, data: Uint8Array, options: WriteOptions): MaybePromise<number> {
    return this.#writes.write(ino, offset, data, options);
  }

  setattr(ctx: OpContext, ino: Ino, change: SetAttr): Promise<InodeAttr> {
    return this.#attrs.setattr(ctx, ino, change);
  }

  async fallocate(ctx: OpContext, ino: Ino, request: AllocateRequest): Promise<void> {
    await this.#ranges.fallocate(ctx, ino, request);
  }

  copyRange(ctx: OpContext, ino: Ino, request: CopyRequest): Promise<number> {
    return this.#ranges.copyRange(ctx, ino, request);
  }

  async seek(ino: Ino, offset: number, target: SeekTarget, signal?: AbortSignal): Promise<number> {
    const state = await this.#table.load(ino, signal);
    try {
      return await this.#seeker.seek(state, offset, target, signal);
    } finally {
      this.#table.trim(state);
    }
  }

  overlay(attr: InodeAttr): InodeAttr {
    const state = this.#table.get(attr.ino);
    if (state === undefined) return attr;
    state.learn(attr);
    return overlayAttr(state, attr);
  }

  /** Rejects when an upload of the inode's data fails while it waits: the error that {@link takeError} tells as well. */
  flush(ino: Ino, signal?: AbortSignal): MaybePromise<void> {
    return this.#opts.writeback ? undefined : this.publish(ino, signal);
  }

  publish(ino: Ino, signal?: AbortSignal): MaybePromise<void> {
    const state = this.#table.get(ino);
    return state?.dirty === true ? this.#uploader.flush(state, signal) : undefined;
  }

  async fsync(ino: Ino, signal?: AbortSignal): Promise<void> {
    const state = this.#table.get(ino);
    if (this.#opts.writeback) {
      try {
        await interruptible(this.#ledger.sync(), signal);
      } catch (error) {
        throw fsErrorOf(error, 'the journal cannot be synced');
      }
    } else if (state?.dirty === true) {
      await this.#uploader.flush(state, signal);
    }
    await this.#deps.metadata.barrier(signal);
  }

  errorMark(ino: Ino): number {
    return this.#table.get(ino)?.errorCount ?? 0;
  }

  takeError(ino: Ino, mark: number): { readonly mark: number; readonly error: Error } | undefined {
    const state = this.#table.get(ino);
    if (state?.error === undefined || state.errorCount === mark) return undefined;
    return { mark: state.errorCount, error: state.error };
  }

  discard(ino: Ino): void {
    const state = this.#table.get(ino);
    if (state === undefined) return;
    state.discarded = true;
    const hadData = state.overlay.pieceCount > 0;
    this.#uploader.discard(state);
    if (hadData) this.#buryDiscarded(state);
    this.#settled(state);
  }

  async drain(signal?: AbortSignal): Promise<void> {
    const dirty = [...this.#table.values()].filter((state) => state.dirty);
    const results = await Promise.allSettled(dirty.map((state) => this.#uploader.flush(state, signal)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Bytes that are in the journal only. */
  get dirtyBytes(): number {
    return this.#totals.bytes;
  }

  status(): Omit<DataStatus, 'leftJournals'> {
    return {
      dirtyBytes: this.#totals.bytes,
      failing: this.#failures.summary,
      sessionLost: this.#committer.lost === undefined ? undefined : errorMessage(this.#committer.lost),
    };
  }

  /** Rewrites one block of a file as one chunk; false when there was nothing to gain or somebody changed it meanwhile. */
  compactBlock(ino: Ino, block: number): Promise<boolean> {
    return this.#compactor.compactBlock(ino, block);
  }

  /**
   * Takes over writes of an ended session (recovery): they are in this journal, and synced, when it resolves; nothing of them is uploaded before {@link releaseAdopted}.
   */
  async adopt(attr: InodeAttr, writes: AsyncIterable<AdoptedWrite>): Promise<void> {
    const state = this.#table.ensure(attr);
    this.#uploader.hold(state);
    await adoptWrites(state, writes, {
      ledger: this.#ledger,
      journal: this.#deps.journal,
      session: this.#deps.metadata.sessionId,
      written: (start, end) => this.#uploader.written(state, start, end),
    });
  }

  /** Everything adopted is on disk. */
  syncJournal(): Promise<void> {
    return this.#ledger.sync();
  }

  releaseAdopted(ino: Ino): void {
    const state = this.#table.get(ino);
    if (state === undefined) return;
    this.#uploader.unhold(state);
    this.#settled(state);
  }

  /** Stops; what is not committed stays in the journal, which the owner closes. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#idleTimer);
    this.#writes.refuse(new FsError('EIO', 'the mount is closing'));
    await this.#compactor.close();
    await this.#uploader.close();
    await this.#committer.close();
  }

  #settled(state: InodeState): void {
    this.#table.trim(state);
  }

  #sessionLost(error: FsError): void {
    this.#deps.logger.error('the session is lost: what is not committed stays in the journal', {
      bytes: this.#totals.bytes,
    });
    this.#writes.refuse(error);
    // Who waits for a commit waits in vain.
    for (const state of this.#table.values()) if (state.dirty) state.fail(error);
  }

  /** Recovery need not ask for what nobody wants; where the journal cannot take that, it asks, and the server says that the inode is gone. */
  #buryDiscarded(state: InodeState): void {
    const through = this.#ledger.lastSequence;
    const { header, payload } = encodeCommitted({ ino: state.ino, through, change: state.attr.change, ranges: [] });
    try {
      const ref = this.#ledger.appendNote(COMMITTED_KIND, header, payload);
      this.#ledger.bury(state.ino, ref, { covers: through, through });
    } catch (error) {
      if (!isJournalError(error)) throw error;
      this.#deps.logger.debug('cannot journal that data is discarded', { ino: state.ino, error: errorMessage(error) });
    }
  }

  #declareMetrics(budget: ExtentBudget): void {
    const { metrics } = this.#deps;
    metrics.gauge(
      { name: 'data_dirty_bytes', help: 'Acknowledged bytes that are not committed yet' },
      () => this.#totals.bytes,
    );
    metrics.gauge({ name: 'data_dirty_extents', help: 'Runs of dirty bytes in memory' }, () => this.#totals.pieces);
    metrics.gauge({ name: 'data_inodes', help: 'Inodes that the data path knows' }, () => this.#table.size);
    metrics.gauge({ name: 'data_writers_waiting', help: 'Writes that wait for room' }, () => this.#writes.waiting);
    metrics.gauge(
      {
        name: 'data_inode_locks_waiting',
        help: 'Commits and changes of attributes that wait for another of the same inode',
      },
      () => this.#table.lock.waiting,
    );
    metrics.gauge(
      { name: 'data_reserved_bytes', help: 'Space reserved at the server' },
      () => this.#reservations.whole.reservedBytes,
    );
    metrics.gauge({ name: 'data_uploads_active', help: 'Uploads under way' }, () => this.#uploader.active);
    metrics.gauge({ name: 'data_uploads_queued', help: 'Uploads that wait for a slot' }, () => this.#uploader.queued);
    metrics.gauge({ name: 'data_commits', help: 'Commits done' }, () => this.#committer.commits);
    metrics.gauge(
      { name: 'data_dropped_bytes', help: 'Uncommitted bytes of deleted files that were dropped' },
      () => this.#committer.droppedBytes,
    );
    metrics.gauge({ name: 'data_memory_cache_bytes', help: 'Chunk payload in memory' }, () => this.#chunks.bytes);
    metrics.gauge(
      { name: 'data_fetching_bytes', help: 'Chunk payload being fetched' },
      () => this.#chunks.fetchingBytes,
    );
    metrics.gauge({ name: 'data_extents_cached', help: 'Committed extents in memory' }, () => budget.extents);
    metrics.gauge(
      { name: 'data_failed_inodes', help: 'Inodes with dirty data whose last upload failed' },
      () => this.#failures.size,
    );
  }
}
