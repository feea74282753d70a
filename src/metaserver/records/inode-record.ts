import { NO_INO, type Ino } from '../../model/ids.js';
import type { InodeAttr, Timespec } from '../../model/inode.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';
import type { RecordWriter } from './record-writer.js';

/** A truncation: what was written under an epoch before it ends at its size. */
export interface Truncation {
  readonly epoch: number;
  readonly size: number;
}

/** An inode as it is stored: what clients see and what only the metaserver needs. A value: replaced, never modified. */
export interface InodeRecord {
  readonly attr: InodeAttr;
  /** Entries of a directory. */
  readonly entries: number;
  /** The mtime was set explicitly: a later write may set an earlier one. */
  readonly mtimeExplicit: boolean;
  /** Made without a name (O_TMPFILE), and may be given one. */
  readonly linkable: boolean;
  /** A directory with a quota: what is below is charged to it. */
  readonly quotaRoot: boolean;
  /** The change number of the last change of data or size; 0 = there was none. */
  readonly dataChange: number;
  /** The same of the last one that was made by another session than `attr.lastWriter`. */
  readonly foreignDataChange: number;
  readonly xattrCount: number;
  /** Bytes of names and values of all extended attributes. */
  readonly xattrBytes: number;
  /** The truncations that a late commit is clipped by: epochs and sizes ascending (`truncation.ts`). */
  readonly truncations: readonly Truncation[];
  /** Truncations whose block rows are not cut yet; readers cut them by these. */
  readonly trims: readonly Truncation[];
  /** Target of a symlink. */
  readonly target: Uint8Array | undefined;
}

const VERSION = 1;
const FLAG_MTIME_EXPLICIT = 1;
const FLAG_LINKABLE = 2;
/** The record ends with the change number of the ACLs. */
const FLAG_ACL = 4;
const FLAG_QUOTA_ROOT = 8;
/** The inode is charged to a quota: its directory is at the end of the row. */
const FLAG_QUOTA = 16;
const FLAGS = FLAG_MTIME_EXPLICIT | FLAG_LINKABLE | FLAG_ACL | FLAG_QUOTA_ROOT | FLAG_QUOTA;
/** All but the lists and the target. */
const FIXED_BYTES = 208;
const TRUNCATION_BYTES = 12;

export const inodeCodec: RecordCodec<InodeRecord> = {
  encode(record, writer) {
    const { attr } = record;
    writer.u8(VERSION).u8(flagsOf(record));
    writer.u64(attr.ino).u32(attr.mode).u32(attr.nlink).u32(attr.uid).u32(attr.gid).u32(attr.rdev);
    writer.u64(attr.size).u64(attr.allocatedBytes);
    writeTime(writer, attr.atime);
    writeTime(writer, attr.mtime);
    writeTime(writer, attr.ctime);
    writeTime(writer, attr.btime);
    writer.u64(attr.change).u64(attr.writerEpoch).u64(attr.lastWriter).u32(attr.truncEpoch).u32(attr.timeEpoch);
    writer.u64(record.dataChange).u64(record.foreignDataChange);
    writer.u64(attr.parent).u32(record.entries).u32(record.xattrCount).u32(record.xattrBytes);
    writeTruncations(writer, record.truncations);
    writeTruncations(writer, record.trims);
    const target = record.target;
    writer.u16(target?.length ?? 0);
    if (target !== undefined) writer.bytes(target);
    if (attr.aclChange > 0) writer.u64(attr.aclChange);
    if (attr.quota !== NO_INO) writer.u64(attr.quota);
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'inode', VERSION);
    const flags = reader.u8();
    if ((flags & ~FLAGS) !== 0) throw reader.corrupt(`unknown flags ${flags}`);
    const ino = reader.u64() as Ino;
    const mode = reader.u32();
    const nlink = reader.u32();
    const uid = reader.u32();
    const gid = reader.u32();
    const rdev = reader.u32();
    const size = reader.u64();
    const allocatedBytes = reader.u64();
    const atime = readTime(reader);
    const mtime = readTime(reader);
    const ctime = readTime(reader);
    const btime = readTime(reader);
    const change = reader.u64();
    const writerEpoch = reader.u64();
    const lastWriter = reader.u64();
    const truncEpoch = reader.u32();
    const timeEpoch = reader.u32();
    const dataChange = reader.u64();
    const foreignDataChange = reader.u64();
    const parent = reader.u64() as Ino;
    const entries = reader.u32();
    const xattrCount = reader.u32();
    const xattrBytes = reader.u32();
    const truncations = readTruncations(reader);
    const trims = readTruncations(reader);
    const targetLength = reader.u16();
    const target = targetLength === 0 ? undefined : Buffer.from(reader.bytes(targetLength));
    const aclChange = (flags & FLAG_ACL) === 0 ? 0 : reader.u64();
    const quota = (flags & FLAG_QUOTA) === 0 ? NO_INO : (reader.u64() as Ino);
    reader.end();
    const hasXattrs = xattrCount > 0;
    return {
      attr: {
        ino,
        mode,
        nlink,
        uid,
        gid,
        rdev,
        size,
        allocatedBytes,
        atime,
        mtime,
        ctime,
        btime,
        change,
        writerEpoch,
        lastWriter,
        truncEpoch,
        timeEpoch,
        parent,
        hasXattrs,
        aclChange,
        quota,
      },
      entries,
      mtimeExplicit: (flags & FLAG_MTIME_EXPLICIT) !== 0,
      linkable: (flags & FLAG_LINKABLE) !== 0,
      quotaRoot: (flags & FLAG_QUOTA_ROOT) !== 0,
      dataChange,
      foreignDataChange,
      xattrCount,
      xattrBytes,
      truncations,
      trims,
      target,
    };
  },

  sizeOf: ({ truncations, trims, target }) =>
    FIXED_BYTES + TRUNCATION_BYTES * (truncations.length + trims.length) + (target?.length ?? 0),
};

function flagsOf({ mtimeExplicit, linkable, quotaRoot, attr }: InodeRecord): number {
  return (
    (mtimeExplicit ? FLAG_MTIME_EXPLICIT : 0) |
    (linkable ? FLAG_LINKABLE : 0) |
    (attr.aclChange > 0 ? FLAG_ACL : 0) |
    (quotaRoot ? FLAG_QUOTA_ROOT : 0) |
    (attr.quota === NO_INO ? 0 : FLAG_QUOTA)
  );
}

function writeTime(writer: RecordWriter, time: Timespec): void {
  writer.i64(time.sec).u32(time.nsec);
}

function readTime(reader: RecordReader): Timespec {
  const sec = reader.i64();
  const nsec = reader.u32();
  if (nsec >= 1_000_000_000) throw reader.corrupt(`${nsec} nanoseconds`);
  return { sec, nsec };
}

function writeTruncations(writer: RecordWriter, truncations: readonly Truncation[]): void {
  writer.u8(truncations.length);
  for (const { epoch, size } of truncations) writer.u32(epoch).u64(size);
}

const NONE: readonly Truncation[] = [];

function readTruncations(reader: RecordReader): readonly Truncation[] {
  const count = reader.u8();
  if (count === 0) return NONE;
  return Array.from({ length: count }, () => ({ epoch: reader.u32(), size: reader.u64() }));
}
