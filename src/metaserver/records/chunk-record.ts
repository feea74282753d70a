import type { SessionId } from '../../model/ids.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** A chunk that extents name, or named. */
export interface ChunkRecord {
  /** Payload bytes. */
  readonly size: number;
  /** Bytes of it that extents name, each extent counted. */
  readonly liveBytes: number;
  /** The session that stored it. */
  readonly session: SessionId;
  /** Nothing names it any more: it is in the delete queue and can never be named again. */
  readonly dead: boolean;
}

const VERSION = 1;

export const chunkCodec: RecordCodec<ChunkRecord> = {
  encode(chunk, writer) {
    writer
      .u8(VERSION)
      .u32(chunk.size)
      .u64(chunk.liveBytes)
      .u64(chunk.session)
      .u8(chunk.dead ? 1 : 0);
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'chunk', VERSION);
    const size = reader.u32();
    const liveBytes = reader.u64();
    const session = reader.u64() as SessionId;
    const dead = reader.u8();
    if (dead > 1) throw reader.corrupt(`state ${dead}`);
    reader.end();
    return { size, liveBytes, session, dead: dead === 1 };
  },
};
