import { MetaserverError } from '../metaserver-error.js';

/** Unpacks what {@link RecordWriter} packed; every read checks the length, {@link end} that nothing is left over. */
export class RecordReader {
  readonly #buffer: Buffer;
  readonly #what: string;
  #at = 0;

  /** Checks the version byte that starts every record. `what` names the record in errors. */
  constructor(bytes: Uint8Array, what: string, version: number) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    const found = this.u8();
    if (found !== version) throw this.corrupt(`version ${found} is not ${version}`);
  }

  u8(): number {
    return this.#buffer[this.#take(1)]!;
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  u64(): number {
    const at = this.#take(8);
    const high = this.#buffer.readUInt32BE(at);
    if (high >= 2 ** 21) throw this.corrupt('a number above 2^53');
    return high * 2 ** 32 + this.#buffer.readUInt32BE(at + 4);
  }

  big64(): bigint {
    return this.#buffer.readBigUInt64BE(this.#take(8));
  }

  i64(): number {
    const at = this.#take(8);
    const value = this.#buffer.readInt32BE(at) * 2 ** 32 + this.#buffer.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) throw this.corrupt('a number beyond ± 2^53');
    return value;
  }

  /** A view of the record's bytes. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#buffer.subarray(at, at + length);
  }

  text(): string {
    return this.bytes(this.u16()).toString('utf8');
  }

  get left(): number {
    return this.#buffer.length - this.#at;
  }

  end(): void {
    if (this.left > 0) throw this.corrupt(`${this.left} bytes too many`);
  }

  corrupt(detail: string): MetaserverError {
    return new MetaserverError('corrupt', `${this.#what} record: ${detail}`);
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#buffer.length) throw this.corrupt('cut short');
    this.#at = at + bytes;
    return at;
  }
}
