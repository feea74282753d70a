import { randomBytes } from 'node:crypto';
import { assert, must } from '../common/assert.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { Counter, Histogram, MetricsRegistry } from '../common/metrics.js';
import { DirLock } from './dir-lock.js';
import { dropSegments, listSegments, sequenceAfter, syncSegments, type EarlierSegment } from './earlier-segments.js';
import { JournalError } from './journal-error.js';
import { nodeJournalFs, writeFully, type JournalFs } from './journal-fs.js';
import { journalMetrics } from './journal-metrics.js';
import type { Journal, RecordRef } from './journal.js';
import {
  checkRecordTrailer,
  encodeSegmentHeader,
  RECORD_HEAD_BYTES,
  RECORD_HEADER_BYTES_MAX,
  RECORD_TRAILER_BYTES,
  recordBytes,
  SEAL_BYTES,
  SEAL_KIND,
  SEGMENT_HEADER_BYTES,
} from './segment-format.js';
import { RecordWriter, writeError } from './record-writer.js';
import { SpaceWaiters } from './space-waiters.js';
import { SegmentPool, type SegmentFile } from './segment-pool.js';

export interface SegmentJournalDeps {
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly fs?: JournalFs;
  /** Monotonic milliseconds, for the sync latency. */
  readonly now?: () => number;
}

export interface SegmentJournalOptions {
  /** Made when it is not there. */
  readonly dir: string;
  /** Label of its metrics. */
  readonly name: string;
  readonly capacityBytes: number;
  readonly segmentBytes?: number;
  /** The part of the capacity that only reserved appends use. */
  readonly reservedBytes?: number;
  readonly preallocate?: 'zeros' | 'sparse';
  /** False when somebody above holds the directory's lock. */
  readonly lock?: boolean;
  /** Sequence numbers start here, or above those of the segments in the directory. */
  readonly firstSequence?: number;
}

/** After the disk was full, appends are tried again this much later, or when a segment is released: somebody else may have made room. */
const DISK_FULL_RETRY_MS = 200;

interface Segment {
  readonly number: number;
  readonly file: SegmentFile;
  /** Where the next record goes. */
  end: number;
  /** Records that are not released. */
  live: number;
  /** INVARIANT: true exactly while it is in `#dirty`. */
  dirty: boolean;
}

/**
 * The journal on segment files. Appends go to the active segment; when a record does not fit, it is sealed and a ready file becomes the
 * active one. A segment whose records are all released goes back to the pool. Nothing here waits on the append path: the write goes to the page cache.
 * After a failed sync every append and sync fails (the kernel may have dropped what it could not write).
 */
export class SegmentJournal implements Journal {
  // Dependencies
  readonly #fs: JournalFs;
  readonly #now: () => number;
  readonly #pool: SegmentPool;
  readonly #lock: DirLock | undefined;
  readonly #appendedBytes: Counter;
  readonly #syncSeconds: Histogram;

  // Constants
  readonly capacityBytes: number;
  readonly #dir: string;
  readonly #id: Buffer;
  readonly #segmentBytes: number;
  readonly #segmentsMax: number;
  readonly #reservedBytes: number;

  // Mutable state
  readonly #writer: RecordWriter;
  /** INVARIANT: the active segment and those with live records. */
  readonly #segments = new Map<number, Segment>();
  #active!: Segment;
  /** What earlier journal objects left, and their descriptors opened for reading. */
  #earlier: EarlierSegment[];
  readonly #earlierFds = new Map<number, number>();
  #nextSequence: number;
  #nextSegment: number;
  #durableSequence: number;
  /** Segments with records that no sync covers. */
  #dirty: Segment[] = [];
  #syncing: Promise<void> | undefined;
  #syncNext: Promise<void> | undefined;
  /** Released while a sync uses their descriptors. */
  #recycleAfterSync: Segment[] = [];
  readonly #waiters = new SpaceWaiters(
    (bytes) => this.#diskFull === undefined && this.#roomAfter(bytes) >= this.#reservedBytes,
  );
  /** Runs while the disk counts as full, though the journal may grow: those who wait for space must not find any until then. */
  #diskFull: NodeJS.Timeout | undefined;
  #failure: JournalError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    deps: SegmentJournalDeps,
    opts: SegmentJournalOptions,
    lock: DirLock | undefined,
    earlier: EarlierSegment[],
  ) {
    this.#fs = deps.fs ?? nodeJournalFs;
    this.#now = deps.now ?? (() => performance.now());
    this.#lock = lock;
    this.#dir = opts.dir;
    this.#segmentBytes = opts.segmentBytes ?? 64 << 20;
    this.#segmentsMax = Math.floor(opts.capacityBytes / this.#segmentBytes);
    assert(this.#segmentsMax >= 2, 'a journal holds at least two segments');
    this.capacityBytes = this.#segmentsMax * this.#segmentBytes;
    this.#reservedBytes = opts.reservedBytes ?? 0;
    // so that the longest record finds room once all others are released
    assert(this.#reservedBytes <= (this.#segmentsMax - 2) * this.#usableBytes, 'two segments are not reserved');
    this.#id = randomBytes(8);
    this.#writer = new RecordWriter(this.#fs, this.#id);
    this.#earlier = earlier;
    this.#nextSegment = 1 + Math.max(0, ...earlier.map((segment) => segment.header?.number ?? 0));
    this.#nextSequence = Math.max(1, opts.firstSequence ?? 1, ...earlier.map(sequenceAfter));
    this.#durableSequence = this.#nextSequence - 1;
    this.#pool = new SegmentPool(
      { fs: this.#fs, logger: deps.logger },
      {
        dir: opts.dir,
        prefix: this.#id.toString('hex'),
        segmentBytes: this.#segmentBytes,
        preallocate: opts.preallocate ?? 'sparse',
      },
    );
    const metrics = journalMetrics(deps.metrics, opts.name, this);
    this.#appendedBytes = metrics.appendedBytes;
    this.#syncSeconds = metrics.syncSeconds;
  }

  /** Opens a new journal in a directory; what earlier ones left there is made durable and stays until {@link dropEarlier}. */
  static async open(deps: SegmentJournalDeps, opts: SegmentJournalOptions): Promise<SegmentJournal> {
    const fs = deps.fs ?? nodeJournalFs;
    let lock: DirLock | undefined;
    try {
      await fs.makeDir(opts.dir);
      if (opts.lock ?? true) lock = await DirLock.acquire(opts.dir);
      const earlier = await listSegments(fs, opts.dir);
      await syncSegments(fs, opts.dir, earlier);
      const journal = new SegmentJournal(deps, opts, lock, earlier);
      journal.#activate();
      return journal;
    } catch (error) {
      await lock?.close();
      if (error instanceof JournalError) throw error;
      throw new JournalError('io', `cannot open the journal in ${opts.dir}: ${errorMessage(error)}`, { cause: error });
    }
  }

  get usedBytes(): number {
    return (this.#segments.size - 1) * this.#segmentBytes + (this.#active.live > 0 ? this.#active.end : 0);
  }

  /** Longest payload that fits a record with a user header of this length. */
  payloadBytesMax(headerLength: number): number {
    return (this.#usableBytes & ~7) - RECORD_HEAD_BYTES - RECORD_TRAILER_BYTES - headerLength;
  }

  append(kind: number, header: Uint8Array, payload: Uint8Array, options?: { readonly reserved?: boolean }): RecordRef {
    this.#checkOpen();
    assert(kind >= 0 && kind < SEAL_KIND, 'record kind');
    assert(header.length <= RECORD_HEADER_BYTES_MAX, 'user header too long');
    const need = recordBytes(header.length, payload.length);
    if (need > this.#usableBytes) throw new JournalError('too-large', `record of ${need} bytes`);
    if (this.#roomAfter(need) < (options?.reserved === true ? 0 : this.#reservedBytes)) {
      throw new JournalError('full', `${this.usedBytes} of ${this.capacityBytes} bytes are in use`);
    }
    const sequence = this.#nextSequence;
    let segment: Segment;
    let position: number;
    try {
      if (need > this.#remaining) this.#roll();
      segment = this.#active;
      position = segment.end + this.#write(segment, kind, header, payload);
    } catch (error) {
      if (error instanceof JournalError && error.code === 'full') this.#waitForDisk();
      throw error;
    }
    segment.end += need;
    segment.live++;
    this.#nextSequence++;
    this.#markDirty(segment);
    this.#appendedBytes.inc(need);
    return { sequence, segment: segment.number, position, length: payload.length };
  }

  async waitForSpace(payloadBytes: number, signal?: AbortSignal): Promise<void> {
    this.#checkOpen();
    if (payloadBytes > this.payloadBytesMax(0)) throw new JournalError('too-large', `record of ${payloadBytes} bytes`);
    // the user header is not known yet: count the longest
    await this.#waiters.wait(Math.min(this.#usableBytes, recordBytes(RECORD_HEADER_BYTES_MAX, payloadBytes)), signal);
  }

  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#durableSequence === this.#nextSequence - 1) return Promise.resolve();
    if (this.#syncing !== undefined) {
      // the one that runs may have begun before the last append
      const start = (): Promise<void> => {
        this.#syncNext = undefined;
        return this.sync();
      };
      return (this.#syncNext ??= this.#syncing.then(start, start));
    }
    return (this.#syncing = this.#sync().finally(() => {
      this.#syncing = undefined;
      for (const segment of this.#recycleAfterSync.splice(0)) this.#pool.recycle(segment.file);
    }));
  }

  /** As `sync`, blocking the thread: a third faster where the disk answers at once. Does nothing and returns false when another sync runs. */
  syncNow(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#syncing !== undefined || this.#pool.unsettled) return false;
    const begun = this.#now();
    try {
      for (const segment of this.#takeDirty()) this.#fs.syncNow(segment.file.fd);
    } catch (error) {
      throw this.#fail(error);
    }
    this.#durableSequence = this.#nextSequence - 1;
    this.#syncSeconds.observe((this.#now() - begun) / 1000);
    return true;
  }

  read(ref: RecordRef, offset: number, length: number): Buffer {
    assert(offset >= 0 && length >= 0 && offset + length <= ref.length, 'read inside the record');
    const whole = length === ref.length;
    const bytes = Buffer.allocUnsafe(whole ? length + RECORD_TRAILER_BYTES : length);
    const fd = this.#fdOf(ref.segment);
    try {
      for (let done = 0; done < bytes.length;) {
        const read = this.#fs.read(fd, done === 0 ? bytes : bytes.subarray(done), ref.position + offset + done);
        if (read === 0) throw new JournalError('corrupt', `${this.segmentPath(ref.segment)} ends inside a record`);
        done += read;
      }
    } catch (error) {
      if (error instanceof JournalError) throw error;
      throw new JournalError('io', `cannot read ${this.segmentPath(ref.segment)}: ${errorMessage(error)}`, {
        cause: error,
      });
    }
    if (!whole) return bytes;
    const payload = bytes.subarray(0, length);
    if (!checkRecordTrailer(payload, bytes.subarray(length), ref.sequence)) {
      throw new JournalError(
        'corrupt',
        `${this.segmentPath(ref.segment)}: record ${ref.sequence} does not match its checksum`,
      );
    }
    return payload;
  }

  segmentPath(segment: number): string {
    const path =
      this.#segments.get(segment)?.file.path ??
      this.#earlier.find((earlier) => earlier.header?.number === segment)?.path;
    return must(path, `path of segment ${segment}`);
  }

  release(ref: RecordRef): void {
    const segment = must(this.#segments.get(ref.segment), `segment ${ref.segment} of a released record`);
    assert(segment.live > 0, 'a record is released once');
    segment.live--;
    if (segment.live > 0 || segment === this.#active) return;
    this.#recycle(segment);
    this.#diskHasRoom();
  }

  /** Removes what earlier journal objects left: everything that is still needed of it has been taken over. */
  async dropEarlier(): Promise<void> {
    for (const fd of this.#earlierFds.values()) this.#fs.close(fd);
    this.#earlierFds.clear();
    const earlier = this.#earlier;
    this.#earlier = [];
    try {
      await dropSegments(this.#fs, this.#dir, earlier);
    } catch (error) {
      throw new JournalError('io', `cannot drop segments: ${errorMessage(error)}`, { cause: error });
    }
  }

  /** Syncs what is retained, which the next journal object in the directory finds. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    clearTimeout(this.#diskFull);
    this.#waiters.rejectAll(new JournalError('closed', 'the journal is closed'));
    try {
      // Nobody needs what is released: its pages need not be written.
      if (this.#failure === undefined && this.usedBytes > 0) await this.sync();
      await this.#syncing;
      // an empty journal leaves its numbers, and nothing to replay
      if (this.#failure === undefined && this.#active.live === 0)
        this.#writeHeader(this.#active.file, this.#nextSegment++);
    } finally {
      this.#failure ??= new JournalError('closed', 'the journal is closed');
      await this.#pool.close();
      for (const segment of this.#segments.values()) this.#fs.close(segment.file.fd);
      for (const fd of this.#earlierFds.values()) this.#fs.close(fd);
      await this.#lock?.close();
    }
  }

  get #usableBytes(): number {
    return this.#segmentBytes - SEGMENT_HEADER_BYTES - SEAL_BYTES;
  }

  get #remaining(): number {
    return this.#segmentBytes - SEAL_BYTES - this.#active.end;
  }

  /** Bytes that stay free when `need` more are appended; negative when they do not fit. */
  #roomAfter(need: number): number {
    const free = (this.#segmentsMax - this.#segments.size) * this.#usableBytes;
    const remaining = this.#remaining;
    // what is left of the active segment is lost when the record does not fit there
    return need <= remaining ? free + remaining - need : free - need;
  }

  #waitForDisk(): void {
    this.#diskFull ??= setTimeout(() => this.#diskHasRoom(), DISK_FULL_RETRY_MS).unref();
  }

  /** Or may have: the next append finds out. */
  #diskHasRoom(): void {
    clearTimeout(this.#diskFull);
    this.#diskFull = undefined;
    this.#waiters.wake();
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) throw new JournalError('closed', 'the journal is closed');
  }

  #markDirty(segment: Segment): void {
    if (segment.dirty) return;
    segment.dirty = true;
    this.#dirty.push(segment);
  }

  #takeDirty(): Segment[] {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const segment of dirty) segment.dirty = false;
    return dirty;
  }

  /** Writes a record at the segment's end; returns the payload's offset in the record. */
  #write(segment: Segment, kind: number, header: Uint8Array, payload: Uint8Array): number {
    const place = {
      file: segment.file,
      segment: segment.number,
      position: segment.end,
      kind,
      sequence: this.#nextSequence,
      durableSequence: this.#durableSequence,
    };
    return this.#writer.write(place, header, payload);
  }

  /** Seals the active segment and goes on in a new one. */
  #roll(): void {
    const old = this.#active;
    const none = Buffer.alloc(0);
    // not counted: should no new segment be had, the next record overwrites the seal
    this.#write(old, SEAL_KIND, none, none);
    this.#markDirty(old);
    this.#activate();
    if (old.live === 0) this.#recycle(old);
  }

  #activate(): void {
    const file = this.#pool.take();
    const number = this.#nextSegment;
    try {
      this.#writeHeader(file, number);
    } catch (error) {
      this.#pool.recycle(file);
      throw writeError(error, file.path);
    }
    this.#nextSegment++;
    this.#active = { number, file, end: SEGMENT_HEADER_BYTES, live: 0, dirty: false };
    this.#segments.set(number, this.#active);
    this.#pool.prepare();
  }

  #writeHeader(file: SegmentFile, number: number): void {
    const header = encodeSegmentHeader({ journalId: this.#id, number, firstSequence: this.#nextSequence });
    writeFully(this.#fs, file.fd, header, 0);
  }

  #recycle(segment: Segment): void {
    this.#segments.delete(segment.number);
    if (segment.dirty) this.#dirty = this.#dirty.filter((other) => other !== segment);
    if (this.#syncing === undefined) this.#pool.recycle(segment.file);
    else this.#recycleAfterSync.push(segment);
  }

  async #sync(): Promise<void> {
    const begun = this.#now();
    const upTo = this.#nextSequence - 1;
    try {
      const dirty = this.#takeDirty();
      if (this.#pool.unsettled) await this.#pool.settle();
      if (dirty.length === 1) await this.#fs.sync(must(dirty[0], 'segment').file.fd);
      else await Promise.all(dirty.map((segment) => this.#fs.sync(segment.file.fd)));
    } catch (error) {
      throw this.#fail(error);
    }
    this.#durableSequence = upTo;
    this.#syncSeconds.observe((this.#now() - begun) / 1000);
  }

  #fail(error: unknown): JournalError {
    const failure = new JournalError('io', `cannot sync the journal in ${this.#dir}: ${errorMessage(error)}`, {
      cause: error,
    });
    this.#failure ??= failure;
    this.#waiters.rejectAll(failure);
    return failure;
  }

  #fdOf(segment: number): number {
    const own = this.#segments.get(segment);
    if (own !== undefined) return own.file.fd;
    let fd = this.#earlierFds.get(segment);
    if (fd === undefined) {
      fd = this.#fs.open(this.segmentPath(segment), 'r');
      this.#earlierFds.set(segment, fd);
    }
    return fd;
  }
}
