import { must } from '../common/assert.js';
import { isPromise, type MaybePromise } from '../common/maybe-promise.js';
import { errorMessage } from '../common/fs-error.js';
import { listSegments, type EarlierSegment } from './earlier-segments.js';
import { JournalError } from './journal-error.js';
import type { JournalFs } from './journal-fs.js';
import type { JournalRecord } from './journal.js';
import {
  checkRecordTrailer,
  decodeRecordHead,
  RECORD_HEAD_BYTES,
  RECORD_MAGIC_BYTES,
  RECORD_TRAILER_BYTES,
  recordBytes,
  SEAL_KIND,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './segment-format.js';

export interface ReplayPosition {
  readonly path: string;
  /** Offset in the segment file. */
  readonly position: number;
  readonly reason: string;
}

export interface ReplayResult {
  /** What was read; drop it when its records are not needed any more. */
  readonly segments: readonly EarlierSegment[];
  readonly records: number;
  readonly payloadBytes: number;
  /** The last record's sequence number, 0 when there was none. */
  readonly lastSequence: number;
  /** Where records end that were not promised to be durable: at most one place per earlier journal object. What follows there was not read. */
  readonly torn: readonly ReplayPosition[];
  /** Where durable records are broken. The rest of that segment was not read. */
  readonly corrupt: readonly ReplayPosition[];
}

/**
 * Reads what earlier journal objects left in a directory, in sequence order, one journal object after the other. A record that does not check is never given
 * to `onRecord`; what it means is told by the durable sequence of the records behind it. The directory must be locked, and no journal open in it yet: its segments would be read
 * as well.
 */
export async function replayJournal(
  fs: JournalFs,
  dir: string,
  onRecord: (record: JournalRecord) => MaybePromise<void>,
  signal?: AbortSignal,
): Promise<ReplayResult> {
  const segments = await listSegments(fs, dir);
  const torn: ReplayPosition[] = [];
  const corrupt: ReplayPosition[] = segments
    .filter((segment) => segment.headerError !== undefined)
    .map(({ path, headerError }) => ({ path, position: 0, reason: errorMessage(headerError) }));
  let records = 0;
  let payloadBytes = 0;
  let lastSequence = 0;

  for (const journal of byJournal(segments)) {
    for (let index = 0; index < journal.length; index++) {
      signal?.throwIfAborted();
      const segment = must(journal[index], 'segment');
      const bytes = readSegment(fs, segment);
      let end: SegmentEnd | undefined;
      for (const item of scan(bytes, segment.header)) {
        if ('reason' in item) {
          end = item;
          break;
        }
        const done = onRecord(item);
        if (isPromise(done)) await done;
        records++;
        payloadBytes += item.payload.length;
        lastSequence = item.ref.sequence;
      }
      if (end === undefined) continue;
      const later = journal.slice(index + 1);
      const rest = durableInRest(bytes, end.position, segment.header);
      if (later.length === 0 && rest === undefined && !end.broken) break;
      const durable = Math.max(
        rest ?? 0,
        ...later.map((next) => durableInRest(readSegment(fs, next), 0, next.header) ?? 0),
      );
      const place = { path: segment.path, position: end.position, reason: end.reason };
      if (durable < end.sequence) {
        torn.push(place);
        break;
      }
      corrupt.push(place);
    }
  }
  return { segments, records, payloadBytes, lastSequence, torn, corrupt };
}

type UsedSegment = EarlierSegment & { readonly header: SegmentHeader };

/** The segments that hold records, by the journal object that wrote them. */
function byJournal(segments: readonly EarlierSegment[]): Iterable<UsedSegment[]> {
  const journals = new Map<string, UsedSegment[]>();
  for (const segment of segments) {
    if (segment.header === undefined) continue;
    const id = segment.header.journalId.toString('hex');
    const journal = journals.get(id) ?? [];
    journal.push({ ...segment, header: segment.header });
    journals.set(id, journal);
  }
  return journals.values();
}

interface SegmentEnd {
  readonly position: number;
  readonly reason: string;
  /** The sequence number that the record here should have. */
  readonly sequence: number;
  /** True when a record is there and does not check; false when there is none. */
  readonly broken: boolean;
}

/** The records from the front; then, unless the segment is sealed, where they end. */
function* scan(bytes: Buffer, segment: SegmentHeader): Generator<JournalRecord | SegmentEnd> {
  let at = SEGMENT_HEADER_BYTES;
  for (let sequence = segment.firstSequence; ; sequence++) {
    const head = decodeRecordHead(bytes, at, segment);
    if (head === undefined || head.sequence !== sequence) {
      yield { position: at, reason: 'no record', sequence, broken: head !== undefined };
      return;
    }
    const position = at + RECORD_HEAD_BYTES + head.headerLength;
    const payload = bytes.subarray(position, position + head.payloadLength);
    const trailer = bytes.subarray(position + head.payloadLength, position + head.payloadLength + RECORD_TRAILER_BYTES);
    if (!checkRecordTrailer(payload, trailer, sequence)) {
      yield { position: at, reason: 'payload does not match its checksum', sequence, broken: true };
      return;
    }
    if (head.kind === SEAL_KIND) return;
    yield {
      ref: { sequence, segment: segment.number, position, length: head.payloadLength },
      kind: head.kind,
      header: bytes.subarray(at + RECORD_HEAD_BYTES, position),
      payload,
    };
    at += recordBytes(head.headerLength, head.payloadLength);
  }
}

/** The greatest durable sequence that a record behind `from` tells; undefined when none is there. */
function durableInRest(bytes: Buffer, from: number, segment: SegmentHeader): number | undefined {
  let durable: number | undefined;
  for (
    let at = bytes.indexOf(RECORD_MAGIC_BYTES, from + 1);
    at !== -1;
    at = bytes.indexOf(RECORD_MAGIC_BYTES, at + 1)
  ) {
    const head = at % 8 === 0 ? decodeRecordHead(bytes, at, segment) : undefined;
    if (head !== undefined) durable = Math.max(durable ?? 0, head.durableSequence);
  }
  return durable;
}

function readSegment(fs: JournalFs, segment: EarlierSegment): Buffer {
  const fd = fs.open(segment.path, 'r');
  try {
    const bytes = Buffer.allocUnsafe(segment.bytes);
    for (let done = 0; done < bytes.length;) {
      const read = fs.read(fd, bytes.subarray(done), done);
      if (read === 0) throw new JournalError('io', `${segment.path} ends at ${done}, not at ${bytes.length}`);
      done += read;
    }
    return bytes;
  } catch (error) {
    if (error instanceof JournalError) throw error;
    throw new JournalError('io', `cannot read ${segment.path}: ${errorMessage(error)}`, { cause: error });
  } finally {
    fs.close(fd);
  }
}
