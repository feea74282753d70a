import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import { JournalError } from './journal-error.js';
import { writeFully, type JournalFs } from './journal-fs.js';
import {
  encodeRecordHead,
  encodeRecordTrailer,
  RECORD_HEAD_BYTES,
  RECORD_HEADER_BYTES_MAX,
  RECORD_TRAILER_BYTES,
} from './segment-format.js';
import type { SegmentFile } from './segment-pool.js';

/** Payloads up to this are copied behind their head and written in one piece, which is cheaper than a vector. */
const COPY_BYTES_MAX = 8192;

/** A record to write, and where. */
export interface RecordPlace {
  readonly file: SegmentFile;
  readonly segment: number;
  readonly position: number;
  readonly kind: number;
  readonly sequence: number;
  readonly durableSequence: number;
}

/** Writes records into segment files with one system call each, from buffers that it keeps. */
export class RecordWriter {
  readonly #fs: JournalFs;
  readonly #journalId: Buffer;
  readonly #scratch = Buffer.allocUnsafeSlow(
    RECORD_HEAD_BYTES + RECORD_HEADER_BYTES_MAX + COPY_BYTES_MAX + RECORD_TRAILER_BYTES,
  );
  readonly #trailer = Buffer.allocUnsafeSlow(RECORD_TRAILER_BYTES);

  constructor(fs: JournalFs, journalId: Buffer) {
    this.#fs = fs;
    this.#journalId = journalId;
  }

  /** Returns the payload's offset in the record. Throws `full` or `io`: the place may hold part of the record then. */
  write(place: RecordPlace, header: Uint8Array, payload: Uint8Array): number {
    const head = {
      kind: place.kind,
      headerLength: header.length,
      payloadLength: payload.length,
      sequence: place.sequence,
      durableSequence: place.durableSequence,
    };
    const scratch = this.#scratch;
    const headLength = encodeRecordHead(scratch, this.#journalId, place.segment, head, header);
    try {
      if (payload.length <= COPY_BYTES_MAX) {
        scratch.set(payload, headLength);
        encodeRecordTrailer(scratch, headLength + payload.length, payload, place.sequence);
        const bytes = scratch.subarray(0, headLength + payload.length + RECORD_TRAILER_BYTES);
        const written = this.#fs.write(place.file.fd, bytes, place.position);
        if (written < bytes.length) this.#finish([bytes], written, place);
      } else {
        encodeRecordTrailer(this.#trailer, 0, payload, place.sequence);
        const parts = [scratch.subarray(0, headLength), payload, this.#trailer];
        const written = this.#fs.writev(place.file.fd, parts, place.position);
        if (written < headLength + payload.length + RECORD_TRAILER_BYTES) this.#finish(parts, written, place);
      }
    } catch (error) {
      throw writeError(error, place.file.path);
    }
    return headLength;
  }

  /** Goes on after a short write: the disk is full (the next write says so) or a signal came. */
  #finish(parts: readonly Uint8Array[], written: number, place: RecordPlace): void {
    writeFully(this.#fs, place.file.fd, Buffer.concat(parts).subarray(written), place.position + written);
  }
}

/** What a failed write means to the journal: a disk that is full today may have room tomorrow. */
export function writeError(error: unknown, path: string): JournalError {
  const code = nodeErrorCode(error);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new JournalError(full ? 'full' : 'io', `cannot write to ${path}: ${errorMessage(error)}`, { cause: error });
}
