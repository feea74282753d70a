import { isPromise, type MaybePromise } from '../../common/maybe-promise.js';
import { FRAME_PAYLOAD_BYTES } from '../../model/chunk-frames.js';
import type { ChunkId } from '../../model/ids.js';

/** Verified payload of consecutive frames of a chunk. */
interface Run {
  readonly chunkId: ChunkId;
  readonly start: number;
  readonly end: number;
  /** Undefined while it is fetched. */
  data: Uint8Array | undefined;
  /** While it is fetched. */
  fetching: Promise<Uint8Array> | undefined;
  /** Fetched ahead and not read yet. */
  ahead: boolean;
}

/** Gets the payload of whole frames: `start` is a multiple of the frame size; what the chunk does not have is missing at the end. */
export type FetchFrames = (chunkId: ChunkId, start: number, end: number) => Promise<Uint8Array>;

/** Gets payload that is at hand; undefined = it must be fetched. */
export type FetchNow = (chunkId: ChunkId, start: number, end: number) => Uint8Array | undefined;

export interface ChunkCacheOptions {
  /** Payload kept in memory, what is being fetched included. */
  readonly bytesMax: number;
  /** Payload that may be fetched or kept ahead of readers. */
  readonly aheadBytesMax: number;
  /** Longest run fetched by one request. */
  readonly fetchBytesMax: number;
  /** Longest piece that is taken from what is at hand: it is not kept here, where it would be twice. */
  readonly nowBytesMax: number;
}

/**
 * Chunk payload in memory: what was fetched last, and what is being fetched, so that the same bytes are never asked for twice at once. Chunks are immutable, so nothing
 * here is ever out of date. Least recently used runs go first; a run in use by a reply lives on until that is sent.
 */
export class ChunkCache {
  readonly #fetch: FetchFrames;
  readonly #fetchNow: FetchNow;
  readonly #opts: ChunkCacheOptions;
  /** Sorted by offset, never overlapping. */
  readonly #chunks = new Map<ChunkId, Run[]>();
  /** In order of last use. INVARIANT: exactly the runs with data. */
  readonly #used = new Set<Run>();
  #bytes = 0;
  #fetchingBytes = 0;
  #aheadBytes = 0;

  constructor(deps: { readonly fetch: FetchFrames; readonly fetchNow: FetchNow }, opts: ChunkCacheOptions) {
    this.#fetch = deps.fetch;
    this.#fetchNow = deps.fetchNow;
    this.#opts = opts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get fetchingBytes(): number {
    return this.#fetchingBytes;
  }

  /** True when there is room to fetch more ahead of readers. */
  get mayReadAhead(): boolean {
    return this.#aheadBytes < this.#opts.aheadBytesMax;
  }

  /** Views of the payload [start, end); at once when all of it is here. `fetchUpTo`: what is missing is fetched up to there in the same request. */
  get(chunkId: ChunkId, start: number, end: number, fetchUpTo = end): MaybePromise<Uint8Array[]> {
    if (fetchUpTo - start <= this.#opts.nowBytesMax && !this.#holds(chunkId, start, end)) {
      const now = this.#fetchNow(chunkId, start, end);
      if (now !== undefined) return [now];
    }
    const out: (Uint8Array | Promise<Uint8Array>)[] = [];
    let waits = false;
    for (const run of this.#cover(chunkId, start, end, fetchUpTo)) {
      const from = Math.max(start, run.start);
      const to = Math.min(end, run.end);
      const part = this.#part(run, from, to);
      waits ||= isPromise(part);
      out.push(part);
    }
    return waits ? Promise.all(out.map(async (part) => part)) : (out as Uint8Array[]);
  }

  /** Starts to fetch what is missing of [start, end). */
  prefetch(chunkId: ChunkId, start: number, end: number): void {
    this.#cover(chunkId, start, end, end, true);
  }

  /** Forgets a chunk: its object is missing or does not check. */
  drop(chunkId: ChunkId): void {
    for (const run of [...(this.#chunks.get(chunkId) ?? [])]) this.#remove(run);
    this.#chunks.delete(chunkId);
  }

  /** True when a part of [start, end) is here or on its way. */
  #holds(chunkId: ChunkId, start: number, end: number): boolean {
    const runs = this.#chunks.get(chunkId);
    const next = runs?.[firstAt(runs, start)];
    return next !== undefined && next.start < end;
  }

  /** The runs over [start, end), what is missing being fetched. */
  #cover(chunkId: ChunkId, start: number, end: number, fetchUpTo: number, ahead = false): Run[] {
    let runs = this.#chunks.get(chunkId);
    if (runs === undefined) this.#chunks.set(chunkId, (runs = []));
    const result: Run[] = [];
    let at = start;
    let index = firstAt(runs, start);
    while (at < end) {
      const next = runs[index];
      if (next !== undefined && next.start <= at) {
        result.push(next);
        at = next.end;
        index++;
        continue;
      }
      const from = at - (at % FRAME_PAYLOAD_BYTES);
      const wanted = Math.ceil(Math.max(end, fetchUpTo) / FRAME_PAYLOAD_BYTES) * FRAME_PAYLOAD_BYTES;
      const to = Math.min(wanted, next?.start ?? Infinity, from + this.#opts.fetchBytesMax);
      const run = this.#start(chunkId, from, to, ahead);
      runs.splice(index++, 0, run);
      result.push(run);
      at = to;
    }
    return result;
  }

  #start(chunkId: ChunkId, start: number, end: number, ahead: boolean): Run {
    const run: Run = { chunkId, start, end, data: undefined, fetching: undefined, ahead };
    if (ahead) this.#aheadBytes += end - start;
    this.#fetchingBytes += end - start;
    run.fetching = this.#fetch(chunkId, start, end).then(
      (data) => {
        this.#fetchingBytes -= end - start;
        run.fetching = undefined;
        run.data = data;
        this.#bytes += data.length;
        this.#used.add(run);
        // It was dropped meanwhile.
        if (this.#chunks.get(chunkId)?.includes(run) !== true) this.#remove(run);
        this.#evict(run);
        return data;
      },
      (error: unknown) => {
        this.#fetchingBytes -= end - start;
        run.fetching = undefined;
        this.#remove(run);
        throw error;
      },
    );
    // A failure of what nobody waits for is told to the reader that comes for it, by another attempt.
    run.fetching.catch(() => undefined);
    return run;
  }

  #part(run: Run, from: number, to: number): Uint8Array | Promise<Uint8Array> {
    if (run.ahead) {
      run.ahead = false;
      this.#aheadBytes -= run.end - run.start;
    }
    if (run.data !== undefined) {
      this.#used.delete(run);
      this.#used.add(run);
      return run.data.subarray(from - run.start, to - run.start);
    }
    return run.fetching!.then((data) => data.subarray(from - run.start, to - run.start));
  }

  #evict(keep: Run): void {
    for (const run of this.#used) {
      if (this.#bytes + this.#fetchingBytes <= this.#opts.bytesMax) return;
      if (run !== keep) this.#remove(run);
    }
  }

  #remove(run: Run): void {
    if (run.ahead) {
      run.ahead = false;
      this.#aheadBytes -= run.end - run.start;
    }
    if (this.#used.delete(run)) this.#bytes -= run.data?.length ?? 0;
    const runs = this.#chunks.get(run.chunkId);
    const index = runs?.indexOf(run) ?? -1;
    if (runs === undefined || index < 0) return;
    runs.splice(index, 1);
    if (runs.length === 0) this.#chunks.delete(run.chunkId);
  }
}

/** Index of the first run that ends behind `at`. */
function firstAt(runs: readonly Run[], at: number): number {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (runs[middle]!.end <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
