import { FUSE_NAME_MAX } from '../abi/flags.js';
import { FUSE_DIRENT, FUSE_DIRENTPLUS, FUSE_ENTRY_OUT } from '../abi/structs.js';
import type { EntryReply } from './replies.js';
import { ReplyWriter } from './reply-writer.js';

const DIRENT = FUSE_DIRENT.offset;
const SLASH = 0x2f;

const padded = (bytes: number): number => (bytes + 7) & ~7;

/** A name that the kernel would answer with EIO for the whole listing: a bug of the filesystem. */
function checkName(name: Uint8Array): void {
  if (name.length === 0 || name.length > FUSE_NAME_MAX || name.includes(SLASH) || name.includes(0))
    throw new RangeError(`a directory entry's name is not a file name (${name.length} bytes)`);
}

/** What READDIR fills: entries of name, number and type, up to the size of the caller's buffer. */
export interface DirentWriter {
  /**
   * Adds an entry; false when it does not fit, and then it is not in the reply and counts for nothing.
   * @param cookie where a later READDIR goes on after this entry; never 0
   * @param mode its `S_IFMT` bits are the entry's type
   */
  add(name: Uint8Array, cookie: number, ino: number, mode: number): boolean;
}

/** What READDIRPLUS fills: entries with attributes, each of which (unless `.`, `..` or nodeid 0) counts as one lookup. */
export interface DirentPlusWriter {
  /** As {@link DirentWriter.add}, with what LOOKUP would reply. A name without attributes at hand goes through {@link addBare}. */
  add(name: Uint8Array, cookie: number, entry: EntryReply): boolean;
  /** An entry that counts for no lookup: `.`, `..`, or one whose attributes are not at hand. */
  addBare(name: Uint8Array, cookie: number, ino: number, mode: number): boolean;
}

/** Encodes a directory listing into a buffer of the size the caller asked for. */
class ListingBuffer {
  protected readonly writer: ReplyWriter;
  protected used = 0;
  readonly #limit: number;

  constructor(buffer: Buffer, limit: number, blksize: number | undefined) {
    this.writer = new ReplyWriter(buffer, blksize);
    this.#limit = Math.min(limit, buffer.length);
  }

  /** The encoded entries. */
  get bytes(): Uint8Array {
    return this.writer.buffer.subarray(0, this.used);
  }

  protected fits(size: number): boolean {
    return this.used + padded(size) <= this.#limit;
  }

  protected dirent(at: number, name: Uint8Array, cookie: number, ino: number, mode: number): void {
    const { writer } = this;
    writer.u64(at + DIRENT.ino, ino);
    writer.u64(at + DIRENT.off, cookie);
    writer.u32(at + DIRENT.namelen, name.length);
    writer.u32(at + DIRENT.type, mode >>> 12);
    const end = at + FUSE_DIRENT.size + name.length;
    writer.buffer.set(name, at + FUSE_DIRENT.size);
    writer.zero(end, padded(end) - end);
    this.used = padded(end);
  }
}

export class DirentBuffer extends ListingBuffer implements DirentWriter {
  add(name: Uint8Array, cookie: number, ino: number, mode: number): boolean {
    checkName(name);
    if (!this.fits(FUSE_DIRENT.size + name.length)) return false;
    this.dirent(this.used, name, cookie, ino, mode);
    return true;
  }
}

export class DirentPlusBuffer extends ListingBuffer implements DirentPlusWriter {
  add(name: Uint8Array, cookie: number, entry: EntryReply): boolean {
    checkName(name);
    if (!this.fits(FUSE_DIRENTPLUS.size + name.length)) return false;
    const at = this.used;
    this.writer.entry(at, entry);
    this.dirent(at + FUSE_ENTRY_OUT.size, name, cookie, entry.attr?.ino ?? entry.nodeid, entry.attr?.mode ?? 0);
    return true;
  }

  addBare(name: Uint8Array, cookie: number, ino: number, mode: number): boolean {
    checkName(name);
    if (!this.fits(FUSE_DIRENTPLUS.size + name.length)) return false;
    const at = this.used;
    this.writer.zero(at, FUSE_ENTRY_OUT.size);
    this.dirent(at + FUSE_ENTRY_OUT.size, name, cookie, ino, mode);
    return true;
  }

  /** Calls `each` with every nodeid that the kernel counts a lookup for. */
  forEachLookup(each: (nodeid: number) => void): void {
    const { buffer } = this.writer;
    const nameAt = FUSE_ENTRY_OUT.size + DIRENT.namelen;
    for (let at = 0; at < this.used; at += padded(FUSE_DIRENTPLUS.size + buffer.readUInt32LE(at + nameAt))) {
      const nodeid = Number(buffer.readBigUInt64LE(at));
      if (nodeid !== 0) each(nodeid);
    }
  }
}
