import { crc32 } from 'node:zlib';
import { shiftOverFrame } from './crc-shift.js';
import type { ChunkId } from './ids.js';

/*
 * A chunk's stored bytes (chunk format 1): frames of 32 KiB payload, the last may be shorter, each followed by a little-endian CRC-32 of its payload whose start
 * value is made of chunk id and frame number. So any range of whole frames checks itself, offsets need no index, and a torn, moved or mixed-up object is found.
 */
export const CHUNK_FORMAT = 1;
export const FRAME_PAYLOAD_BYTES = 32 * 1024;
export const FRAME_CRC_BYTES = 4;
export const FRAME_STORED_BYTES = FRAME_PAYLOAD_BYTES + FRAME_CRC_BYTES;

/** What is wrong with a chunk's stored bytes. */
export type ChunkFrameErrorCode =
  /** A frame's payload does not match its checksum: flipped bits, another chunk's bytes, a moved frame. */
  | 'checksum'
  /** The bytes end inside a frame's checksum, or before what should be there. */
  | 'torn';

export class ChunkFrameError extends Error {
  override readonly name = 'ChunkFrameError';
  readonly code: ChunkFrameErrorCode;

  constructor(code: ChunkFrameErrorCode, chunkId: ChunkId, frame: number) {
    super(`chunk ${chunkId}, frame ${frame}: ${code === 'checksum' ? 'checksum does not match' : 'bytes are missing'}`);
    this.code = code;
  }
}

/** Frames of a chunk with this much payload. */
export function frameCount(payloadBytes: number): number {
  return Math.ceil(payloadBytes / FRAME_PAYLOAD_BYTES);
}

/** Stored bytes of a chunk with this much payload. */
export function storedLength(payloadBytes: number): number {
  return payloadBytes + frameCount(payloadBytes) * FRAME_CRC_BYTES;
}

/** Where a byte of the payload lies in the stored bytes. */
export function storedOffset(payloadOffset: number): number {
  return payloadOffset + Math.floor(payloadOffset / FRAME_PAYLOAD_BYTES) * FRAME_CRC_BYTES;
}

/** Payload bytes in `stored` bytes that start at a frame; undefined when they end inside a checksum. */
export function payloadLength(stored: number): number | undefined {
  const rest = stored % FRAME_STORED_BYTES;
  if (rest > 0 && rest <= FRAME_CRC_BYTES) return undefined;
  return Math.floor(stored / FRAME_STORED_BYTES) * FRAME_PAYLOAD_BYTES + Math.max(0, rest - FRAME_CRC_BYTES);
}

/** Start value of a frame's checksum: different for each frame of a chunk, and for the same frame of chunks whose ids are near. */
export function frameSeed(chunkId: ChunkId, frame: number): number {
  const low = Math.imul(chunkId >>> 0, 0x9e3779b1);
  const high = Math.imul(Math.floor(chunkId / 0x1_0000_0000) + 1, 0x85ebca77);
  return (low ^ high ^ Math.imul(frame + 1, 0xc2b2ae3d)) >>> 0;
}

/**
 * Writes the checksums of a chunk whose payload is in place ({@link storedOffset}) at the front of `stored`; returns its stored length.
 * `plain`: by frame, the unseeded CRC-32 where it is known already, else -1; of whole frames only.
 */
export function sealFrames(stored: Buffer, payloadBytes: number, chunkId: ChunkId, plain?: readonly number[]): number {
  let at = 0;
  let frame = 0;
  for (let done = 0; done < payloadBytes; done += FRAME_PAYLOAD_BYTES) {
    const end = at + Math.min(FRAME_PAYLOAD_BYTES, payloadBytes - done);
    const seed = frameSeed(chunkId, frame);
    const known = plain?.[frame] ?? -1;
    const crc = known >= 0 ? (shiftOverFrame(seed) ^ known) >>> 0 : crc32(stored.subarray(at, end), seed);
    stored.writeUInt32LE(crc, end);
    at = end + FRAME_CRC_BYTES;
    frame++;
  }
  return at;
}

/** The stored bytes of a whole payload. */
export function encodeFrames(payload: Uint8Array, chunkId: ChunkId): Buffer {
  const stored = Buffer.allocUnsafeSlow(storedLength(payload.length));
  placePayload(stored, 0, payload);
  sealFrames(stored, payload.length, chunkId);
  return stored;
}

/** Copies payload bytes to where they belong in a chunk's stored bytes. */
export function placePayload(stored: Buffer, payloadOffset: number, payload: Uint8Array): void {
  for (let done = 0; done < payload.length;) {
    const offset = payloadOffset + done;
    const length = Math.min(FRAME_PAYLOAD_BYTES - (offset % FRAME_PAYLOAD_BYTES), payload.length - done);
    stored.set(payload.subarray(done, done + length), storedOffset(offset));
    done += length;
  }
}

/**
 * Checks the frames in `stored`, of which the first is number `firstFrame`, and copies their payload to the front of `out`; returns its length.
 * Throws {@link ChunkFrameError} before `out` may be used. `out` may be `stored` itself.
 */
export function decodeFrames(stored: Buffer, chunkId: ChunkId, firstFrame: number, out: Uint8Array): number {
  const total = payloadLength(stored.length);
  if (total === undefined) throw new ChunkFrameError('torn', chunkId, firstFrame + frameCount(stored.length) - 1);
  let at = 0;
  let frame = firstFrame;
  for (let done = 0; done < total; done += FRAME_PAYLOAD_BYTES) {
    const end = at + Math.min(FRAME_PAYLOAD_BYTES, total - done);
    const payload = stored.subarray(at, end);
    if (crc32(payload, frameSeed(chunkId, frame)) !== stored.readUInt32LE(end)) {
      throw new ChunkFrameError('checksum', chunkId, frame);
    }
    out.set(payload, done);
    at = end + FRAME_CRC_BYTES;
    frame++;
  }
  return total;
}
