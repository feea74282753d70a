import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { chunkKey } from '../../model/chunk-key.js';
import { FRAME_PAYLOAD_BYTES } from '../../model/chunk-frames.js';
import type { ChunkId, FsId } from '../../model/ids.js';
import type { BlockCache } from '../block-cache/block-cache.js';
import { isDataError } from '../data-error.js';
import type { ChunkTransfer } from '../transfer/chunk-transfer.js';

export interface FrameFetcherDeps {
  readonly transfer: ChunkTransfer;
  readonly cache: BlockCache | undefined;
  readonly fsId: FsId;
  readonly logger: Logger;
}

/** Gets frames from the block cache where it has them, else from the object store, which then fills the cache. */
export class FrameFetcher {
  readonly #deps: FrameFetcherDeps;

  constructor(deps: FrameFetcherDeps) {
    this.#deps = deps;
  }

  /** What is at hand; undefined = fetch it. */
  fetchNow(chunkId: ChunkId, start: number, end: number): Uint8Array | undefined {
    const { transfer, fsId } = this.#deps;
    return transfer.getNow?.({ key: chunkKey(fsId, chunkId), chunkId, start, end });
  }

  async fetch(chunkId: ChunkId, start: number, end: number): Promise<Uint8Array> {
    const firstFrame = start / FRAME_PAYLOAD_BYTES;
    const frames = Math.ceil((end - start) / FRAME_PAYLOAD_BYTES);
    const cached = await this.#fromCache(chunkId, firstFrame, frames);
    if (cached !== undefined) return cached;
    const { transfer, cache, fsId } = this.#deps;
    const key = chunkKey(fsId, chunkId);
    return transfer.get({ key, chunkId, firstFrame, frames, cacheWrite: cache?.pathFor(chunkId, firstFrame, frames) });
  }

  /** Undefined unless one cached run holds all of it: a part would cost a second request. */
  async #fromCache(chunkId: ChunkId, firstFrame: number, frames: number): Promise<Uint8Array | undefined> {
    const { transfer, cache, fsId, logger } = this.#deps;
    const run = cache?.find(chunkId, firstFrame);
    if (cache === undefined || run === undefined) return undefined;
    if (run.firstFrame + run.frames < firstFrame + frames) return undefined;
    const key = chunkKey(fsId, chunkId);
    try {
      return await transfer.get({ key, chunkId, firstFrame, frames, cacheRead: run });
    } catch (error) {
      if (!isDataError(error, 'cache-miss')) throw error;
      logger.warn('a block cache file is dropped', { path: run.path, error: errorMessage(error) });
      cache.drop(run.path);
      return undefined;
    }
  }
}
