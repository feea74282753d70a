import { LOCK_END_MAX, type LockRange } from '../../model/lock.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

const VERSION = 1;
const READ = 1;
const WRITE = 2;

/** One locked range but for its start, which is in the key, with owner and inode. */
export type LockRecord = Omit<LockRange, 'start'>;

export const lockCodec: RecordCodec<LockRecord> = {
  encode({ end, type, pid }, writer) {
    writer
      .u8(VERSION)
      .big64(end)
      .u8(type === 'read' ? READ : WRITE)
      .u32(pid);
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'lock', VERSION);
    const end = reader.big64();
    const type = reader.u8();
    const pid = reader.u32();
    reader.end();
    if (end > LOCK_END_MAX) throw reader.corrupt(`the end ${end}`);
    if (type !== READ && type !== WRITE) throw reader.corrupt(`lock type ${type}`);
    return { end, type: type === READ ? 'read' : 'write', pid };
  },
};
