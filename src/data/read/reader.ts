import { errorMessage, FsError } from '../../common/fs-error.js';
import { interruptible } from '../../common/interruptible.js';
import type { Logger } from '../../common/logger.js';
import type { MaybePromise } from '../../common/maybe-promise.js';
import type { Journal } from '../../journal/journal.js';
import type { Metadata } from '../../meta/metadata.js';
import { chunkKey } from '../../model/chunk-key.js';
import { NO_CHUNK, type Extent } from '../../model/extent.js';
import type { Ino } from '../../model/ids.js';
import { DataError, fsErrorOf, isDataError } from '../data-error.js';
import type { InodeState } from '../inode-state.js';
import type { DirtyPiece } from '../write/dirty-overlay.js';
import type { ChunkCache } from './chunk-cache.js';

export interface ReaderDeps {
  readonly metadata: Metadata;
  readonly journal: Journal;
  readonly cache: ChunkCache;
  readonly logger: Logger;
  readonly nowMs: () => number;
  /** Told of a block that is read from many extents. */
  readonly seen: (ino: Ino, block: number, extents: readonly Extent[]) => void;
}

export interface ReaderOptions {
  /** Widest window of a sequential reader. */
  readonly readAheadBytes: number;
  /** Smallest fetch of a reader that is not sequential, from where it reads. */
  readonly randomFetchBytes: number;
}

/** Blocks whose extents are asked for at once, at least; a sequential reader needs the next ones soon. */
const EXTENT_BLOCKS = 64;
/** Replies that are out of date when they come, before a read gives up. */
const STALE_MAX = 64;
/** A read this close to the last one's end goes on from it: the kernel sends the parts of one read-ahead in any order. */
const SEQUENTIAL_GAP_BYTES = 1 << 20;
const FIRST_WINDOW_BYTES = 512 << 10;
/** A block of more extents than this is worth a look by compaction. */
const FRAGMENTS_SEEN = 16;
const ZEROS = new Uint8Array(256 << 10);

/** Bytes of a reply: there, or on their way. */
type Part = Uint8Array | Promise<readonly Uint8Array[]>;

/**
 * READ: the dirty overlay over the committed extents over zeros. What is in the journal or in memory is answered at once and without a copy; what is missing is fetched by whole
 * frames, and ahead of sequential readers. Never more than the file's size as it is seen here; never bytes that do not check.
 */
export class Reader {
  readonly #deps: ReaderDeps;
  readonly #opts: ReaderOptions;
  readonly #blockSize: number;
  readonly #firstWindowBytes: number;

  constructor(deps: ReaderDeps, opts: ReaderOptions) {
    this.#deps = deps;
    this.#opts = opts;
    this.#blockSize = deps.metadata.fs.blockSizeBytes;
    this.#firstWindowBytes = Math.min(FIRST_WINDOW_BYTES, opts.readAheadBytes);
  }

  read(state: InodeState, offset: number, length: number, signal?: AbortSignal): MaybePromise<readonly Uint8Array[]> {
    const end = Math.min(offset + length, state.size);
    if (offset >= end) return [];
    if (!this.#known(state, offset, end)) return this.#readSlowly(state, offset, length, signal);
    const parts = this.#gather(state, offset, end);
    if (!parts.some(isComing)) return parts as Uint8Array[];
    return interruptible(collect(parts), signal).catch((error: unknown) =>
      this.#again(error, state, offset, length, signal),
    );
  }

  /** Loads the extents of the blocks over [start, end) that are not known. */
  async loadExtents(state: InodeState, start: number, end: number, signal?: AbortSignal): Promise<void> {
    const last = Math.ceil(end / this.#blockSize);
    let stale = 0;
    for (let block = Math.floor(start / this.#blockSize); block < last;) {
      const now = this.#deps.nowMs();
      if (state.extents.get(block, now) !== undefined || this.#isHole(state, block)) {
        block++;
        continue;
      }
      const stop = Math.max(last, block + EXTENT_BLOCKS);
      const map = await this.#deps.metadata.readExtents(state.ino, block, stop - block, signal);
      const before = state.attr;
      state.learn(map.attr);
      // An own change whose reply has come meanwhile is not in it.
      if (map.attr.change < before.change) {
        if (++stale > STALE_MAX) throw new FsError('EIO', `inode ${state.ino}: it changes faster than it can be read`);
        continue;
      }
      state.extents.fill(map, block, stop, now);
      block = Math.max(block + 1, map.nextBlock);
    }
  }

  async #readSlowly(
    state: InodeState,
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly Uint8Array[]> {
    let loads = 0;
    for (let failures = 0; ;) {
      const end = Math.min(offset + length, state.size);
      if (offset >= end) return [];
      if (!this.#known(state, offset, end)) {
        await this.loadExtents(state, offset, end, signal);
        // What was known of the other blocks may have been dropped in between.
        if (++loads <= STALE_MAX) continue;
        throw new FsError('EIO', `inode ${state.ino}: it changes faster than it can be read`);
      }
      try {
        return await interruptible(collect(this.#gather(state, offset, end)), signal);
      } catch (error) {
        if (failures++ > 0) throw this.#toFsError(error, state);
        this.#forget(error, state);
      }
    }
  }

  /** A chunk that is missing or does not check may have been replaced: the extents are read once more. */
  #again(
    error: unknown,
    state: InodeState,
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<readonly Uint8Array[]> {
    this.#forget(error, state);
    return this.#readSlowly(state, offset, length, signal);
  }

  #forget(error: unknown, state: InodeState): void {
    if (!isDataError(error, 'missing', 'corrupt', 'worker')) throw this.#toFsError(error, state);
    this.#deps.logger.warn('a read failed, its extents are read again', {
      ino: state.ino,
      error: errorMessage(error),
    });
    if (error.code !== 'worker') state.extents.clear();
  }

  #toFsError(error: unknown, state: InodeState): FsError {
    if (!(error instanceof FsError)) {
      this.#deps.logger.error('a read failed', { ino: state.ino, error: errorMessage(error) });
    }
    return fsErrorOf(error, 'read');
  }

  #known(state: InodeState, start: number, end: number): boolean {
    const now = this.#deps.nowMs();
    for (let block = Math.floor(start / this.#blockSize); block * this.#blockSize < end; block++) {
      if (state.extents.get(block, now) !== undefined || this.#isHole(state, block)) continue;
      if (!this.#coveredByOverlay(state, block, start, end)) return false;
    }
    return true;
  }

  /** Nothing is committed at or behind the committed size. */
  #isHole(state: InodeState, block: number): boolean {
    return block * this.#blockSize >= state.attr.size;
  }

  #coveredByOverlay(state: InodeState, block: number, start: number, end: number): boolean {
    const dirty = state.overlay.blocks.get(block);
    if (dirty === undefined) return false;
    let at = Math.max(start, block * this.#blockSize);
    const stop = Math.min(end, (block + 1) * this.#blockSize);
    for (let i = state.overlay.firstAt(dirty, at); i < dirty.pieces.length && at < stop; i++) {
      if (dirty.pieces[i]!.start > at) return false;
      at = dirty.pieces[i]!.end;
    }
    return at >= stop;
  }

  /** REQUIRES: {@link #known}. */
  #gather(state: InodeState, start: number, end: number): Part[] {
    const fetchUpTo = this.#readAhead(state, start, end);
    const parts: Part[] = [];
    for (let at = start; at < end;) {
      const block = Math.floor(at / this.#blockSize);
      const stop = Math.min(end, (block + 1) * this.#blockSize);
      const dirty = state.overlay.blocks.get(block);
      if (dirty !== undefined) {
        for (let i = state.overlay.firstAt(dirty, at); i < dirty.pieces.length; i++) {
          const piece = dirty.pieces[i]!;
          if (piece.start >= stop) break;
          if (piece.start > at) this.#committed(state, block, at, piece.start, fetchUpTo, parts);
          at = Math.max(at, piece.start);
          const to = Math.min(piece.end, stop);
          parts.push(this.#journaled(piece, at, to));
          at = to;
        }
      }
      if (at < stop) this.#committed(state, block, at, stop, fetchUpTo, parts);
      at = stop;
    }
    return parts;
  }

  #journaled(piece: DirtyPiece, from: number, to: number): Uint8Array {
    try {
      return this.#deps.journal.read(piece.record.ref, piece.recordOffset + from - piece.start, to - from);
    } catch (error) {
      throw fsErrorOf(error, 'journal');
    }
  }

  #committed(state: InodeState, block: number, start: number, end: number, fetchUpTo: number, parts: Part[]): void {
    const extents = state.extents.get(block, -Infinity) ?? [];
    if (extents.length > FRAGMENTS_SEEN) this.#deps.seen(state.ino, block, extents);
    const base = block * this.#blockSize;
    let at = start - base;
    const stop = end - base;
    for (let i = firstExtent(extents, at); i < extents.length; i++) {
      const extent = extents[i]!;
      if (extent.offset >= stop) break;
      if (extent.offset > at) zeros(extent.offset - at, parts);
      at = Math.max(at, extent.offset);
      const to = Math.min(extent.offset + extent.length, stop);
      const ahead = Math.min(extent.offset + extent.length, Math.max(to, fetchUpTo - base));
      if (extent.chunkId === NO_CHUNK) zeros(to - at, parts);
      else this.#chunk(extent, at, to, ahead, parts);
      at = to;
    }
    if (at < stop) zeros(stop - at, parts);
  }

  #chunk(extent: Extent, from: number, to: number, ahead: number, parts: Part[]): void {
    const delta = extent.chunkOffset - extent.offset;
    const views = this.#deps.cache.get(extent.chunkId, from + delta, to + delta, ahead + delta);
    if (views instanceof Promise) {
      const part = views.then((arrived) => {
        checkLength(arrived, to - from, extent, this.#deps);
        return arrived;
      });
      // Should another part fail first, nobody waits for this one.
      part.catch(() => undefined);
      parts.push(part);
    } else {
      checkLength(views, to - from, extent, this.#deps);
      for (const view of views) parts.push(view);
    }
  }

  /** Decides how far to fetch: the end of what the read itself should fetch; and starts what lies beyond it. */
  #readAhead(state: InodeState, start: number, end: number): number {
    const ahead = state.readAhead;
    const sequential = start <= ahead.next + SEQUENTIAL_GAP_BYTES && end + SEQUENTIAL_GAP_BYTES >= ahead.next;
    if (!sequential || (start === 0 && ahead.next > SEQUENTIAL_GAP_BYTES)) {
      ahead.next = end;
      ahead.window = 0;
      ahead.until = end;
      return Math.max(end, start + (start === 0 ? this.#firstWindowBytes : this.#opts.randomFetchBytes));
    }
    if (end > ahead.next) ahead.next = end;
    if (ahead.until < end) ahead.until = end;
    if (ahead.window === 0) {
      // One request for the beginning.
      ahead.window = this.#firstWindowBytes;
      ahead.until = Math.max(end, Math.min(state.attr.size, start + this.#firstWindowBytes));
      return ahead.until;
    }
    if (ahead.until - end >= ahead.window / 2) return end;
    ahead.window = Math.min(this.#opts.readAheadBytes, ahead.window * 2);
    this.#prefetch(state, Math.min(state.attr.size, ahead.next + ahead.window));
    return end;
  }

  #prefetch(state: InodeState, until: number): void {
    const { cache, logger } = this.#deps;
    const { readAhead } = state;
    const now = this.#deps.nowMs();
    while (readAhead.until < until && cache.mayReadAhead) {
      const block = Math.floor(readAhead.until / this.#blockSize);
      const extents = state.extents.get(block, now);
      if (extents === undefined) {
        if (this.#isHole(state, block)) return;
        // Known by the time the reader comes here.
        this.loadExtents(state, readAhead.until, readAhead.until + 1).catch((error: unknown) =>
          logger.debug('cannot read extents ahead', { ino: state.ino, error: errorMessage(error) }),
        );
        return;
      }
      const base = block * this.#blockSize;
      const from = readAhead.until - base;
      const to = Math.min(this.#blockSize, until - base);
      for (let i = firstExtent(extents, from); i < extents.length && extents[i]!.offset < to; i++) {
        const { offset, length, chunkId, chunkOffset } = extents[i]!;
        if (chunkId === NO_CHUNK) continue;
        const start = Math.max(from, offset) - offset;
        cache.prefetch(chunkId, chunkOffset + start, chunkOffset + Math.min(length, to - offset));
      }
      readAhead.until = base + to;
    }
  }
}

function isComing(part: Part): part is Promise<readonly Uint8Array[]> {
  return part instanceof Promise;
}

function firstExtent(extents: readonly Extent[], at: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (extents[middle]!.offset + extents[middle]!.length <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

function zeros(length: number, parts: Part[]): void {
  for (let left = length; left > 0; left -= ZEROS.length) parts.push(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
}

async function collect(parts: readonly Part[]): Promise<readonly Uint8Array[]> {
  return (await Promise.all(parts.map(async (part) => (isComing(part) ? part : [part])))).flat();
}

/** A chunk that is shorter than its extents say: torn at a frame's border. */
function checkLength(views: readonly Uint8Array[], length: number, extent: Extent, deps: ReaderDeps): void {
  let got = 0;
  for (const view of views) got += view.length;
  if (got === length) return;
  const key = chunkKey(deps.metadata.fs.id, extent.chunkId);
  deps.logger.error('an object is shorter than it should be', { key });
  deps.cache.drop(extent.chunkId);
  throw fsErrorOf(new DataError('corrupt', `object ${key} is shorter than it should be`), 'read');
}
