import type { RecordWriter } from './record-writer.js';

/** How a kind of row is stored. The first byte of every record is its version. */
export interface RecordCodec<Value> {
  encode(value: Value, writer: RecordWriter): void;
  /** Throws a `MetaserverError` (`corrupt`) unless every byte is as it should be. Does not keep the bytes. */
  decode(bytes: Uint8Array): Value;
}
