import { Response } from '../gen/curvefs/v1/metaserver.js';
import type { InodeAttr, Timespec } from '../model/inode.js';
import type { DirEntry } from '../model/operation.js';

const VARINT_MAX = 10;
/** Most that an Attr takes: 20 fields, tags included. */
const ATTR_BYTES_MAX = 256;

const RESPONSE_ERRNO = 0x10;
const RESPONSE_ATTRS = 0x22;
const RESPONSE_CREATE = 0x32;
const RESPONSE_READDIR = 0x3a;
const READDIR_ENTRIES = 0x0a;
const READDIR_END = 0x10;

/**
 * Writes Response messages without their request id, straight from the model into bytes: what the generated codec would make of them, but for lengths, which are padded. The
 * metaserver encodes attributes for every reply and every entry of a listing, and with 64-bit fields as bigints that would be most of its work. Each writer keeps one buffer.
 */
export class ReplyWriter {
  #bytes = Buffer.allocUnsafe(4096);
  #at = 0;

  /** Starts a reply: drops what one that could not be encoded left behind. */
  begin(): this {
    this.#at = 0;
    return this;
  }

  attrs(attrs: readonly InodeAttr[]): this {
    for (const attr of attrs) {
      this.#room(ATTR_BYTES_MAX + 4);
      this.#bytes[this.#at++] = RESPONSE_ATTRS;
      this.#attr(attr);
    }
    return this;
  }

  /** An error that needs no text. */
  errno(value: number): this {
    this.#room(8);
    this.#field(RESPONSE_ERRNO, value);
    return this;
  }

  /** Result of a create. */
  created(created: boolean): this {
    this.#room(4);
    this.#bytes[this.#at++] = RESPONSE_CREATE;
    // proto3 leaves false out
    this.#bytes[this.#at++] = created ? 2 : 0;
    if (created) {
      this.#bytes[this.#at++] = 0x08;
      this.#bytes[this.#at++] = 1;
    }
    return this;
  }

  /** Result of a readdir. */
  entries(entries: readonly DirEntry[], end: boolean): this {
    this.#room(16);
    this.#bytes[this.#at++] = RESPONSE_READDIR;
    const start = this.#open();
    for (const entry of entries) this.#entry(entry);
    this.#room(2);
    if (end) {
      this.#bytes[this.#at++] = READDIR_END;
      this.#bytes[this.#at++] = 1;
    }
    this.#close(start);
    return this;
  }

  /** Any other result, by the generated codec. */
  result(result: Response['result']): this {
    const bytes = Response.encode({ requestId: 0n, errno: 0, message: '', attrs: [], result }).finish();
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  finish(): Buffer {
    const reply = Buffer.allocUnsafe(this.#at);
    this.#bytes.copy(reply, 0, 0, this.#at);
    return reply;
  }

  #entry(entry: DirEntry): void {
    this.#room(entry.name.length + ATTR_BYTES_MAX + 64);
    this.#bytes[this.#at++] = READDIR_ENTRIES;
    const start = this.#open();
    this.#bytes[this.#at++] = 0x0a;
    this.#varint(entry.name.length);
    this.#bytes.set(entry.name, this.#at);
    this.#at += entry.name.length;
    this.#field(0x10, entry.ino);
    this.#field(0x18, entry.type);
    this.#field(0x20, entry.cookie);
    if (entry.attr !== undefined) {
      this.#bytes[this.#at++] = 0x2a;
      this.#attr(entry.attr);
    }
    this.#close(start);
  }

  /** An Attr behind its length. REQUIRES: room for it. */
  #attr(attr: InodeAttr): void {
    const start = this.#open();
    this.#field(0x08, attr.ino);
    this.#field(0x10, attr.mode);
    this.#field(0x18, attr.nlink);
    this.#field(0x20, attr.uid);
    this.#field(0x28, attr.gid);
    this.#field(0x30, attr.rdev);
    this.#field(0x38, attr.size);
    this.#field(0x40, attr.allocatedBytes);
    this.#time(0x4a, attr.atime);
    this.#time(0x52, attr.mtime);
    this.#time(0x5a, attr.ctime);
    this.#time(0x62, attr.btime);
    this.#field(0x68, attr.change);
    this.#field(0x70, attr.writerEpoch);
    this.#field(0x78, attr.lastWriter);
    this.#wideField(0x80, attr.truncEpoch);
    this.#wideField(0x88, attr.timeEpoch);
    this.#wideField(0x90, attr.parent);
    this.#wideField(0x98, attr.hasXattrs ? 1 : 0);
    this.#wideField(0xf8, attr.aclChange);
    this.#wideField(0xc0, attr.quota, 2);
    this.#close(start);
  }

  #time(tag: number, { sec, nsec }: Timespec): void {
    this.#bytes[this.#at++] = tag;
    const start = this.#at++;
    // sint64: zigzag; exact, for seconds stay far below 2^52
    this.#field(0x08, sec >= 0 ? sec * 2 : -sec * 2 - 1);
    this.#field(0x10, nsec);
    this.#bytes[start] = this.#at - start - 1;
  }

  /** A number field with a one-byte tag; proto3 leaves zeros out. */
  #field(tag: number, value: number): void {
    if (value === 0) return;
    this.#bytes[this.#at++] = tag;
    this.#varint(value);
  }

  /** As {@link #field}, for field numbers from 16: `high` is the second byte of the tag. */
  #wideField(tag: number, value: number, high = 1): void {
    if (value === 0) return;
    this.#bytes[this.#at++] = tag;
    this.#bytes[this.#at++] = high;
    this.#varint(value);
  }

  #varint(value: number): void {
    const bytes = this.#bytes;
    let at = this.#at;
    let rest = value;
    while (rest >= 2 ** 31) {
      bytes[at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#at = at;
  }

  /** Leaves three bytes for the length of what follows. */
  #open(): number {
    this.#at += 3;
    return this.#at;
  }

  /** Writes the length since `start`, below 2^21, padded to three bytes: decoders take it as they take the shortest form. */
  #close(start: number): void {
    const length = this.#at - start;
    this.#bytes[start - 3] = (length & 127) | 128;
    this.#bytes[start - 2] = ((length >>> 7) & 127) | 128;
    this.#bytes[start - 1] = length >>> 14;
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes + VARINT_MAX;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}
