import { backoffMs } from '../../common/backoff.js';
import type { Clock } from '../../common/clock.js';
import { errorMessage, FsError } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { Journal } from '../../journal/journal.js';
import type { Metadata } from '../../meta/metadata.js';
import { chunkKey } from '../../model/chunk-key.js';
import { DataError, fsErrorOf, isDataError } from '../data-error.js';
import type { ChunkId } from '../../model/ids.js';
import type { InodeState } from '../inode-state.js';
import type { InodeTable } from '../inode-table.js';
import type { ChunkTransfer } from '../transfer/chunk-transfer.js';
import type { OverlaySink } from '../write/dirty-overlay.js';
import type { JournalLedger } from '../write/journal-ledger.js';
import type { UploadTrigger } from '../write/write-path.js';
import type { Batch } from './batch.js';
import type { Committer } from './committer.js';
import type { FailureLog } from './failure-log.js';
import { layOut } from './lay-out.js';
import { packBatches } from './pack.js';

export interface UploaderDeps {
  readonly table: InodeTable;
  readonly ledger: JournalLedger;
  readonly journal: Journal;
  readonly metadata: Metadata;
  readonly transfer: ChunkTransfer;
  readonly committer: Committer;
  readonly failures: FailureLog;
  readonly sink: OverlaySink;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface UploaderOptions {
  /** Uploads at once; each holds one chunk in memory. */
  readonly uploadsMax: number;
  /** Payload of a chunk at most: a block. */
  readonly chunkBytes: number;
  /** Age at which written data is uploaded. */
  readonly flushIntervalMs: number;
  /** Scattered writes of one inode are uploaded when there are so many bytes of them. */
  readonly scatteredBytes: number;
}

interface Job {
  readonly state: InodeState;
  readonly batch: Batch;
}

const BACKOFF = { firstMs: 200, maxMs: 30_000 };
const CLOSE_MAX_MS = 5000;
/** From this failure of a batch on, fsync and close report what could pass by itself; it is tried on all the same. */
const ATTEMPTS_SILENT_MAX = 3;

/**
 * Brings what is written to the object store: decides when (a block is complete, 5 s have passed, fsync, close, somebody waits for room), packs, puts through the
 * transfer threads, and hands the stored chunks to the committer in the order in which they were packed. What fails is tried again for as long as the mount lives;
 * its data stays in the journal and in the overlay.
 */
export class Uploader implements UploadTrigger {
  readonly #deps: UploaderDeps;
  readonly #opts: UploaderOptions;

  /** Inodes with bytes that no upload carries, oldest first. */
  readonly #waiting = new Set<InodeState>();
  /** Formed and not begun. */
  #queue: Job[] = [];
  /** INVARIANT: at most `uploadsMax`. */
  #active = 0;
  readonly #sleeping = new Map<Batch, () => void>();
  readonly #closing = new AbortController();
  #ticker: NodeJS.Timeout | undefined;
  /** Inodes whose uploads are held back (adoption). */
  readonly #held = new Set<InodeState>();

  constructor(deps: UploaderDeps, opts: UploaderOptions) {
    this.#deps = deps;
    this.#opts = opts;
  }

  get active(): number {
    return this.#active;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get waitingInodes(): number {
    return this.#waiting.size;
  }

  /** Begins to look for what is old enough. */
  start(): void {
    this.#ticker ??= setInterval(() => this.#tick(), Math.min(500, this.#opts.flushIntervalMs));
    this.#ticker.unref();
  }

  written(state: InodeState, start: number, end: number): void {
    state.writtenMs = this.#deps.clock.monotonicMs();
    if (!this.#waiting.has(state)) {
      state.dirtySinceMs = state.writtenMs;
      this.#waiting.add(state);
    }
    if (this.#held.has(state)) return;
    const { chunkBytes } = this.#opts;
    const { blocks } = state.overlay;
    // Blocks that this write ended or filled; more than half of one is worth a chunk of its own.
    for (let index = Math.floor(start / chunkBytes); index * chunkBytes < end; index++) {
      const block = blocks.get(index);
      if (block === undefined || block.pending < chunkBytes / 2) continue;
      const ended = end >= (index + 1) * chunkBytes;
      if (block.pending === chunkBytes || (ended && block.pieces.length * 4096 < block.pending))
        this.#pack(state, index);
    }
    if (state.overlay.pendingBytes >= this.#opts.scatteredBytes) this.#pack(state);
  }

  relieve(): void {
    for (const state of this.#waiting) this.#pack(state);
  }

  async settle(signal?: AbortSignal): Promise<void> {
    const all = [...this.#deps.table.values()].filter((state) => state.dirty);
    // Failures are not this caller's: they stay with their inodes.
    await Promise.all(all.map((state) => this.flush(state, signal).catch(rethrowInterrupt)));
  }

  /** Resolves when everything written to the inode before the call is committed; rejects when an upload of it fails in the meantime. */
  async flush(state: InodeState, signal?: AbortSignal): Promise<void> {
    while (this.#held.has(state)) await state.progress.wait(signal);
    this.#pack(state);
    this.#hurry(state);
    const failures = state.errorCount;
    const last = state.batches[state.batches.length - 1];
    if (last === undefined && state.killPrivAt > 0) this.#deps.committer.kick(state);
    while (last === undefined ? state.killPrivAt > 0 : last.state !== 'done') {
      const { lost } = this.#deps.committer;
      if (lost !== undefined) throw lost;
      if (this.#closing.signal.aborted) throw new FsError('EIO', 'the mount is closing');
      await state.progress.wait(signal);
      if (state.errorCount !== failures) throw state.error ?? new FsError('EIO');
    }
  }

  /** Nothing of the inode is needed any more. */
  discard(state: InodeState): void {
    state.overlay.truncate(0);
    state.killPrivAt = 0;
    this.#waiting.delete(state);
    this.#hurry(state);
  }

  /** Puts batches that were stored once more, under fresh chunk ids. */
  again(state: InodeState, batches: readonly Batch[]): void {
    for (const batch of batches) {
      batch.state = 'queued';
      batch.chunkId = undefined;
      batch.chunkBytes = 0;
      this.#queue.push({ state, batch });
    }
    this.#pump();
  }

  hold(state: InodeState): void {
    this.#held.add(state);
  }

  unhold(state: InodeState): void {
    this.#held.delete(state);
    state.progress.notify();
  }

  /** Stops: uploads under way are given up, their data stays in the journal. Waits for their end, but not for ever. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    this.#closing.abort(new DataError('closed', 'the mount is closing'));
    for (const wake of [...this.#sleeping.values()]) wake();
    for (const state of this.#deps.table.values()) state.progress.notify();
    const { clock } = this.#deps;
    const deadline = clock.monotonicMs() + CLOSE_MAX_MS;
    while (this.#active > 0 && clock.monotonicMs() < deadline) await clock.sleep(5);
  }

  #tick(): void {
    const now = this.#deps.clock.monotonicMs();
    for (const state of this.#waiting) {
      if (now - state.dirtySinceMs < this.#opts.flushIntervalMs) break;
      this.#pack(state);
    }
    const { journal, ledger } = this.#deps;
    if (journal.usedBytes > journal.capacityBytes * 0.75) {
      this.relieve();
      ledger.releaseDeferred();
    }
  }

  #pack(state: InodeState, only?: number): void {
    if (this.#held.has(state)) return;
    const batches = packBatches(state, this.#opts.chunkBytes, only);
    if (state.overlay.pendingBytes === 0) this.#waiting.delete(state);
    for (const batch of batches) {
      state.batches.push(batch);
      this.#queue.push({ state, batch });
    }
    this.#pump();
  }

  /** Somebody waits for this inode: its batches go before those of others, and those that wait before they are tried again are tried now. */
  #hurry(state: InodeState): void {
    if (this.#queue.length > 0 && this.#queue[0]!.state !== state) {
      const own = this.#queue.filter((job) => job.state === state);
      if (own.length > 0) this.#queue = own.concat(this.#queue.filter((job) => job.state !== state));
    }
    for (const batch of state.batches) this.#sleeping.get(batch)?.();
    this.#deps.committer.kick(state);
  }

  #pump(): void {
    let next = 0;
    while (this.#active < this.#opts.uploadsMax && next < this.#queue.length && !this.#closing.signal.aborted) {
      const job = this.#queue[next++]!;
      this.#active++;
      void this.#upload(job).finally(() => {
        this.#active--;
        this.#pump();
      });
    }
    if (next > 0) this.#queue = this.#queue.slice(next);
  }

  /** Never rejects. */
  async #upload({ state, batch }: Job): Promise<void> {
    const { metadata, committer } = this.#deps;
    batch.state = 'uploading';
    try {
      // All of it may have been overwritten while it waited.
      if (state.overlay.batchPieces(batch).length > 0) {
        const chunkId = await metadata.allocateChunkId(this.#closing.signal);
        await this.#put(state, batch, chunkId);
        batch.chunkId = chunkId;
      }
      batch.state = 'stored';
      committer.kick(state);
    } catch (error) {
      batch.state = 'waiting';
      batch.attempts++;
      void this.#retryLater({ state, batch }, error);
    }
  }

  /** Each attempt has its own chunk id: one id never names two contents, for what is overwritten in between is left out. */
  async #put(state: InodeState, batch: Batch, chunkId: ChunkId): Promise<void> {
    const { metadata, transfer, sink, journal } = this.#deps;
    const pieces = state.overlay.batchPieces(batch);
    const { source, bytes } = layOut(pieces, journal);
    batch.chunkBytes = bytes;
    if (bytes === 0) return;
    // What is overwritten or cut while it is read must stay in the journal.
    const pins = pieces.map(({ record, start, end }) => ({ record, bytes: end - start }));
    for (const pin of pins) pin.record.live += pin.bytes;
    try {
      const key = chunkKey(metadata.fs.id, chunkId);
      await transfer.put({ key, chunkId, payloadBytes: bytes, source }, this.#closing.signal);
    } finally {
      for (const pin of pins) sink.dead(pin.record, pin.bytes);
    }
  }

  async #retryLater(job: Job, error: unknown): Promise<void> {
    const { logger } = this.#deps;
    const { state, batch } = job;
    if (this.#closing.signal.aborted) return;
    this.#deps.failures.failed(state, error);
    // The store's own retries are behind it each time.
    const lasting = !isDataError(error) || !error.retryable || batch.attempts >= ATTEMPTS_SILENT_MAX;
    logger[lasting ? 'error' : 'warn']('upload failed, it will be tried again', {
      ino: state.ino,
      bytes: batch.bytes,
      attempt: batch.attempts,
      error: errorMessage(error),
    });
    if (lasting) state.fail(fsErrorOf(error, 'upload'));
    await this.#sleep(batch, backoffMs(batch.attempts - 1, BACKOFF));
    if (this.#closing.signal.aborted) return;
    batch.state = 'queued';
    this.#queue.push(job);
    this.#pump();
  }

  /** Ends early when the batch is wanted now. */
  async #sleep(batch: Batch, ms: number): Promise<void> {
    const wake = new AbortController();
    this.#sleeping.set(batch, () => wake.abort());
    try {
      await this.#deps.clock.sleep(ms, wake.signal);
    } catch (error) {
      if (!wake.signal.aborted) throw error;
    } finally {
      this.#sleeping.delete(batch);
    }
  }
}

function rethrowInterrupt(error: unknown): void {
  if (error instanceof FsError && error.code === 'EINTR') throw error;
}
