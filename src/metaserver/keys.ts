import type { ChunkId, Fh, FsId, Ino, SessionId } from '../model/ids.js';
import type { LockRef } from './locks/lock-table.js';

const FS_TAG = 0x46;
const INO_TAG = 0x6b;
const INODE_TAG = 0x49;
const BUCKET_TAG = 0x44;

/**
 * Keys of the metaserver's rows as strings of one character per byte (`store/`), big-endian, so that their order is memcmp's.
 *
 * ```
 * S fs                    filesystem record            F fs A                  counters
 * F fs k ino I            inode                        F fs k ino D hash48     entries of a directory whose names have this hash
 * F fs k ino B block      extents of a block           F fs k ino X name       extended attribute
 * F fs h chunk            chunk                        F fs z due48 chunk      object to delete, not before `due` (ms)
 * F fs s session          session                      F fs r session group    replies of one batch to a session
 * F fs o session fh       open file                    F fs n ino              unlinked, still open
 * F fs g ino              rows to trim in background   F fs q ino              quota of a directory
 * F fs v session ino      bytes that a session has reserved of a quota
 * F fs l ino kind session owner start   lock (kind: p fcntl, f flock)
 * ```
 *
 * What belongs to an inode is contiguous. The leading letters keep a metaserver's rows apart from the MDS's (`M`) in a shared engine.
 */
export class Keys {
  readonly #fs: number;
  readonly #prefix: string;
  readonly counters: string;

  constructor(fsId: FsId) {
    this.#fs = fsId;
    this.#prefix = `F${u32(fsId)}`;
    this.counters = `${this.#prefix}A`;
  }

  /** Made in one piece: every operation looks up inodes, and a concatenated string has to be flattened before it is hashed. */
  inode(ino: Ino): string {
    const fs = this.#fs;
    const high = Math.floor(ino / 2 ** 32);
    return String.fromCharCode(
      FS_TAG,
      fs >>> 24,
      (fs >>> 16) & 255,
      (fs >>> 8) & 255,
      fs & 255,
      INO_TAG,
      (high >>> 24) & 255,
      (high >>> 16) & 255,
      (high >>> 8) & 255,
      high & 255,
      (ino >>> 24) & 255,
      (ino >>> 16) & 255,
      (ino >>> 8) & 255,
      ino & 255,
      INODE_TAG,
    );
  }

  /** As {@link inode}, in one piece. */
  bucket(dir: Ino, hash: number): string {
    const fs = this.#fs;
    const high = Math.floor(dir / 2 ** 32);
    const hashHigh = Math.floor(hash / 2 ** 32);
    return String.fromCharCode(
      FS_TAG,
      fs >>> 24,
      (fs >>> 16) & 255,
      (fs >>> 8) & 255,
      fs & 255,
      INO_TAG,
      (high >>> 24) & 255,
      (high >>> 16) & 255,
      (high >>> 8) & 255,
      high & 255,
      (dir >>> 24) & 255,
      (dir >>> 16) & 255,
      (dir >>> 8) & 255,
      dir & 255,
      BUCKET_TAG,
      (hashHigh >>> 8) & 255,
      hashHigh & 255,
      (hash >>> 24) & 255,
      (hash >>> 16) & 255,
      (hash >>> 8) & 255,
      hash & 255,
    );
  }

  /** From `hash` to the last entry of the directory. */
  bucketsFrom(dir: Ino, hash: number): KeyRange {
    return { start: this.bucket(dir, hash), end: `${this.#prefix}k${u64(dir)}E` };
  }

  block(ino: Ino, block: number): string {
    return `${this.#prefix}k${u64(ino)}B${u32(block)}`;
  }

  blocksFrom(ino: Ino, block: number): KeyRange {
    return { start: this.block(ino, block), end: `${this.#prefix}k${u64(ino)}C` };
  }

  xattr(ino: Ino, name: Uint8Array): string {
    return `${this.#prefix}k${u64(ino)}X${latin1(name)}`;
  }

  xattrs(ino: Ino): KeyRange {
    return { start: `${this.#prefix}k${u64(ino)}X`, end: `${this.#prefix}k${u64(ino)}Y` };
  }

  chunk(chunkId: ChunkId): string {
    return `${this.#prefix}h${u64(chunkId)}`;
  }

  deletion(dueMs: number, chunkId: ChunkId): string {
    return `${this.#prefix}z${u48(dueMs)}${u64(chunkId)}`;
  }

  deletionsUntil(nowMs: number): KeyRange {
    return { start: `${this.#prefix}z`, end: `${this.#prefix}z${u48(nowMs + 1)}` };
  }

  session(session: SessionId): string {
    return `${this.#prefix}s${u64(session)}`;
  }

  sessions(): KeyRange {
    return this.#all('s');
  }

  replies(session: SessionId, group: number): string {
    return `${this.#prefix}r${u64(session)}${u64(group)}`;
  }

  repliesOf(session: SessionId): KeyRange {
    return { start: this.replies(session, 0), end: `${this.#prefix}r${u64(session + 1)}` };
  }

  open(session: SessionId, fh: Fh): string {
    return `${this.#prefix}o${u64(session)}${u64(fh)}`;
  }

  opens(): KeyRange {
    return this.#all('o');
  }

  orphan(ino: Ino): string {
    return `${this.#prefix}n${u64(ino)}`;
  }

  orphans(): KeyRange {
    return this.#all('n');
  }

  trim(ino: Ino): string {
    return `${this.#prefix}g${u64(ino)}`;
  }

  trims(): KeyRange {
    return this.#all('g');
  }

  quota(dir: Ino): string {
    return `${this.#prefix}q${u64(dir)}`;
  }

  quotas(): KeyRange {
    return this.#all('q');
  }

  quotaHold(session: SessionId, quota: Ino): string {
    return `${this.#prefix}v${u64(session)}${u64(quota)}`;
  }

  quotaHoldsOf(session: SessionId): KeyRange {
    return { start: this.quotaHold(session, 0 as Ino), end: `${this.#prefix}v${u64(session + 1)}` };
  }

  lock({ ino, kind, session, owner }: LockRef, start: bigint): string {
    const letter = kind === 'posix' ? POSIX_LETTER : FLOCK_LETTER;
    return `${this.#prefix}l${u64(ino)}${letter}${u64(session)}${big64(owner)}${big64(start)}`;
  }

  locks(): KeyRange {
    return this.#all('l');
  }

  /** Everything of the filesystem but its record. */
  everything(): KeyRange {
    return { start: this.#prefix, end: `${this.#prefix}\xff` };
  }

  #all(tag: string): KeyRange {
    return { start: `${this.#prefix}${tag}`, end: `${this.#prefix}${String.fromCharCode(tag.charCodeAt(0) + 1)}` };
  }
}

/** Keys with start ≤ key < end. */
export interface KeyRange {
  readonly start: string;
  readonly end: string;
}

/** The record of a filesystem that this metaserver owns. */
export function filesystemKey(fsId: FsId): string {
  return `S${u32(fsId)}`;
}

export const FILESYSTEMS: KeyRange = { start: 'S', end: 'T' };

const POSIX_LETTER = 'p';
const FLOCK_LETTER = 'f';

/** Bytes of `F fs tag`. */
const TAG_END = 6;

/** The number in a key that ends with a block or is `F fs tag number`: the last 4 bytes. */
export function blockOfKey(key: string): number {
  return readU32(key, key.length - 4);
}

/** The hash in a bucket's key. */
export function hashOfKey(key: string): number {
  const at = key.length - 6;
  return (key.charCodeAt(at) * 256 + key.charCodeAt(at + 1)) * 2 ** 32 + readU32(key, at + 2);
}

/** The name in an extended attribute's key: behind `F fs k ino X`. */
export function xattrNameOfKey(key: string): Buffer {
  return Buffer.from(key.slice(TAG_END + 9), 'latin1');
}

/** The first number behind the tag: inode, session. */
export function firstOfKey(key: string): number {
  return readU64(key, TAG_END);
}

/** The second number behind the tag: handle, group. */
export function secondOfKey(key: string): number {
  return readU64(key, TAG_END + 8);
}

/** Whose lock it is, and where it starts. */
export function lockOfKey(key: string): { readonly ref: LockRef; readonly start: bigint } {
  const ref: LockRef = {
    ino: readU64(key, TAG_END) as Ino,
    kind: key[TAG_END + 8] === POSIX_LETTER ? 'posix' : 'flock',
    session: readU64(key, TAG_END + 9) as SessionId,
    owner: readBig64(key, TAG_END + 17),
  };
  return { ref, start: readBig64(key, TAG_END + 25) };
}

/** Due time and chunk of a deletion's key. */
export function deletionOfKey(key: string): { readonly dueMs: number; readonly chunkId: ChunkId } {
  const high = key.charCodeAt(TAG_END) * 256 + key.charCodeAt(TAG_END + 1);
  return { dueMs: high * 2 ** 32 + readU32(key, TAG_END + 2), chunkId: readU64(key, TAG_END + 6) as ChunkId };
}

function u32(value: number): string {
  return String.fromCharCode((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function u48(value: number): string {
  const high = Math.floor(value / 2 ** 32);
  return String.fromCharCode(
    (high >>> 8) & 255,
    high & 255,
    (value >>> 24) & 255,
    (value >>> 16) & 255,
    (value >>> 8) & 255,
    value & 255,
  );
}

function u64(value: number): string {
  const high = Math.floor(value / 2 ** 32);
  return String.fromCharCode(
    (high >>> 24) & 255,
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    (value >>> 24) & 255,
    (value >>> 16) & 255,
    (value >>> 8) & 255,
    value & 255,
  );
}

function big64(value: bigint): string {
  return u32(Number(value >> 32n)) + u32(Number(value & 0xffff_ffffn));
}

function readBig64(key: string, at: number): bigint {
  return (BigInt(readU32(key, at)) << 32n) | BigInt(readU32(key, at + 4));
}

function readU32(key: string, at: number): number {
  return (
    key.charCodeAt(at) * 2 ** 24 +
    ((key.charCodeAt(at + 1) << 16) | (key.charCodeAt(at + 2) << 8) | key.charCodeAt(at + 3))
  );
}

function readU64(key: string, at: number): number {
  return readU32(key, at) * 2 ** 32 + readU32(key, at + 4);
}

function latin1(bytes: Uint8Array): string {
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)).toString('latin1');
}
