import type { KvBatch, KvEntry } from './kv-engine.js';
import { KvError } from './kv-error.js';

/*
 * A batch in the log, little-endian: bytes that follow 4 | range deletes 4 | deletes 4 | puts 4 |
 * range deletes (start length 2, end length 2, start, end) | deletes (length 2, key) | puts (key length 2, value length 4, key, value).
 * Version and checksum are those of the record that carries it.
 */
const HEAD_BYTES = 16;

/** A batch as the log holds it; its arrays are views into the log's buffer. */
export type LoggedBatch = Pick<KvBatch, 'puts' | 'deletes' | 'deleteRanges'>;

export function encodedBatchBytes(batch: LoggedBatch): number {
  let bytes = HEAD_BYTES;
  for (const { start, end } of batch.deleteRanges) bytes += 4 + start.length + end.length;
  for (const key of batch.deletes) bytes += 2 + key.length;
  for (const { key, value } of batch.puts) bytes += 6 + key.length + value.length;
  return bytes;
}

/** Writes the batch at `at`; returns the puts' values as they lie there, and where it ends. */
export function encodeBatch(batch: LoggedBatch, buffer: Buffer, at: number): { values: Buffer[]; end: number } {
  buffer.writeUInt32LE(batch.deleteRanges.length, at + 4);
  buffer.writeUInt32LE(batch.deletes.length, at + 8);
  buffer.writeUInt32LE(batch.puts.length, at + 12);
  let end = at + HEAD_BYTES;
  for (const range of batch.deleteRanges) {
    buffer.writeUInt16LE(range.start.length, end);
    buffer.writeUInt16LE(range.end.length, end + 2);
    buffer.set(range.start, end + 4);
    buffer.set(range.end, end + 4 + range.start.length);
    end += 4 + range.start.length + range.end.length;
  }
  for (const key of batch.deletes) {
    buffer.writeUInt16LE(key.length, end);
    buffer.set(key, end + 2);
    end += 2 + key.length;
  }
  const values: Buffer[] = [];
  for (const { key, value } of batch.puts) {
    buffer.writeUInt16LE(key.length, end);
    buffer.writeUInt32LE(value.length, end + 2);
    buffer.set(key, end + 6);
    end += 6 + key.length;
    buffer.set(value, end);
    values.push(buffer.subarray(end, end + value.length));
    end += value.length;
  }
  buffer.writeUInt32LE(end - at - 4, at);
  return { values, end };
}

/** Reads the batch at `at`. Throws `corrupt` when it does not fill its length exactly. */
export function decodeBatch(buffer: Buffer, at: number): { batch: LoggedBatch; end: number } {
  const take = (bytes: number): number => {
    const from = next;
    next += bytes;
    if (next > end) throw new KvError('corrupt', `log: a batch at ${at} ends inside an entry`);
    return from;
  };
  let next = at;
  let end = buffer.length;
  take(HEAD_BYTES);
  end = at + 4 + buffer.readUInt32LE(at);
  if (end > buffer.length) throw new KvError('corrupt', `log: a batch at ${at} is longer than its record`);
  const view = (bytes: number): Buffer => buffer.subarray(take(bytes), next);
  const deleteRanges = Array.from({ length: count(4) }, () => {
    const lengths = take(4);
    const start = view(buffer.readUInt16LE(lengths));
    return { start, end: view(buffer.readUInt16LE(lengths + 2)) };
  });
  const deletes = Array.from({ length: count(8) }, () => view(buffer.readUInt16LE(take(2))));
  const puts = Array.from({ length: count(12) }, (): KvEntry => {
    const lengths = take(6);
    const key = view(buffer.readUInt16LE(lengths));
    return { key, value: view(buffer.readUInt32LE(lengths + 2)) };
  });
  if (next !== end) throw new KvError('corrupt', `log: a batch at ${at} is longer than its entries`);
  return { batch: { puts, deletes, deleteRanges }, end };

  function count(offset: number): number {
    const entries = buffer.readUInt32LE(at + offset);
    // every entry takes two bytes at least: bounds what a wrong count allocates
    if (entries * 2 > end - at) throw new KvError('corrupt', `log: a batch at ${at} counts ${entries} entries`);
    return entries;
  }
}

const RECORD_VERSION = 1;
const RECORD_HEADER_BYTES = 11;

/** The journal header of a record of batches: version 1 | sequence of the first batch 6 | batches 4. */
export function encodeLogHeader(firstSequence: number, batches: number): Buffer {
  const header = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
  header.writeUInt8(RECORD_VERSION, 0);
  header.writeUIntLE(firstSequence, 1, 6);
  header.writeUInt32LE(batches, 7);
  return header;
}

export function decodeLogHeader(header: Buffer): { firstSequence: number; batches: number } {
  if (header.length !== RECORD_HEADER_BYTES || header.readUInt8(0) !== RECORD_VERSION) {
    throw new KvError(
      'corrupt',
      `log: a record of version ${header[0] ?? 'none'}, this version reads ${RECORD_VERSION}`,
    );
  }
  return { firstSequence: header.readUIntLE(1, 6), batches: header.readUInt32LE(7) };
}
