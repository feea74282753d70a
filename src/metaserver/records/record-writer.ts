/**
 * Packs one record after another into a buffer of its own, big-endian; {@link finish} copies the record out. Every record starts with {@link begin}.
 */
export class RecordWriter {
  #buffer = Buffer.allocUnsafe(4096);
  #at = 0;

  /** Starts a record: drops what one that could not be encoded left behind. */
  begin(): this {
    this.#at = 0;
    return this;
  }

  u8(value: number): this {
    this.#room(1);
    this.#buffer[this.#at++] = value;
    return this;
  }

  u16(value: number): this {
    this.#room(2);
    this.#at = this.#buffer.writeUInt16BE(value, this.#at);
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#at = this.#buffer.writeUInt32BE(value >>> 0, this.#at);
    return this;
  }

  /** A safe non-negative integer. */
  u64(value: number): this {
    this.#room(8);
    const buffer = this.#buffer;
    buffer.writeUInt32BE(Math.floor(value / 2 ** 32), this.#at);
    this.#at = buffer.writeUInt32BE(value >>> 0, this.#at + 4);
    return this;
  }

  /** Any unsigned number of 64 bits. */
  big64(value: bigint): this {
    this.#room(8);
    this.#at = this.#buffer.writeBigUInt64BE(value, this.#at);
    return this;
  }

  /** A safe integer of either sign. */
  i64(value: number): this {
    this.#room(8);
    const buffer = this.#buffer;
    buffer.writeInt32BE(Math.floor(value / 2 ** 32), this.#at);
    this.#at = buffer.writeUInt32BE(value >>> 0, this.#at + 4);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#room(value.length);
    this.#buffer.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  /** UTF-8 behind its length. */
  text(value: string): this {
    const bytes = Buffer.from(value);
    return this.u16(bytes.length).bytes(bytes);
  }

  finish(): Buffer {
    const record = Buffer.allocUnsafe(this.#at);
    this.#buffer.copy(record, 0, 0, this.#at);
    return record;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
