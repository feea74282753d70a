import type { SessionId } from '../../model/ids.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** A filesystem's totals and allocators, changed in the batch that changes what they count. */
export interface Counters {
  /** Allocated bytes of all files. */
  readonly usedBytes: number;
  readonly usedInodes: number;
  /** Sum of the sessions' reservations. */
  readonly reservedBytes: number;
  /** Objects that wait to be deleted. */
  readonly deletesQueued: number;
  /** Next inode sequence number and session id: never reused. */
  readonly nextInoSeq: number;
  readonly nextSession: SessionId;
}

const VERSION = 1;

export const countersCodec: RecordCodec<Counters> = {
  encode(counters, writer) {
    writer.u8(VERSION).u64(counters.usedBytes).u64(counters.usedInodes).u64(counters.reservedBytes);
    writer.u64(counters.deletesQueued).u64(counters.nextInoSeq).u64(counters.nextSession);
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'counters', VERSION);
    const counters = {
      usedBytes: reader.u64(),
      usedInodes: reader.u64(),
      reservedBytes: reader.u64(),
      deletesQueued: reader.u64(),
      nextInoSeq: reader.u64(),
      nextSession: reader.u64() as SessionId,
    };
    reader.end();
    return counters;
  },
};
