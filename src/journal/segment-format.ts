import { crc32 } from 'node:zlib';
import { JournalError } from './journal-error.js';

/*
 * A segment file is a header and then records, each at a multiple of 8 bytes; all numbers are little-endian.
 *
 *   segment header   magic 4 | version 1 | 0 3 | journal id 8 | segment number 8 | first sequence 8 | 0 28 | crc of the 60 bytes before 4
 *   record           head 44 | user header | payload | crc of the payload 4 | low half of the sequence 4
 *   record head      magic 4 | kind 2 | user header length 2 | payload length 4 | segment number, low half 4 | sequence 8 | journal id 8 |
 *                    durable sequence 8 | crc of the 40 bytes before and the user header 4
 *
 * A record names its journal and segment, so that what an earlier use of the file left behind is never taken for a record of this one.
 * The durable sequence is the last one known to be on disk when the record was written: it tells, when an earlier record is broken, whether that had been
 * promised to be durable (corruption) or not (the torn tail that a power cut leaves).
 */
export const SEGMENT_HEADER_BYTES = 64;
export const RECORD_HEAD_BYTES = 44;
export const RECORD_TRAILER_BYTES = 8;
export const RECORD_HEADER_BYTES_MAX = 4096;
/** The record that ends a segment which another one follows. */
export const SEAL_KIND = 0xffff;
export const SEAL_BYTES = 56;
export const FORMAT_VERSION = 1;

const SEGMENT_MAGIC = 0x4a534643; // "CFSJ"
const RECORD_MAGIC = 0x52534643; // "CFSR"
/** As it lies in the file, for searching. */
export const RECORD_MAGIC_BYTES = Buffer.from('CFSR', 'latin1');

export interface SegmentHeader {
  /** 8 random bytes: which journal object wrote it. */
  readonly journalId: Buffer;
  readonly number: number;
  readonly firstSequence: number;
}

export interface RecordHead {
  readonly kind: number;
  readonly headerLength: number;
  readonly payloadLength: number;
  readonly sequence: number;
  readonly durableSequence: number;
}

/** Bytes that a record takes in its segment. */
export function recordBytes(headerLength: number, payloadLength: number): number {
  return (RECORD_HEAD_BYTES + headerLength + payloadLength + RECORD_TRAILER_BYTES + 7) & ~7;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.writeUInt32LE(SEGMENT_MAGIC, 0);
  bytes.writeUInt8(FORMAT_VERSION, 4);
  header.journalId.copy(bytes, 8);
  writeUInt64(bytes, header.number, 16);
  writeUInt64(bytes, header.firstSequence, 24);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
  return bytes;
}

/** The header; undefined for a segment that is not in use (zeros). Throws `corrupt` or `version`. */
export function decodeSegmentHeader(bytes: Buffer, path: string): SegmentHeader | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined;
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.readUInt32LE(0) !== SEGMENT_MAGIC) {
    throw new JournalError('corrupt', `${path}: not a journal segment`);
  }
  const version = bytes.readUInt8(4);
  if (version > FORMAT_VERSION) {
    throw new JournalError('version', `${path}: format ${version}, this version reads up to ${FORMAT_VERSION}`);
  }
  if (bytes.readUInt32LE(60) !== crc32(bytes.subarray(0, 60))) {
    throw new JournalError('corrupt', `${path}: segment header does not match its checksum`);
  }
  return {
    journalId: Buffer.from(bytes.subarray(8, 16)),
    number: readUInt64(bytes, 16),
    firstSequence: readUInt64(bytes, 24),
  };
}

/** Writes head and user header to the front of `bytes`; returns their length. */
export function encodeRecordHead(
  bytes: Buffer,
  journalId: Buffer,
  segment: number,
  head: RecordHead,
  header: Uint8Array,
): number {
  bytes.writeUInt32LE(RECORD_MAGIC, 0);
  bytes.writeUInt16LE(head.kind, 4);
  bytes.writeUInt16LE(head.headerLength, 6);
  bytes.writeUInt32LE(head.payloadLength, 8);
  bytes.writeUInt32LE(segment >>> 0, 12);
  writeUInt64(bytes, head.sequence, 16);
  journalId.copy(bytes, 24);
  writeUInt64(bytes, head.durableSequence, 32);
  let crc = crc32(bytes.subarray(0, 40));
  if (header.length > 0) {
    crc = crc32(header, crc);
    bytes.set(header, RECORD_HEAD_BYTES);
  }
  bytes.writeUInt32LE(crc, 40);
  return RECORD_HEAD_BYTES + header.length;
}

export function encodeRecordTrailer(bytes: Buffer, at: number, payload: Uint8Array, sequence: number): void {
  bytes.writeUInt32LE(crc32(payload), at);
  bytes.writeUInt32LE(sequence >>> 0, at + 4);
}

/** The head at `at` of a segment's bytes, undefined when there is no whole record head of this journal and segment. */
export function decodeRecordHead(bytes: Buffer, at: number, segment: SegmentHeader): RecordHead | undefined {
  if (at + RECORD_HEAD_BYTES > bytes.length || bytes.readUInt32LE(at) !== RECORD_MAGIC) return undefined;
  const headerLength = bytes.readUInt16LE(at + 6);
  if (
    headerLength > RECORD_HEADER_BYTES_MAX ||
    bytes.readUInt32LE(at + 12) !== segment.number >>> 0 ||
    bytes.compare(segment.journalId, 0, 8, at + 24, at + 32) !== 0
  ) {
    return undefined;
  }
  const fixed = crc32(bytes.subarray(at, at + 40));
  const header = bytes.subarray(at + RECORD_HEAD_BYTES, at + RECORD_HEAD_BYTES + headerLength);
  if (bytes.readUInt32LE(at + 40) !== (headerLength === 0 ? fixed : crc32(header, fixed))) return undefined;
  return {
    kind: bytes.readUInt16LE(at + 4),
    headerLength,
    payloadLength: bytes.readUInt32LE(at + 8),
    sequence: readUInt64(bytes, at + 16),
    durableSequence: readUInt64(bytes, at + 32),
  };
}

/** True when `payload` and the trailer behind it belong to the record `sequence`. */
export function checkRecordTrailer(payload: Uint8Array, trailer: Buffer, sequence: number): boolean {
  return (
    trailer.length >= RECORD_TRAILER_BYTES &&
    trailer.readUInt32LE(4) === sequence >>> 0 &&
    trailer.readUInt32LE(0) === crc32(payload)
  );
}

function writeUInt64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value >>> 0, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

function readUInt64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x1_0000_0000;
}
