import fs from 'node:fs';
import path from 'node:path';
import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import type { Counter, MetricsRegistry } from '../common/metrics.js';
import { DirLock } from '../journal/dir-lock.js';
import { nodeJournalFs } from '../journal/journal-fs.js';
import { isJournalError } from '../journal/journal-error.js';
import { SegmentJournal } from '../journal/segment-journal.js';
import { checkBatch, checkGuards } from './batch-check.js';
import { CommitQueue } from './commit-queue.js';
import { RESERVE_BYTES } from './kv-engine.js';
import type { KvBatch, KvCommitOptions, KvEngine, KvEntry, KvProperties, KvReader, RangeOptions } from './kv-engine.js';
import { isKvError, KvError } from './kv-error.js';
import { kvMetrics } from './kv-metrics.js';
import { LmdbTree } from './lmdb-tree.js';
import { LogBuffer } from './log-buffer.js';
import { OverlayLayer, type LayerView } from './overlay-layer.js';
import { OverlayReader } from './overlay-reader.js';
import { replayLog } from './replay-log.js';
import { TreeApplier } from './tree-applier.js';

export interface LmdbEngineDeps {
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

export interface LmdbEngineOptions {
  /** Holds the tree and the log; made when it is not there. */
  readonly dir: string;
  /** Most bytes that the tree may take. */
  readonly limitBytes: number;
  /** Relaxed commits are on disk this long after, at the latest. */
  readonly flushIntervalMs?: number;
  /** Committed batches that are not applied to the tree: commits wait at this many bytes. */
  readonly backlogBytesMax?: number;
  /** A layer is applied when it holds this much and none is before it (else it grows to a quarter of the backlog), or when it is this old. */
  readonly layerBytes?: number;
  readonly layerAgeMs?: number;
}

/** What reads see: sealed layers, oldest first, under a view of the open one. */
interface State {
  readonly sealed: readonly OverlayLayer[];
  readonly head: LayerView;
  readonly lastSequence: number;
}

const LOG_SEGMENT_BYTES = 16 << 20;
const BATCH_RECORD = 1;
/** A group up to this size is synced on the main thread: it is then likely that nothing else waits. */
const INLINE_SYNC_BYTES_MAX = 8 << 10;
/** … as long as the disk answers within this: blocking must cost less than a thread's round trip gains. */
const INLINE_SYNC_MS_MAX = 1;
/** Kept free on the disk beside the log, so that the tree's transactions find room. */
const DISK_RESERVE_BYTES = 64 << 20;

/**
 * The embedded engine: an LMDB tree behind a log. A commit is checked against everything issued before it, appended to the log and synced with its group, then
 * visible and acknowledged; layers of such batches are applied to the tree behind it, in larger transactions. Reads look through the layers
 * (a few, bounded by the backlog) into the tree. Opening applies what the log holds beyond the tree. One process at a time: the directory is locked.
 */
export class LmdbEngine implements KvEngine {
  readonly properties: KvProperties = {
    name: 'lmdb',
    keyBytesMax: 1024,
    valueBytesMax: 4 << 20,
    batchBytesMax: 8 << 20,
  };
  // Dependencies
  readonly #lock: DirLock;
  readonly #tree: LmdbTree;
  readonly #log: SegmentJournal;
  readonly #applier: TreeApplier;
  readonly #batches: Counter;
  readonly #queue: CommitQueue<State>;

  // Constants
  readonly #opts: LmdbEngineOptions;
  readonly #layerBytes: number;
  readonly #layerBytesMax: number;

  // Mutable state
  readonly #buffer = new LogBuffer();
  /** What is issued: layers that are full, and the one that batches go to. */
  #sealed: OverlayLayer[] = [];
  #head = new OverlayLayer();
  #lastSequence: number;
  #visible: State;
  #reader: OverlayReader;
  #issuedReader: OverlayReader | undefined;
  /** Bytes written since the last sync, and how long syncs take. */
  #unsyncedBytes = 0;
  #syncMs = 0;
  #limitBytes: number;
  #ageTimer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    deps: LmdbEngineDeps,
    opts: LmdbEngineOptions,
    parts: {
      readonly lock: DirLock;
      readonly tree: LmdbTree;
      readonly log: SegmentJournal;
      readonly lastSequence: number;
    },
  ) {
    this.#opts = opts;
    this.#lock = parts.lock;
    this.#tree = parts.tree;
    this.#log = parts.log;
    this.#layerBytes = opts.layerBytes ?? 512 << 10;
    this.#layerBytesMax = backlogBytesMax(opts) / 4;
    this.#lastSequence = parts.lastSequence;
    this.#limitBytes = opts.limitBytes;
    this.#visible = { sealed: [], head: this.#head.view(), lastSequence: parts.lastSequence };
    this.#reader = new OverlayReader([], this.#tree);
    const metrics = kvMetrics(deps.metrics, {
      backlogBytes: () => this.#backlogBytes,
      usedBytes: () => this.space().usedBytes,
      limitBytes: () => this.space().limitBytes,
    });
    this.#batches = metrics.batches;
    this.#applier = new TreeApplier(
      { tree: parts.tree, logger: deps.logger, applySeconds: metrics.applySeconds },
      {
        applied: (layer) => this.#onApplied(layer),
        failed: (error) => this.#queue.fail(asKvError(error)),
      },
    );
    this.#queue = new CommitQueue(
      {
        issue: (batch, reserve) => this.#issue(batch, reserve),
        room: () => this.#room(),
        write: () => this.#write(),
        sync: () => this.#sync(),
        publish: (state) => this.#publish(state),
        discard: () => this.#discard(),
      },
      { flushIntervalMs: opts.flushIntervalMs ?? 100, waitersMax: 65_536 },
    );
  }

  /** Opens or makes the database. Throws `locked`, `corrupt` or `io`. */
  static async open(deps: LmdbEngineDeps, opts: LmdbEngineOptions): Promise<LmdbEngine> {
    const logger = deps.logger.child('kv');
    const logDir = path.join(opts.dir, 'log');
    const undo: (() => Promise<void>)[] = [];
    try {
      await fs.promises.mkdir(logDir, { recursive: true, mode: 0o700 });
      const lock = await DirLock.acquire(opts.dir);
      undo.push(() => lock.close());
      const tree = new LmdbTree(path.join(opts.dir, 'tree.lmdb'), opts.limitBytes + RESERVE_BYTES);
      undo.push(() => tree.close());
      await nodeJournalFs.syncDir(opts.dir);
      await nodeJournalFs.syncDir(path.dirname(path.resolve(opts.dir)));
      const lastSequence = await replayLog(logDir, tree, logger);
      const log = await SegmentJournal.open(
        { logger: logger.child('log'), metrics: deps.metrics },
        {
          dir: logDir,
          name: 'kv',
          segmentBytes: LOG_SEGMENT_BYTES,
          capacityBytes: Math.max(16 * LOG_SEGMENT_BYTES, 4 * backlogBytesMax(opts)),
          preallocate: 'zeros',
          lock: false,
        },
      );
      undo.push(() => log.close());
      // the tree holds all of it
      await log.dropEarlier();
      const engine = new LmdbEngine({ ...deps, logger }, opts, { lock, tree, log, lastSequence });
      await engine.#measureDisk();
      return engine;
    } catch (error) {
      for (const close of undo.reverse()) await close();
      throw asKvError(error);
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#reader.get(key);
  }

  getMany(keys: readonly Uint8Array[]): (Uint8Array | undefined)[] {
    return keys.map((key) => this.#reader.get(key));
  }

  range(start: Uint8Array, end: Uint8Array, options: RangeOptions): KvEntry[] {
    return this.#reader.range(start, end, options);
  }

  snapshot(): KvReader & Disposable {
    const tree = this.#tree.snapshot();
    const reader = new OverlayReader(layersOf(this.#visible), tree);
    return {
      get: (key) => reader.get(key),
      getMany: (keys) => keys.map((key) => reader.get(key)),
      range: (start, end, options) => reader.range(start, end, options),
      [Symbol.dispose]: () => tree[Symbol.dispose](),
    };
  }

  commit(batch: KvBatch, options?: KvCommitOptions): Promise<void> {
    return this.#queue.commit(batch, options);
  }

  barrier(): Promise<void> {
    return this.#queue.barrier();
  }

  space(): { readonly usedBytes: number; readonly limitBytes: number } {
    return { usedBytes: this.#tree.usedBytes + this.#backlogBytes, limitBytes: this.#limitBytes };
  }

  /** Resolves when all that is visible is in the tree: what the next opening need not replay. */
  async settle(): Promise<void> {
    await this.barrier();
    if (!this.#head.isEmpty) this.#sealVisible();
    await this.#applier.idle();
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    try {
      await this.settle().catch((error: unknown) => {
        if (!isKvError(error)) throw error;
      });
      await this.#queue.close();
    } finally {
      clearTimeout(this.#ageTimer);
      await this.#applier.close();
      await this.#log.close().finally(() => this.#tree.close());
      await this.#lock.close();
    }
  }

  #issue(batch: KvBatch, reserve: boolean): void {
    const bytes = checkBatch(batch, this.properties);
    if (this.#backlogBytes > 2 * backlogBytesMax(this.#opts))
      throw new KvError('busy', 'too many bytes wait to be applied');
    if (batch.guards.length > 0) {
      this.#issuedReader ??= new OverlayReader([...this.#sealed, this.#head], this.#tree);
      const reader = this.#issuedReader;
      checkGuards(batch.guards, {
        get: (key) => reader.peek(key),
        isEmpty: (start, end) => reader.isEmpty(start, end),
      });
    }
    // the disk's own reserve is beyond the measured limit
    const limitBytes = reserve ? this.#opts.limitBytes + RESERVE_BYTES : this.#limitBytes;
    // twice: a page that is changed is copied
    if (batch.puts.length > 0 && this.#tree.usedBytes + 2 * (this.#backlogBytes + bytes) > limitBytes) {
      throw new KvError(
        'no-space',
        `the database is full: ${this.space().usedBytes} of ${this.#limitBytes} bytes are used`,
      );
    }
    const encoded = this.#buffer.add(batch, this.#lastSequence + 1);
    this.#lastSequence++;
    const wasEmpty = this.#head.isEmpty;
    this.#head.apply(batch, encoded.values);
    this.#head.bytes += encoded.bytes + 64 * (batch.puts.length + batch.deletes.length + batch.deleteRanges.length);
    this.#head.lastSequence = this.#lastSequence;
    this.#unsyncedBytes += encoded.bytes;
    if (wasEmpty) this.#issuedReader = undefined;
  }

  /** Commits wait while the tree is too far behind the log. */
  #room(): Promise<void> | undefined {
    const behind = !this.#applier.isIdle && this.#backlogBytes > backlogBytesMax(this.#opts);
    return behind ? this.#applier.next() : undefined;
  }

  #write(): State {
    const records = this.#buffer.take();
    records.forEach(({ header, payload }, index) => {
      try {
        this.#head.records.push(this.#log.append(BATCH_RECORD, header, payload));
      } catch (error) {
        const failure = asKvError(error);
        // what is in the log already cannot be taken back
        if (index > 0) this.#queue.fail(failure);
        throw failure;
      }
    });
    if (this.#head.bytes >= this.#layerBytes && (this.#applier.isIdle || this.#head.bytes >= this.#layerBytesMax)) {
      this.#sealHead();
    }
    return { sealed: this.#sealed.slice(), head: this.#head.view(), lastSequence: this.#lastSequence };
  }

  #sync(): MaybePromise<void> {
    const bytes = this.#unsyncedBytes;
    this.#unsyncedBytes = 0;
    const begun = performance.now();
    const done = (): void => {
      this.#syncMs += (performance.now() - begun - this.#syncMs) / 8;
    };
    if (bytes <= INLINE_SYNC_BYTES_MAX && this.#syncMs <= INLINE_SYNC_MS_MAX && this.#log.syncNow()) return done();
    return this.#log.sync().then(done);
  }

  #publish(state: State): void {
    this.#batches.inc(state.lastSequence - this.#visible.lastSequence);
    this.#show({ ...state, sealed: state.sealed.filter((layer) => !layer.applied) });
    for (const layer of state.sealed) this.#applier.add(layer);
    if (state.head.entries.size > 0 || state.head.cleared.size > 0) {
      this.#ageTimer ??= setTimeout(() => this.#onAge(), this.#opts.layerAgeMs ?? 1000).unref();
    }
  }

  /** Nothing that was issued and not published took place. */
  #discard(): void {
    this.#buffer.take();
    const head = new OverlayLayer(this.#visible.head);
    // records of the published batches; those of others are void with the engine
    head.records.push(...this.#head.records);
    head.bytes = this.#head.bytes;
    head.lastSequence = this.#visible.lastSequence;
    this.#sealed = this.#visible.sealed.slice();
    this.#head = head;
    this.#lastSequence = this.#visible.lastSequence;
    this.#issuedReader = undefined;
  }

  #show(state: State): void {
    this.#visible = state;
    this.#reader = new OverlayReader(layersOf(state), this.#tree);
  }

  #sealHead(): void {
    this.#sealed.push(this.#head);
    this.#head = new OverlayLayer();
    this.#issuedReader = undefined;
  }

  /** Seals the open layer when all of it is visible; else the next write does. */
  #sealVisible(): void {
    if (this.#lastSequence !== this.#visible.lastSequence) return;
    this.#sealHead();
    this.#publish({ sealed: this.#sealed.slice(), head: this.#head.view(), lastSequence: this.#lastSequence });
  }

  #onAge(): void {
    this.#ageTimer = undefined;
    if (this.#head.isEmpty) return;
    this.#sealVisible();
    // busy: look again
    if (!this.#head.isEmpty) this.#ageTimer = setTimeout(() => this.#onAge(), 10).unref();
  }

  #onApplied(layer: OverlayLayer): void {
    for (const record of layer.records) this.#log.release(record);
    this.#sealed = this.#sealed.filter((other) => other !== layer);
    this.#issuedReader = undefined;
    this.#show({ ...this.#visible, sealed: this.#visible.sealed.filter((other) => other !== layer) });
    void this.#measureDisk();
  }

  get #backlogBytes(): number {
    let bytes = this.#head.bytes;
    for (const layer of this.#sealed) bytes += layer.bytes;
    return bytes;
  }

  /** The disk may be smaller than the limit. */
  async #measureDisk(): Promise<void> {
    const disk = await fs.promises.statfs(this.#opts.dir).catch(() => undefined);
    if (disk === undefined) return;
    const free = Math.max(0, disk.bavail * disk.bsize - DISK_RESERVE_BYTES);
    this.#limitBytes = Math.min(this.#opts.limitBytes, this.#tree.usedBytes + free);
  }
}

function layersOf(state: State): LayerView[] {
  return [...state.sealed, state.head];
}

function backlogBytesMax(opts: LmdbEngineOptions): number {
  return opts.backlogBytesMax ?? 32 << 20;
}

function asKvError(error: unknown): KvError {
  if (isKvError(error)) return error;
  const cause = { cause: error };
  if (isJournalError(error, 'locked')) return new KvError('locked', error.message, cause);
  if (isJournalError(error, 'corrupt', 'version')) return new KvError('corrupt', error.message, cause);
  if (isJournalError(error, 'closed')) return new KvError('closed', error.message, cause);
  if (isJournalError(error, 'full') || nodeErrorCode(error) === 'ENOSPC') {
    return new KvError('no-space', errorMessage(error), cause);
  }
  return new KvError('io', errorMessage(error), cause);
}
