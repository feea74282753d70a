import type { RecordWriter } from './record-writer.js';

/** Most bytes of a record whose kind has no `sizeOf`. */
export const SMALL_RECORD_BYTES = 64;

/** How a kind of row is stored. The first byte of every record is its version. */
export interface RecordCodec<Value> {
  encode(value: Value, writer: RecordWriter): void;
  /** Throws a `MetaserverError` (`corrupt`) unless every byte is as it should be. Does not keep the bytes. */
  decode(bytes: Uint8Array): Value;
  /** Bytes that the record takes, at most and about. Kinds without it take at most {@link SMALL_RECORD_BYTES}. */
  sizeOf?(value: Value): number;
}
