import type { ChunkId, Ino } from '../../model/ids.js';
import type { Timespec } from '../../model/inode.js';
import type { OpId } from '../../model/operation.js';
import { DataError } from '../data-error.js';

/*
 * The headers of the data path's journal records, each starting with a version byte (the journal adds the checksum). Integers up to 2^53 are stored as doubles,
 * which hold them exactly. Lists of ranges are the record's payload.
 *
 *   WRITE        an acknowledged write; the payload is its data
 *   SETATTR      a change of size, times or privileges is about to be sent to the server
 *   SETATTR_DONE its outcome: what it undid of earlier records
 *   INTENT       a commit is about to be sent; op id = client, the record's own sequence number, step {@link COMMIT_STEP}
 *   COMMITTED    what of earlier records needs no more uploading: the ranges up to their sequence numbers, and all of the inode's records up to `through`; because it is committed,
 *                or because the range was punched, zeroed or cloned over at the server
 */
export const WRITE_KIND = 1;
export const SETATTR_KIND = 2;
export const SETATTR_DONE_KIND = 3;
export const INTENT_KIND = 4;
export const COMMITTED_KIND = 5;

const VERSION = 1;
/** Keeps op ids made of journal sequence numbers apart from those of {@link Metadata.clientOpId}, which are step 0. */
export const COMMIT_STEP = 1;

/** The server's answer about one inode, as far as recovery needs it. */
export interface Epochs {
  readonly change: number;
  readonly writerEpoch: number;
  readonly truncEpoch: number;
  readonly timeEpoch: number;
}

export interface WriteRecord extends Epochs {
  readonly session: number;
  readonly ino: Ino;
  readonly offset: number;
  readonly mtime: Timespec;
  readonly killPriv: boolean;
}

export interface SetattrRecord {
  readonly session: number;
  readonly ino: Ino;
  readonly opId: OpId;
  /** The new size; undefined = no truncation. */
  readonly size: number | undefined;
  /** Sets the mode, so that an earlier privilege kill is over. */
  readonly setsMode: boolean;
}

export interface SetattrDoneRecord {
  readonly ino: Ino;
  /** Sequence number of the SETATTR record. */
  readonly begin: number;
  readonly applied: boolean;
  /** The inode's change number after it; 0 when it was not applied. */
  readonly change: number;
  readonly size: number | undefined;
  readonly setsMode: boolean;
}

/** A part of a file and the youngest journal record that its bytes are from. */
export interface SequencedRange {
  readonly offset: number;
  readonly length: number;
  readonly sequence: number;
}

export interface IntentRecord {
  readonly session: number;
  readonly ino: Ino;
  readonly chunkIds: readonly ChunkId[];
  readonly ranges: readonly SequencedRange[];
}

export interface CommittedRecord {
  readonly ino: Ino;
  /** The inode's records up to this sequence number are all over; 0 = only the ranges say what is. */
  readonly through: number;
  /** The inode's change number after the commit. */
  readonly change: number;
  readonly ranges: readonly SequencedRange[];
}

const WRITE_BYTES = 80;
const SETATTR_BYTES = 48;
const SETATTR_DONE_BYTES = 40;
const INTENT_BYTES = 24;
const COMMITTED_BYTES = 32;
const RANGE_BYTES = 24;

/** Encodes into one buffer, which the next call overwrites: the journal copies headers as it appends. */
export class RecordEncoder {
  readonly #buffer = Buffer.alloc(WRITE_BYTES);
  readonly #writeHeader = this.#buffer.subarray(0, WRITE_BYTES);

  write(record: WriteRecord): Uint8Array {
    const b = this.#buffer;
    b.writeUInt32LE(VERSION | (record.killPriv ? 0x100 : 0), 0);
    b.writeUInt32LE(record.mtime.nsec, 4);
    b.writeDoubleLE(record.mtime.sec, 8);
    b.writeDoubleLE(record.ino, 16);
    b.writeDoubleLE(record.offset, 24);
    b.writeDoubleLE(record.session, 32);
    b.writeDoubleLE(record.change, 40);
    b.writeDoubleLE(record.writerEpoch, 48);
    b.writeDoubleLE(record.truncEpoch, 56);
    b.writeDoubleLE(record.timeEpoch, 64);
    b.writeDoubleLE(0, 72);
    return this.#writeHeader;
  }
}

export function encodeSetattr(record: SetattrRecord): Buffer {
  const b = Buffer.alloc(SETATTR_BYTES);
  b.writeUInt32LE(VERSION | flagBits(record.size !== undefined, record.setsMode, record.opId.kind === 'kernel'), 0);
  b.writeUInt32LE(record.opId.step, 4);
  b.writeDoubleLE(record.ino, 8);
  b.writeDoubleLE(record.session, 16);
  b.writeDoubleLE(record.opId.number, 24);
  b.writeDoubleLE(record.size ?? 0, 32);
  return b;
}

export function encodeSetattrDone(record: SetattrDoneRecord): Buffer {
  const b = Buffer.alloc(SETATTR_DONE_BYTES);
  b.writeUInt32LE(VERSION | flagBits(record.size !== undefined, record.setsMode, record.applied), 0);
  b.writeDoubleLE(record.ino, 8);
  b.writeDoubleLE(record.begin, 16);
  b.writeDoubleLE(record.size ?? 0, 24);
  b.writeDoubleLE(record.change, 32);
  return b;
}

export function encodeIntent(record: IntentRecord): { readonly header: Buffer; readonly payload: Buffer } {
  const header = Buffer.alloc(INTENT_BYTES);
  header.writeUInt32LE(VERSION, 0);
  header.writeUInt32LE(record.chunkIds.length, 4);
  header.writeDoubleLE(record.ino, 8);
  header.writeDoubleLE(record.session, 16);
  const payload = Buffer.alloc(record.chunkIds.length * 8 + record.ranges.length * RANGE_BYTES);
  record.chunkIds.forEach((chunkId, i) => payload.writeDoubleLE(chunkId, i * 8));
  writeRanges(payload, record.chunkIds.length * 8, record.ranges);
  return { header, payload };
}

export function encodeCommitted(record: CommittedRecord): { readonly header: Buffer; readonly payload: Buffer } {
  const header = Buffer.alloc(COMMITTED_BYTES);
  header.writeUInt32LE(VERSION, 0);
  header.writeDoubleLE(record.ino, 8);
  header.writeDoubleLE(record.change, 16);
  header.writeDoubleLE(record.through, 24);
  const payload = Buffer.alloc(record.ranges.length * RANGE_BYTES);
  writeRanges(payload, 0, record.ranges);
  return { header, payload };
}

export function decodeWrite(header: Uint8Array): WriteRecord {
  const b = check(header, WRITE_BYTES, 'write');
  return {
    killPriv: flag(b, 0),
    mtime: { sec: b.readDoubleLE(8), nsec: b.readUInt32LE(4) },
    ino: b.readDoubleLE(16) as Ino,
    offset: b.readDoubleLE(24),
    session: b.readDoubleLE(32),
    change: b.readDoubleLE(40),
    writerEpoch: b.readDoubleLE(48),
    truncEpoch: b.readDoubleLE(56),
    timeEpoch: b.readDoubleLE(64),
  };
}

export function decodeSetattr(header: Uint8Array): SetattrRecord {
  const b = check(header, SETATTR_BYTES, 'setattr');
  return {
    ino: b.readDoubleLE(8) as Ino,
    session: b.readDoubleLE(16),
    opId: { kind: flag(b, 2) ? 'kernel' : 'client', number: b.readDoubleLE(24), step: b.readUInt32LE(4) },
    size: flag(b, 0) ? b.readDoubleLE(32) : undefined,
    setsMode: flag(b, 1),
  };
}

export function decodeSetattrDone(header: Uint8Array): SetattrDoneRecord {
  const b = check(header, SETATTR_DONE_BYTES, 'setattr-done');
  return {
    ino: b.readDoubleLE(8) as Ino,
    begin: b.readDoubleLE(16),
    applied: flag(b, 2),
    size: flag(b, 0) ? b.readDoubleLE(24) : undefined,
    setsMode: flag(b, 1),
    change: b.readDoubleLE(32),
  };
}

export function decodeIntent(header: Uint8Array, payload: Uint8Array): IntentRecord {
  const b = check(header, INTENT_BYTES, 'intent');
  const p = bufferOf(payload);
  const chunks = b.readUInt32LE(4);
  if (chunks * 8 > p.length) throw new DataError('record', 'intent record: the chunk ids are cut short');
  return {
    ino: b.readDoubleLE(8) as Ino,
    session: b.readDoubleLE(16),
    chunkIds: Array.from({ length: chunks }, (_, i) => p.readDoubleLE(i * 8) as ChunkId),
    ranges: readRanges(p.subarray(chunks * 8), 'intent'),
  };
}

export function decodeCommitted(header: Uint8Array, payload: Uint8Array): CommittedRecord {
  const b = check(header, COMMITTED_BYTES, 'committed');
  return {
    ino: b.readDoubleLE(8) as Ino,
    change: b.readDoubleLE(16),
    through: b.readDoubleLE(24),
    ranges: readRanges(bufferOf(payload), 'committed'),
  };
}

function flagBits(...flags: readonly boolean[]): number {
  return flags.reduce((bits, set, i) => bits | (set ? 0x100 << i : 0), 0);
}

function flag(b: Buffer, index: number): boolean {
  return (b.readUInt8(1) & (1 << index)) !== 0;
}

function check(header: Uint8Array, length: number, name: string): Buffer {
  const b = bufferOf(header);
  if (b.length < 1 || b.readUInt8(0) !== VERSION) {
    throw new DataError('record', `${name} record: version ${b[0] ?? 'none'}, this program knows ${VERSION}`);
  }
  if (b.length !== length) throw new DataError('record', `${name} record: header of ${b.length} bytes, not ${length}`);
  return b;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeRanges(b: Buffer, at: number, ranges: readonly SequencedRange[]): void {
  for (const { offset, length, sequence } of ranges) {
    b.writeDoubleLE(offset, at);
    b.writeDoubleLE(length, at + 8);
    b.writeDoubleLE(sequence, at + 16);
    at += RANGE_BYTES;
  }
}

function readRanges(b: Buffer, name: string): SequencedRange[] {
  if (b.length % RANGE_BYTES !== 0) throw new DataError('record', `${name} record: the ranges are cut short`);
  return Array.from({ length: b.length / RANGE_BYTES }, (_, i) => ({
    offset: b.readDoubleLE(i * RANGE_BYTES),
    length: b.readDoubleLE(i * RANGE_BYTES + 8),
    sequence: b.readDoubleLE(i * RANGE_BYTES + 16),
  }));
}
