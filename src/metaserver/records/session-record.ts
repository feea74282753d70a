import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** A mount's session. It is ended once and for all: by its client, by expiry, or with its filesystem. */
export interface SessionRecord {
  readonly clientUuid: string;
  readonly host: string;
  readonly mountpoint: string;
  readonly pid: number;
  readonly version: string;
  readonly readOnly: boolean;
  readonly startedMs: number;
  /** 0 while it is live. An ended one is kept, with its replies, until its journal is adopted or a week has passed. */
  readonly endedMs: number;
  readonly incarnation: number;
  /** Bytes reserved and not spent. */
  readonly reservedBytes: number;
}

const VERSION = 1;
/** All but the texts. */
const FIXED_BYTES = 64;

export const sessionCodec: RecordCodec<SessionRecord> = {
  encode(session, writer) {
    writer.u8(VERSION).text(session.clientUuid).text(session.host).text(session.mountpoint).u32(session.pid);
    writer
      .text(session.version)
      .u8(session.readOnly ? 1 : 0)
      .u64(session.startedMs)
      .u64(session.endedMs);
    writer.u32(session.incarnation).u64(session.reservedBytes);
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'session', VERSION);
    const session = {
      clientUuid: reader.text(),
      host: reader.text(),
      mountpoint: reader.text(),
      pid: reader.u32(),
      version: reader.text(),
      readOnly: reader.u8() === 1,
      startedMs: reader.u64(),
      endedMs: reader.u64(),
      incarnation: reader.u32(),
      reservedBytes: reader.u64(),
    };
    reader.end();
    return session;
  },

  sizeOf: ({ clientUuid, host, mountpoint, version }) =>
    FIXED_BYTES + 4 * (clientUuid.length + host.length + mountpoint.length + version.length),
};
