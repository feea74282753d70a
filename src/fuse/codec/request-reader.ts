import { endianness } from 'node:os';
import { FUSE_EXT_GROUPS, FUSE_INT_REQ_BIT, FUSE_UNIQUE_RESEND_HI } from '../abi/flags.js';
import { FUSE_EXT_HEADER, FUSE_IN_HEADER, FUSE_SUPP_GROUPS } from '../abi/structs.js';
import { DecodeError } from './decode-error.js';

if (endianness() !== 'LE') throw new Error('the FUSE codec reads little-endian machines only');

const { len, opcode, unique, nodeid, uid, gid, pid, total_extlen } = FUSE_IN_HEADER.offset;
const HEADER = FUSE_IN_HEADER.size;
const TWO_32 = 2 ** 32;
/** High halves at and above this are not safe integers. */
const UNSAFE_HI = 2 ** 21;

/**
 * A cursorless reader over one message of the kernel. The session has one and moves it from message to message: {@link load} reads the
 * header and checks lengths, then the decoders read fields at offsets from the start of the body. Every access is checked against the
 * end of the message, never only against the end of the (larger, reused) buffer.
 */
export class RequestReader {
  buffer: Buffer = Buffer.alloc(0);
  opcode = 0;
  uniqueHi = 0;
  uniqueLo = 0;
  nodeid = 0;
  uid = 0;
  gid = 0;
  pid = 0;
  /** SETXATTR_EXT was negotiated: the longer header of SETXATTR. */
  setxattrExt = false;
  /** End of the body in {@link buffer}: before the extensions. */
  #end = 0;
  #messageEnd = 0;

  /** Takes the message in `buffer[0, length)`. Throws when it is shorter than a header, or its lengths contradict each other. */
  load(buffer: Buffer, length: number): void {
    if (length < HEADER) throw new DecodeError('truncated', `message of ${length} bytes has no header`);
    this.buffer = buffer;
    this.opcode = buffer.readUInt32LE(opcode);
    this.uniqueLo = buffer.readUInt32LE(unique);
    this.uniqueHi = buffer.readUInt32LE(unique + 4);
    this.uid = buffer.readUInt32LE(uid);
    this.gid = buffer.readUInt32LE(gid);
    this.pid = buffer.readUInt32LE(pid);
    this.#messageEnd = length;
    this.#end = length - buffer.readUInt16LE(total_extlen) * 8;
    const claimed = buffer.readUInt32LE(len);
    if (claimed !== length) throw new DecodeError('length-mismatch', `header says ${claimed} bytes, read ${length}`);
    if (this.#end < HEADER) throw new DecodeError('length-mismatch', 'extensions are longer than the message');
    const hi = buffer.readUInt32LE(nodeid + 4);
    if (hi >= UNSAFE_HI) throw new DecodeError('unsafe-integer', 'nodeid is above 2^53');
    this.nodeid = hi * TWO_32 + buffer.readUInt32LE(nodeid);
  }

  /** Bytes of the body. */
  get bodyLength(): number {
    return this.#end - HEADER;
  }

  /** True for the resend bit in `unique`. */
  get resent(): boolean {
    return (this.uniqueHi & FUSE_UNIQUE_RESEND_HI) !== 0;
  }

  /** Throws unless the body has at least `size` bytes. The fixed-offset getters below rely on the caller having asked. */
  need(size: number): void {
    if (this.bodyLength < size)
      throw new DecodeError('truncated', `opcode ${this.opcode}: body of ${this.bodyLength} bytes, needs ${size}`);
  }

  u32(at: number): number {
    return this.buffer.readUInt32LE(HEADER + at);
  }

  /** An unsigned 64-bit field that must be a safe integer. */
  u64(at: number): number {
    const hi = this.buffer.readUInt32LE(HEADER + at + 4);
    if (hi >= UNSAFE_HI) throw new DecodeError('unsafe-integer', `opcode ${this.opcode}: field at ${at} is above 2^53`);
    return hi * TWO_32 + this.buffer.readUInt32LE(HEADER + at);
  }

  /** An unsigned 64-bit field, clamped to the largest safe integer. */
  u64Clamped(at: number): number {
    const hi = this.buffer.readUInt32LE(HEADER + at + 4);
    return hi >= UNSAFE_HI ? Number.MAX_SAFE_INTEGER : hi * TWO_32 + this.buffer.readUInt32LE(HEADER + at);
  }

  /** A signed 64-bit field that must be a safe integer. */
  i64(at: number): number {
    const hi = this.buffer.readInt32LE(HEADER + at + 4);
    if (hi >= UNSAFE_HI || hi < -UNSAFE_HI)
      throw new DecodeError('unsafe-integer', `opcode ${this.opcode}: field at ${at} is beyond ±2^53`);
    return hi * TWO_32 + this.buffer.readUInt32LE(HEADER + at);
  }

  /** An opaque unsigned 64-bit field. */
  big(at: number): bigint {
    return this.buffer.readBigUInt64LE(HEADER + at);
  }

  /** The bytes before the NUL that ends the name at body offset `at`: a copy, free to keep. */
  name(at: number): Buffer {
    const start = HEADER + at;
    const end = this.#nul(start);
    return Buffer.from(this.buffer.subarray(start, end));
  }

  /** Body offset of what follows the name at `at`. */
  afterName(at: number): number {
    return this.#nul(HEADER + at) + 1 - HEADER;
  }

  /** `size` bytes at body offset `at`: a view into the device's buffer. */
  view(at: number, size: number): Buffer {
    const start = HEADER + at;
    if (start + size > this.#end)
      throw new DecodeError(
        'truncated',
        `opcode ${this.opcode}: ${size} bytes of data announced, ${this.#end - start} sent`,
      );
    return this.buffer.subarray(start, start + size);
  }

  /** The supplementary group that a creating caller shares with the parent directory, when the kernel sent one. */
  createSuppGid(): number | undefined {
    const { size, type } = FUSE_EXT_HEADER.offset;
    let at = this.#end;
    while (at + FUSE_EXT_HEADER.size <= this.#messageEnd) {
      const extension = this.buffer.readUInt32LE(at + size);
      if (extension < FUSE_EXT_HEADER.size || at + extension > this.#messageEnd)
        throw new DecodeError('length-mismatch', `extension of ${extension} bytes`);
      const groups = at + FUSE_EXT_HEADER.size;
      const gids = groups + FUSE_SUPP_GROUPS.size;
      if (this.buffer.readUInt32LE(at + type) === FUSE_EXT_GROUPS) {
        if (gids > at + extension) throw new DecodeError('truncated', 'group extension without a count');
        if (this.buffer.readUInt32LE(groups) === 0) return undefined;
        if (gids + 4 > at + extension) throw new DecodeError('truncated', 'group extension without its groups');
        return this.buffer.readUInt32LE(gids);
      }
      at += (extension + 7) & ~7;
    }
    return undefined;
  }

  get hasExtensions(): boolean {
    return this.#end !== this.#messageEnd;
  }

  #nul(start: number): number {
    const { buffer } = this;
    for (let at = start; at < this.#end; at++) if (buffer[at] === 0) return at;
    throw new DecodeError('unterminated-name', `opcode ${this.opcode}: name without NUL`);
  }
}

/** The number of a request in its connection: `unique` less the resend bit and the interrupt bit. Safe: the kernel counts from 2 by 2. */
export function opIdOf(uniqueHi: number, uniqueLo: number): number {
  const hi = (uniqueHi & ~FUSE_UNIQUE_RESEND_HI) >>> 0;
  if (hi >= UNSAFE_HI) throw new DecodeError('unsafe-integer', 'unique is above 2^53');
  return hi * TWO_32 + ((uniqueLo & ~FUSE_INT_REQ_BIT) >>> 0);
}
