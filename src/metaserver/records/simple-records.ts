import type { Ino } from '../../model/ids.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

const VERSION = 1;

/** A row whose key says everything: an orphan, a trim. */
export const markCodec: RecordCodec<true> = {
  encode(_value, writer) {
    writer.u8(VERSION);
  },
  decode(bytes) {
    new RecordReader(bytes, 'mark', VERSION).end();
    return true;
  },
};

/** The inode of an open file. */
export const openCodec: RecordCodec<Ino> = {
  encode(ino, writer) {
    writer.u8(VERSION).u64(ino);
  },
  decode(bytes) {
    const reader = new RecordReader(bytes, 'open', VERSION);
    const ino = reader.u64() as Ino;
    reader.end();
    return ino;
  },
};

/** The value of an extended attribute. */
export const xattrCodec: RecordCodec<Uint8Array> = {
  encode(value, writer) {
    writer.u8(VERSION).bytes(value);
  },
  decode(bytes) {
    const reader = new RecordReader(bytes, 'xattr', VERSION);
    return Buffer.from(reader.bytes(reader.left));
  },
  sizeOf: ({ length }) => 1 + length,
};
