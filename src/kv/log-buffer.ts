import { encodeBatch, encodedBatchBytes, encodeLogHeader, type LoggedBatch } from './batch-codec.js';

const CHUNK_BYTES = 64 << 10;

/** A record to append to the log. */
export interface LogRecord {
  readonly header: Buffer;
  readonly payload: Buffer;
}

/** Gathers encoded batches into log records. The encoded values stay where they are: the overlay reads them there. */
export class LogBuffer {
  #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** Where the record that is being gathered starts and ends in the chunk, and what it holds. */
  #start = 0;
  #end = 0;
  #batches = 0;
  #firstSequence = 0;
  #records: LogRecord[] = [];

  /** Encodes a batch; returns the puts' values as they lie in the buffer. */
  add(batch: LoggedBatch, sequence: number): { readonly values: Buffer[]; readonly bytes: number } {
    const bytes = encodedBatchBytes(batch);
    if (this.#end + bytes > this.#chunk.length) {
      this.#finish();
      this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes));
      this.#start = this.#end = 0;
    }
    if (this.#batches === 0) this.#firstSequence = sequence;
    const { values, end } = encodeBatch(batch, this.#chunk, this.#end);
    this.#end = end;
    this.#batches++;
    return { values, bytes };
  }

  /** The records gathered since the last call. */
  take(): LogRecord[] {
    this.#finish();
    const records = this.#records;
    this.#records = [];
    return records;
  }

  #finish(): void {
    if (this.#batches === 0) return;
    this.#records.push({
      header: encodeLogHeader(this.#firstSequence, this.#batches),
      payload: this.#chunk.subarray(this.#start, this.#end),
    });
    this.#start = this.#end;
    this.#batches = 0;
  }
}
