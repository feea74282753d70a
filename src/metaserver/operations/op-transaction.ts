import type { MaybePromise } from '../../common/maybe-promise.js';
import { FsError } from '../../common/fs-error.js';
import type { FsInfo } from '../../model/filesystem.js';
import type { Ino, SessionId } from '../../model/ids.js';
import { makeIno } from '../../model/ids.js';
import {
  compareTime,
  isDirectory,
  NAME_MAX_BYTES,
  timespecOfNs,
  type InodeAttr,
  type Timespec,
} from '../../model/inode.js';
import type { Keys } from '../keys.js';
import { MetaserverError } from '../metaserver-error.js';
import type { NameHash } from '../name-hash.js';
import type { OpenFiles } from '../open-files.js';
import { BUCKET_ENTRIES_MAX, type Bucket, type Dentry } from '../records/bucket-record.js';
import type { Counters } from '../records/counters-record.js';
import type { InodeRecord } from '../records/inode-record.js';
import type { SlotTables } from '../slot-tables.js';
import type { Transaction } from '../store/transaction.js';

/** What operations need of the slot that they run in. */
export interface OpScope {
  readonly info: FsInfo;
  readonly keys: Keys;
  readonly tables: SlotTables;
  readonly hash: NameHash;
  readonly opens: OpenFiles;
  /** How long a file that is removed just after it was made can still be opened by who has looked it up. */
  readonly lingerMs: number;
  nowNs(): bigint;
  /** Opens may be missing (the server has just started): what is unlinked must be kept for now. */
  opensIncomplete(): boolean;
  /** The database is nearly full: what grows it is refused, so that there is room to delete. */
  nearlyFull(): boolean;
}

/**
 * The namespace as one operation sees and changes it: inodes, entries and totals over a {@link Transaction}.
 * The rules that hold for every operation are here (times never go backwards, counts stay exact); what an operation means is in its own file.
 */
export class OpTransaction {
  readonly scope: OpScope;
  readonly tx: Transaction;
  /** Who asks; 0 = the server itself. */
  readonly session: SessionId;
  /** Opens that this operation adds to and takes from those in `scope.opens`. */
  readonly openDelta = new Map<Ino, number>();
  #now: Timespec | undefined;
  #lastDir: Ino | undefined;
  #lastName: Uint8Array | undefined;
  #lastKey = '';

  constructor(scope: OpScope, tx: Transaction, session: SessionId) {
    this.scope = scope;
    this.tx = tx;
    this.session = session;
  }

  /** The server's clock, the same for everything that the operation stamps. */
  get now(): Timespec {
    return (this.#now ??= timespecOfNs(this.scope.nowNs()));
  }

  get nowMs(): number {
    return Number(this.scope.nowNs() / 1_000_000n);
  }

  inode(ino: Ino): MaybePromise<InodeRecord | undefined> {
    return this.tx.get(this.scope.tables.inodes, this.scope.keys.inode(ino));
  }

  /** ENOENT when the inode is gone. */
  async mustInode(ino: Ino): Promise<InodeRecord> {
    const record = await this.inode(ino);
    if (record === undefined) throw new FsError('ENOENT', `inode ${ino} is gone`);
    return record;
  }

  /** A directory in which names are looked up: ENOENT when it is gone, ENOTDIR when it is none. */
  async mustDirectory(ino: Ino): Promise<InodeRecord> {
    const record = await this.mustInode(ino);
    if (!isDirectory(record.attr.mode)) throw new FsError('ENOTDIR');
    return record;
  }

  /** A directory that takes a new entry: not one that is removed but still open. */
  async mustLiveDirectory(ino: Ino): Promise<InodeRecord> {
    const record = await this.mustDirectory(ino);
    if (record.attr.nlink === 0) throw new FsError('ENOENT', 'the directory is removed');
    return record;
  }

  putInode(record: InodeRecord): void {
    this.tx.put(this.scope.tables.inodes, this.scope.keys.inode(record.attr.ino), record);
  }

  deleteInode(ino: Ino): void {
    this.tx.delete(this.scope.tables.inodes, this.scope.keys.inode(ino));
  }

  /** The record with changed attributes, its change number grown and its ctime not before what it was. */
  changed(record: InodeRecord, attr: Partial<InodeAttr>, ctime = this.now): InodeRecord {
    const before = record.attr;
    return {
      ...record,
      attr: {
        ...before,
        ...attr,
        ctime: compareTime(ctime, before.ctime) > 0 ? ctime : before.ctime,
        change: before.change + 1,
      },
    };
  }

  /** Stamps a directory whose entries change. */
  changeDirectory(record: InodeRecord, entries: number, nlink: number): InodeRecord {
    const changed = this.changed(record, { mtime: this.now, nlink: record.attr.nlink + nlink });
    const directory = { ...changed, entries: record.entries + entries, mtimeExplicit: false };
    this.putInode(directory);
    return directory;
  }

  async entry(dir: Ino, name: Uint8Array): Promise<Dentry | undefined> {
    const bucket = await this.tx.get(this.scope.tables.buckets, this.#bucketKey(dir, name));
    return bucket?.find((entry) => sameName(entry.name, name));
  }

  /** REQUIRES: the name does not exist in the directory. */
  async addEntry(dir: Ino, name: Uint8Array, ino: Ino, type: number): Promise<void> {
    const key = this.#bucketKey(dir, name);
    const bucket = (await this.tx.get(this.scope.tables.buckets, key)) ?? [];
    let place = 0;
    while (bucket[place]?.place === place) place++;
    if (place >= BUCKET_ENTRIES_MAX) throw new FsError('ENOSPC', 'too many names with the same hash');
    // its own bytes, not a piece of the frame or of Node's pool: it stays in the cache
    const added = { name: new Uint8Array(name), ino, type, place };
    this.#putBucket(key, [...bucket.slice(0, place), added, ...bucket.slice(place)]);
  }

  /** REQUIRES: the name exists in the directory. */
  async removeEntry(dir: Ino, name: Uint8Array): Promise<void> {
    const key = this.#bucketKey(dir, name);
    const bucket = (await this.tx.get(this.scope.tables.buckets, key)) ?? [];
    this.#putBucket(
      key,
      bucket.filter((entry) => !sameName(entry.name, name)),
    );
  }

  /** Lets an existing name mean another inode; its cookie stays. */
  async replaceEntry(dir: Ino, name: Uint8Array, ino: Ino, type: number): Promise<void> {
    const key = this.#bucketKey(dir, name);
    const bucket = (await this.tx.get(this.scope.tables.buckets, key)) ?? [];
    this.#putBucket(
      key,
      bucket.map((entry) => (sameName(entry.name, name) ? { ...entry, ino, type } : entry)),
    );
  }

  async counters(): Promise<Counters> {
    const counters = await this.tx.get(this.scope.tables.counters, this.scope.keys.counters);
    if (counters === undefined) throw new MetaserverError('corrupt', 'the filesystem has no counters');
    return counters;
  }

  async addCounters(
    change: Partial<Record<'usedBytes' | 'usedInodes' | 'reservedBytes' | 'deletesQueued', number>>,
  ): Promise<void> {
    const before = await this.counters();
    this.putCounters({
      ...before,
      usedBytes: before.usedBytes + (change.usedBytes ?? 0),
      usedInodes: before.usedInodes + (change.usedInodes ?? 0),
      reservedBytes: before.reservedBytes + (change.reservedBytes ?? 0),
      deletesQueued: before.deletesQueued + (change.deletesQueued ?? 0),
    });
  }

  putCounters(counters: Counters): void {
    const { usedBytes, usedInodes, reservedBytes, deletesQueued } = counters;
    if (usedBytes < 0 || usedInodes < 0 || reservedBytes < 0 || deletesQueued < 0) {
      throw new MetaserverError('corrupt', `totals below zero: ${JSON.stringify(counters)}`);
    }
    this.tx.put(this.scope.tables.counters, this.scope.keys.counters, counters);
  }

  /** Whether the filesystem has all the inodes that it may have. */
  async isOutOfInodes(): Promise<boolean> {
    const max = this.scope.info.inodesMax;
    return max > 0 && (await this.counters()).usedInodes >= max;
  }

  /** A fresh inode number, counted: ENOSPC at the filesystem's limit. */
  async allocateIno(): Promise<Ino> {
    this.mustGrow();
    if (await this.isOutOfInodes())
      throw new FsError('ENOSPC', `the filesystem has its ${this.scope.info.inodesMax} inodes`);
    const counters = await this.counters();
    this.putCounters({ ...counters, usedInodes: counters.usedInodes + 1, nextInoSeq: counters.nextInoSeq + 1 });
    return makeIno(0, counters.nextInoSeq);
  }

  /** ENOSPC while the metadata database is nearly full. */
  mustGrow(): void {
    if (this.scope.nearlyFull()) throw new FsError('ENOSPC', 'the metadata database is nearly full');
  }

  /** An operation looks a name up before it changes its entry: the key of the last name is kept. */
  #bucketKey(dir: Ino, name: Uint8Array): string {
    if (dir !== this.#lastDir || name !== this.#lastName) {
      this.#lastDir = dir;
      this.#lastName = name;
      this.#lastKey = this.scope.keys.bucket(dir, this.scope.hash.of(name));
    }
    return this.#lastKey;
  }

  #putBucket(key: string, bucket: Bucket): void {
    const { buckets } = this.scope.tables;
    if (bucket.length === 0) this.tx.delete(buckets, key);
    else this.tx.put(buckets, key, bucket);
  }
}

/** A name that an entry may have: ENAMETOOLONG past 255 bytes, EINVAL for what no directory can hold. */
export function checkName(name: Uint8Array): void {
  const length = name.length;
  if (length > NAME_MAX_BYTES) throw new FsError('ENAMETOOLONG');
  const dots = (length === 1 && name[0] === DOT) || (length === 2 && name[0] === DOT && name[1] === DOT);
  if (length === 0 || dots || name.includes(SLASH) || name.includes(0)) throw new FsError('EINVAL', 'not a name');
}

const DOT = 0x2e;
const SLASH = 0x2f;

function sameName(a: Uint8Array, b: Uint8Array): boolean {
  const length = a.length;
  if (length !== b.length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}
