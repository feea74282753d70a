import fs from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { RECORD_TRAILER_BYTES, checkRecordTrailer } from '../../journal/segment-format.js';
import {
  ChunkFrameError,
  FRAME_PAYLOAD_BYTES,
  FRAME_STORED_BYTES,
  decodeFrames,
  frameCount,
  payloadLength,
  placePayload,
  sealFrames,
  storedLength,
  storedOffset,
} from '../../model/chunk-frames.js';
import { shiftOverFrame } from '../../model/crc-shift.js';
import { ObjectError } from '../../object/object-error.js';
import type { ObjectStore } from '../../object/object-store.js';
import { DataError, isDataError } from '../data-error.js';
import type {
  CacheWritten,
  ChunkTransfer,
  GetNowRequest,
  GetRequest,
  JournalPiece,
  PutFromJournal,
  PutRequest,
} from './chunk-transfer.js';

/** Put buffers kept for reuse: what is allocated and faulted in once costs nothing at the next chunk. */
const FREE_BUFFERS_MAX = 4;

export interface ChunkMoverDeps {
  readonly store: ObjectStore;
  readonly logger: Logger;
  readonly cacheWritten: CacheWritten;
}

/**
 * The work of {@link ChunkTransfer}, in the thread that it is called in: the whole of it in tests and tools, one per worker thread in a mount.
 * Reading the journal is synchronous (the page cache has it), the store and the block cache are not.
 */
export class ChunkMover implements ChunkTransfer {
  readonly concurrency: number;
  readonly #deps: ChunkMoverDeps;
  readonly #free: Buffer[] = [];
  #scratch = Buffer.alloc(0);

  constructor(deps: ChunkMoverDeps) {
    this.#deps = deps;
    this.concurrency = deps.store.properties.concurrency;
  }

  async put(request: PutRequest, signal?: AbortSignal): Promise<void> {
    const buffer = this.#take(storedLength(request.payloadBytes));
    try {
      const plain: number[] = [];
      if (request.source.kind === 'bytes') placePayload(buffer, 0, request.source.payload);
      else this.#readJournal(request, request.source, buffer, plain);
      const length = sealFrames(buffer, request.payloadBytes, request.chunkId, plain);
      await this.#deps.store.put(request.key, buffer.subarray(0, length), signal);
    } catch (error) {
      throw toDataError(error, `put ${request.key}`);
    }
    // Not after a failure: an aborted request may still be reading it.
    if (this.#free.length < FREE_BUFFERS_MAX) this.#free.push(buffer);
  }

  getNow({ key, chunkId, start, end }: GetNowRequest): Uint8Array | undefined {
    const firstFrame = Math.floor(start / FRAME_PAYLOAD_BYTES);
    const base = firstFrame * FRAME_PAYLOAD_BYTES;
    const length = frameCount(end - base) * FRAME_STORED_BYTES;
    if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafeSlow(length);
    const got = this.#deps.store.getNow?.(key, firstFrame * FRAME_STORED_BYTES, this.#scratch.subarray(0, length));
    if (got === undefined) return undefined;
    const stored = this.#scratch.subarray(0, got);
    try {
      const payload = stored.subarray(0, decodeFrames(stored, chunkId, firstFrame, stored));
      return base + payload.length < end ? undefined : Buffer.from(payload.subarray(start - base, end - base));
    } catch (error) {
      // Fewer bytes than asked for may end inside a frame; that stored bytes do not check is for `get` to find and to tell.
      if (error instanceof ChunkFrameError) return undefined;
      throw error;
    }
  }

  async get(request: GetRequest, signal?: AbortSignal): Promise<Uint8Array> {
    if (request.cacheRead !== undefined) return this.#getCached(request, request.cacheRead);
    const range = { offset: request.firstFrame * FRAME_STORED_BYTES, length: request.frames * FRAME_STORED_BYTES };
    try {
      const answer = await this.#deps.store.get(request.key, range, signal);
      const stored = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
      const payload = decode(stored, request, request.cacheWrite !== undefined);
      if (request.cacheWrite !== undefined) void this.#writeCache(request.cacheWrite, stored);
      return payload;
    } catch (error) {
      throw toDataError(error, `get ${request.key}`);
    }
  }

  async close(): Promise<void> {
    await this.#deps.store.close();
  }

  #take(length: number): Buffer {
    const index = this.#free.findIndex((buffer) => buffer.length >= length);
    if (index >= 0) return this.#free.splice(index, 1)[0]!;
    return Buffer.allocUnsafeSlow(length);
  }

  #readJournal(request: PutRequest, source: PutFromJournal, buffer: Buffer, plain: number[]): void {
    const fds = new Map<number, number>();
    try {
      let at = 0;
      for (const piece of source.pieces) {
        let fd = fds.get(piece.path);
        if (fd === undefined) fds.set(piece.path, (fd = fs.openSync(source.paths[piece.path]!, 'r')));
        if (piece.length === piece.recordLength && piece.length >= FRAME_PAYLOAD_BYTES) {
          readWhole(fd, piece, { buffer, plain }, at);
        } else {
          placePayload(buffer, at, this.#readPart(fd, piece));
        }
        at += piece.length;
      }
      if (at !== request.payloadBytes)
        throw new DataError('corrupt', `chunk ${request.chunkId}: pieces of ${at} bytes`);
    } finally {
      for (const fd of fds.values()) fs.closeSync(fd);
    }
  }

  /** A part of a record: the whole is read, for its checksum says that the part is right. */
  #readPart(fd: number, piece: JournalPiece): Uint8Array {
    const length = piece.recordLength + RECORD_TRAILER_BYTES;
    if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafeSlow(length);
    const whole = this.#scratch.subarray(0, length);
    const read = fs.readSync(fd, whole, 0, length, piece.position);
    const payload = whole.subarray(0, piece.recordLength);
    if (read !== length || !checkRecordTrailer(payload, whole.subarray(piece.recordLength), piece.sequence)) {
      throw corruptRecord(piece);
    }
    return payload.subarray(piece.offset, piece.offset + piece.length);
  }

  async #getCached(request: GetRequest, cache: { path: string; firstFrame: number }): Promise<Uint8Array> {
    try {
      const file = await fs.promises.open(cache.path, 'r');
      try {
        const length = request.frames * FRAME_STORED_BYTES;
        const stored = Buffer.allocUnsafeSlow(length);
        const position = (request.firstFrame - cache.firstFrame) * FRAME_STORED_BYTES;
        const { bytesRead } = await file.read(stored, 0, length, position);
        return decode(stored.subarray(0, bytesRead), request, false);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw new DataError('cache-miss', `block cache ${cache.path}: ${errorMessage(error)}`, { cause: error });
    }
  }

  /** Not synced: a torn file is found by its checksums. The rename keeps a reader from a file that is being written. */
  async #writeCache(target: string, stored: Buffer): Promise<void> {
    const temporary = `${target}.tmp`;
    try {
      await fs.promises.mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
      await fs.promises.writeFile(temporary, stored, { mode: 0o600 });
      await fs.promises.rename(temporary, target);
      this.#deps.cacheWritten(target, stored.length);
    } catch (error) {
      this.#deps.logger.debug('cannot fill the block cache', { path: target, error: errorMessage(error) });
      await fs.promises.unlink(temporary).catch(() => undefined);
    }
  }
}

/**
 * A long whole record goes straight to its place in the frames. Its checksum is computed on the way, and with it that of the frames it fills:
 * one pass over the bytes for both.
 */
function readWhole(
  fd: number,
  piece: JournalPiece,
  { buffer, plain }: { readonly buffer: Buffer; readonly plain: number[] },
  payloadOffset: number,
): void {
  let crc = 0;
  for (let done = 0; done < piece.length;) {
    const offset = payloadOffset + done;
    const length = Math.min(FRAME_PAYLOAD_BYTES - (offset % FRAME_PAYLOAD_BYTES), piece.length - done);
    const at = storedOffset(offset);
    if (fs.readSync(fd, buffer, at, length, piece.position + done) !== length) throw corruptRecord(piece);
    const part = buffer.subarray(at, at + length);
    if (length === FRAME_PAYLOAD_BYTES) {
      const frame = offset / FRAME_PAYLOAD_BYTES;
      while (plain.length < frame) plain.push(-1);
      plain[frame] = crc32(part);
      crc = (shiftOverFrame(crc) ^ plain[frame]) >>> 0;
    } else {
      crc = crc32(part, crc);
    }
    done += length;
  }
  const trailer = Buffer.allocUnsafe(RECORD_TRAILER_BYTES);
  const read = fs.readSync(fd, trailer, 0, RECORD_TRAILER_BYTES, piece.position + piece.length);
  if (
    read !== RECORD_TRAILER_BYTES ||
    trailer.readUInt32LE(0) !== crc ||
    trailer.readUInt32LE(4) !== piece.sequence >>> 0
  ) {
    throw corruptRecord(piece);
  }
}

function corruptRecord(piece: JournalPiece): DataError {
  return new DataError('corrupt', `journal record ${piece.sequence} at ${piece.position} does not match its checksum`);
}

/**
 * The payload, in memory that nothing else uses, so that it can be transferred to another thread: in place where `stored` is such memory and not needed
 * any more, for megabytes of garbage per read would stay in memory until they are collected.
 */
function decode(stored: Buffer, request: GetRequest, keep: boolean): Uint8Array {
  const alone = stored.byteOffset === 0 && stored.length >= stored.buffer.byteLength - FRAME_STORED_BYTES;
  const out = keep || !alone ? Buffer.allocUnsafeSlow(payloadLength(stored.length) ?? 0) : stored;
  return out.subarray(0, decodeFrames(stored, request.chunkId, request.firstFrame, out));
}

function toDataError(error: unknown, situation: string): DataError {
  if (isDataError(error)) return error;
  const message = `${situation}: ${errorMessage(error)}`;
  if (error instanceof ChunkFrameError) return new DataError('corrupt', message, { cause: error });
  if (error instanceof ObjectError) {
    if (error.code === 'not-found') return new DataError('missing', message, { cause: error });
    const noSpace = error.code === 'no-space';
    return new DataError('store', message, { cause: error, retryable: error.retryable, noSpace });
  }
  return new DataError('store', message, { cause: error });
}
