import type { Closable } from '../../common/closable.js';
import type { ChunkId } from '../../model/ids.js';

/** Bytes of a chunk that lie in the journal: a part of one record's payload. */
export interface JournalPiece {
  /** Index into {@link PutFromJournal.paths}. */
  readonly path: number;
  /** Offset of the record's payload in the segment file, its whole length, and its sequence number: for the record's own checksum. */
  readonly position: number;
  readonly recordLength: number;
  readonly sequence: number;
  /** The part: offset in the payload, length. */
  readonly offset: number;
  readonly length: number;
}

export interface PutFromJournal {
  readonly kind: 'journal';
  /** Segment files. */
  readonly paths: readonly string[];
  /** In the order of the chunk's payload. */
  readonly pieces: readonly JournalPiece[];
}

export interface PutBytes {
  readonly kind: 'bytes';
  readonly payload: Uint8Array;
}

export interface PutRequest {
  readonly key: string;
  readonly chunkId: ChunkId;
  readonly payloadBytes: number;
  readonly source: PutFromJournal | PutBytes;
}

export interface GetRequest {
  readonly key: string;
  readonly chunkId: ChunkId;
  readonly firstFrame: number;
  readonly frames: number;
  /** Read these frames from a block-cache file (of which the first frame is `cacheFirstFrame`) instead of the store. */
  readonly cacheRead?: { readonly path: string; readonly firstFrame: number } | undefined;
  /** Write what the store answered to this block-cache file, after the reply. */
  readonly cacheWrite?: string | undefined;
}

export interface GetNowRequest {
  readonly key: string;
  readonly chunkId: ChunkId;
  /** Offsets in the chunk's payload. */
  readonly start: number;
  readonly end: number;
}

/**
 * Moves chunks between the journal's segment files, the object store and the block cache, checksums included; all object I/O of the data path goes through it,
 * off the main thread in production. Errors are `DataError`: corrupt, missing, cache-miss, store, worker, closed.
 */
export interface ChunkTransfer extends Closable {
  /** Requests that make sense at once. */
  readonly concurrency: number;
  /** Resolves when the object is durable. Putting the same chunk again (the same bytes) is a retry. */
  put(request: PutRequest, signal?: AbortSignal): Promise<void>;
  /** The verified payload [start, end) of a chunk, in memory of its own, where it can be had without waiting; undefined = ask {@link get}. For a few frames at most. */
  getNow?(request: GetNowRequest): Uint8Array | undefined;
  /** The verified payload of the frames that exist, in memory of its own. */
  get(request: GetRequest, signal?: AbortSignal): Promise<Uint8Array>;
}

/** Told when a block-cache file was written whole: its path and size. */
export type CacheWritten = (path: string, bytes: number) => void;
