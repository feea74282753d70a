import fs from 'node:fs';
import path from 'node:path';
import { errorMessage, nodeErrorCode } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { MetricsRegistry } from '../../common/metrics.js';
import { FRAME_STORED_BYTES, frameCount, payloadLength } from '../../model/chunk-frames.js';
import type { ChunkId } from '../../model/ids.js';

export interface BlockCacheOptions {
  readonly dir: string;
  /** Most bytes of files. */
  readonly sizeBytes: number;
  /** Most files, for the index is in memory. */
  readonly filesMax: number;
}

interface Entry {
  readonly chunkId: ChunkId;
  readonly firstFrame: number;
  readonly frames: number;
  readonly bytes: number;
  readonly path: string;
}

/** A cached run that begins at or before a frame and goes beyond it. */
export interface CachedRun {
  readonly path: string;
  readonly firstFrame: number;
  readonly frames: number;
}

const UNLINKS_MAX = 4;

/**
 * The index of the block cache: files of whole stored frames in a directory, named `<chunkId % 256>/<chunkId>-<first frame>-<frames>`. The frames' own checksums are
 * the cache's: a file is verified at each read, and one that does not check is dropped and fetched again. The transfer threads read and write the files;
 * here is known which there are, and which go when the size is reached: the least recently used. What an earlier mount left is found by a scan in the background.
 */
export class BlockCache {
  readonly #opts: BlockCacheOptions;
  readonly #logger: Logger;
  /** By path, in order of last use. */
  readonly #entries = new Map<string, Entry>();
  /** Sorted by first frame. */
  readonly #chunks = new Map<ChunkId, Entry[]>();
  #bytes = 0;
  #hits = 0;
  #misses = 0;
  #unlinking = 0;
  readonly #doomed: string[] = [];
  readonly #closing = new AbortController();
  #scan: Promise<void> | undefined;

  constructor(deps: { readonly logger: Logger; readonly metrics: MetricsRegistry }, opts: BlockCacheOptions) {
    this.#opts = opts;
    this.#logger = deps.logger;
    deps.metrics.gauge({ name: 'block_cache_bytes', help: 'Bytes in the block cache' }, () => this.#bytes);
    deps.metrics.gauge({ name: 'block_cache_files', help: 'Files in the block cache' }, () => this.#entries.size);
    deps.metrics.gauge({ name: 'block_cache_hits', help: 'Requests answered from the block cache' }, () => this.#hits);
    deps.metrics.gauge(
      { name: 'block_cache_misses', help: 'Requests that the block cache could not answer' },
      () => this.#misses,
    );
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Begins to look for what an earlier mount left. */
  start(): void {
    this.#scan ??= this.#scanAll().catch((error: unknown) =>
      this.#logger.warn('cannot scan the block cache', { dir: this.#opts.dir, error: errorMessage(error) }),
    );
  }

  /** Resolves when the scan is over. */
  async scanned(): Promise<void> {
    await this.#scan;
  }

  /** The run that holds this frame. */
  find(chunkId: ChunkId, frame: number): CachedRun | undefined {
    const entry = this.#chunks.get(chunkId)?.findLast((candidate) => candidate.firstFrame <= frame);
    if (entry === undefined || entry.firstFrame + entry.frames <= frame) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    this.#entries.delete(entry.path);
    this.#entries.set(entry.path, entry);
    return entry;
  }

  /** Where a run that is being fetched should be written. */
  pathFor(chunkId: ChunkId, firstFrame: number, frames: number): string {
    return path.join(this.#opts.dir, String(chunkId % 256), `${chunkId}-${firstFrame}-${frames}`);
  }

  /** A file was written whole. */
  written(file: string, bytes: number): void {
    const entry = parse(file, bytes);
    if (entry === undefined || this.#entries.has(file)) return;
    this.#entries.set(file, entry);
    const runs = this.#chunks.get(entry.chunkId) ?? [];
    runs.push(entry);
    runs.sort((a, b) => a.firstFrame - b.firstFrame);
    this.#chunks.set(entry.chunkId, runs);
    this.#bytes += bytes;
    for (const oldest of this.#entries.values()) {
      if (this.#bytes <= this.#opts.sizeBytes && this.#entries.size <= this.#opts.filesMax) break;
      this.drop(oldest.path);
    }
  }

  /** Forgets a file and removes it. */
  drop(file: string): void {
    const entry = this.#entries.get(file);
    if (entry === undefined) return;
    this.#entries.delete(file);
    this.#bytes -= entry.bytes;
    const runs = (this.#chunks.get(entry.chunkId) ?? []).filter((run) => run !== entry);
    if (runs.length > 0) this.#chunks.set(entry.chunkId, runs);
    else this.#chunks.delete(entry.chunkId);
    this.#doomed.push(file);
    this.#unlinkSome();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#scan;
  }

  #unlinkSome(): void {
    while (this.#unlinking < UNLINKS_MAX) {
      const file = this.#doomed.shift();
      if (file === undefined) return;
      this.#unlinking++;
      void this.#remove(file).finally(() => {
        this.#unlinking--;
        this.#unlinkSome();
      });
    }
  }

  async #remove(file: string): Promise<void> {
    try {
      await fs.promises.unlink(file);
    } catch (error) {
      if (nodeErrorCode(error) === 'ENOENT') return;
      this.#logger.warn('cannot remove a block cache file', { path: file, error: errorMessage(error) });
    }
  }

  async #scanAll(): Promise<void> {
    await fs.promises.mkdir(this.#opts.dir, { recursive: true, mode: 0o700 });
    for (const folder of await fs.promises.readdir(this.#opts.dir)) {
      if (!/^\d{1,3}$/.test(folder)) continue;
      for (const name of await fs.promises.readdir(path.join(this.#opts.dir, folder))) {
        if (this.#closing.signal.aborted) return;
        await this.#found(path.join(this.#opts.dir, folder, name));
      }
    }
  }

  async #found(file: string): Promise<void> {
    if (this.#entries.has(file)) return;
    try {
      const { size } = await fs.promises.stat(file);
      if (parse(file, size) === undefined) await this.#remove(file);
      else this.written(file, size);
    } catch (error) {
      if (nodeErrorCode(error) !== 'ENOENT') throw error;
    }
  }
}

/** Undefined when the name or the size is not that of a cache file. */
function parse(file: string, bytes: number): Entry | undefined {
  const match = /^(\d+)-(\d+)-(\d+)$/.exec(path.basename(file));
  if (match === null) return undefined;
  const [chunkId, firstFrame, frames] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const payload = payloadLength(bytes);
  if (![chunkId, firstFrame, frames].every(Number.isSafeInteger) || payload === undefined || payload === 0)
    return undefined;
  if (bytes > frames * FRAME_STORED_BYTES) return undefined;
  // The chunk may end before the last frame that was asked for.
  return { chunkId: chunkId as ChunkId, firstFrame, frames: frameCount(payload), bytes, path: file };
}
