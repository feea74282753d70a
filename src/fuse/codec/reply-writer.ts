import { FUSE_ATTR, FUSE_ENTRY_OUT, FUSE_OPEN_OUT, FUSE_OUT_HEADER } from '../abi/structs.js';
import type { EntryReply, FuseAttr, OpenReply } from './replies.js';

const TWO_32 = 2 ** 32;
const ATTR = FUSE_ATTR.offset;
const ENTRY = FUSE_ENTRY_OUT.offset;
const OPEN = FUSE_OPEN_OUT.offset;
const HEADER = FUSE_OUT_HEADER.size;
/** Preferred size of I/O (`st_blksize`), which tools such as cp and dd take as their buffer size. */
const DEFAULT_BLKSIZE = 4096;
const SECTOR = 512;

/** Largest errno a reply may carry: with a larger one write(2) fails and the caller hangs for ever. */
const ERRNO_MAX = 511;
const EIO = 5;

/**
 * Writes fixed-size structures at given offsets of one buffer: the scratch buffer in which the head of each reply is built (replies are
 * sent before the next one is encoded), or a directory listing. Offsets count from the start of the buffer.
 */
export class ReplyWriter {
  readonly buffer: Buffer;
  readonly #view: DataView;
  /** `st_blksize` of what is told. */
  readonly blksize: number;
  /** Bytes of the reply in {@link buffer}, header included. */
  length = HEADER;
  /** What follows the bytes in {@link buffer}. */
  data: readonly Uint8Array[] | undefined;

  constructor(buffer: Buffer, blksize = DEFAULT_BLKSIZE) {
    this.buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    this.blksize = blksize;
  }

  /** Starts a reply with a body of `size` bytes, which the caller fills or has zeroed ({@link zero}). */
  begin(size: number): void {
    this.length = HEADER + size;
    this.data = undefined;
  }

  /** A reply that is only a header. */
  empty(): void {
    this.begin(0);
  }

  /** A reply whose body is `chunks`, not copied. */
  body(chunks: readonly Uint8Array[]): void {
    this.length = HEADER;
    this.data = chunks;
  }

  /** Fills in the header; `error` is 0 or a positive errno. Call it last: it knows the length. */
  header(error: number, uniqueHi: number, uniqueLo: number): void {
    let total = this.length;
    if (this.data !== undefined) for (const chunk of this.data) total += chunk.length;
    const errno = error === 0 || (Number.isInteger(error) && error > 0 && error <= ERRNO_MAX) ? error : EIO;
    this.#view.setUint32(0, total, true);
    this.#view.setInt32(4, -errno, true);
    this.#view.setUint32(8, uniqueLo, true);
    this.#view.setUint32(12, uniqueHi, true);
  }

  zero(at: number, size: number): void {
    this.buffer.fill(0, at, at + size);
  }

  u16(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }

  u32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** A safe integer, negative ones in two's complement. */
  u64(at: number, value: number): void {
    this.#view.setUint32(at, value, true); // modulo 2^32
    this.#view.setUint32(at + 4, Math.floor(value / TWO_32), true);
  }

  big(at: number, value: bigint): void {
    this.#view.setBigUint64(at, BigInt.asUintN(64, value), true);
  }

  attr(at: number, attr: FuseAttr): void {
    this.u64(at + ATTR.ino, attr.ino);
    this.u64(at + ATTR.size, attr.size);
    this.u64(at + ATTR.blocks, Math.ceil(attr.allocatedBytes / SECTOR));
    this.u64(at + ATTR.atime, attr.atime.sec);
    this.u64(at + ATTR.mtime, attr.mtime.sec);
    this.u64(at + ATTR.ctime, attr.ctime.sec);
    this.u32(at + ATTR.atimensec, attr.atime.nsec);
    this.u32(at + ATTR.mtimensec, attr.mtime.nsec);
    this.u32(at + ATTR.ctimensec, attr.ctime.nsec);
    this.u32(at + ATTR.mode, attr.mode);
    this.u32(at + ATTR.nlink, attr.nlink);
    this.u32(at + ATTR.uid, attr.uid);
    this.u32(at + ATTR.gid, attr.gid);
    this.u32(at + ATTR.rdev, attr.rdev);
    this.u32(at + ATTR.blksize, this.blksize);
    this.u32(at + ATTR.flags, 0);
  }

  /** A time to live as seconds (8 bytes) at `sec` and nanoseconds (4 bytes) at `nsec`. */
  ttl(sec: number, nsec: number, ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.u64(sec, seconds);
    this.u32(nsec, Math.floor((ms - seconds * 1000) * 1e6));
  }

  entry(at: number, entry: EntryReply): void {
    this.u64(at + ENTRY.nodeid, entry.nodeid);
    this.u64(at + ENTRY.generation, entry.generation);
    this.ttl(at + ENTRY.entry_valid, at + ENTRY.entry_valid_nsec, entry.entryTtlMs);
    this.ttl(at + ENTRY.attr_valid, at + ENTRY.attr_valid_nsec, entry.attrTtlMs);
    if (entry.attr === undefined) this.zero(at + ENTRY.attr, FUSE_ATTR.size);
    else this.attr(at + ENTRY.attr, entry.attr);
  }

  open(at: number, open: OpenReply): void {
    this.u64(at + OPEN.fh, open.fh);
    this.u32(at + OPEN.open_flags, open.openFlags);
    this.u32(at + OPEN.backing_id, open.backingId ?? 0);
  }
}
