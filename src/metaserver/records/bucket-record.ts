import type { Ino } from '../../model/ids.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** A directory entry. */
export interface Dentry {
  readonly name: Uint8Array;
  readonly ino: Ino;
  /** S_IFMT bits of the inode, which never change. */
  readonly type: number;
  /** Place among the entries with the same hash, fixed for the entry's life: the low bits of its cookie. */
  readonly place: number;
}

/** The entries of a directory whose names have the same hash, by place: nearly always one. Never empty when stored. */
export type Bucket = readonly Dentry[];

/** Most entries of one bucket: places fit the five low bits of a cookie. */
export const BUCKET_ENTRIES_MAX = 32;

const VERSION = 1;

export const bucketCodec: RecordCodec<Bucket> = {
  encode(bucket, writer) {
    writer.u8(VERSION).u8(bucket.length);
    for (const { name, ino, type, place } of bucket) {
      writer
        .u8(place)
        .u8(type >>> 12)
        .u64(ino)
        .u8(name.length)
        .bytes(name);
    }
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'dentry', VERSION);
    const count = reader.u8();
    if (count === 0 || count > BUCKET_ENTRIES_MAX) throw reader.corrupt(`${count} entries`);
    const bucket: Dentry[] = [];
    for (let i = 0; i < count; i++) {
      const place = reader.u8();
      const type = reader.u8() << 12;
      const ino = reader.u64() as Ino;
      const length = reader.u8();
      if (length === 0) throw reader.corrupt('an empty name');
      // its own bytes: a small Buffer would keep the 8 KiB of Node's pool alive that it was cut from, for as long as the entry is cached
      bucket.push({ name: new Uint8Array(reader.bytes(length)), ino, type, place });
    }
    reader.end();
    return bucket;
  },

  sizeOf: (bucket) => bucket.reduce((sum, { name }) => sum + 11 + name.length, 2),
};
