import type { Ino } from '../../model/ids.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/**
 * - `active`: everything below the directory is charged to it.
 * - `counting`: what was there when the quota was made is being found and charged.
 * - `dissolving`: the quota is deleted; what is charged to it is being handed to the one above.
 * - `gone`: nothing is charged to it by the tree any more; the row stays for unlinked files that are still open.
 */
export type QuotaState = 'active' | 'counting' | 'dissolving' | 'gone';

/** Limits of the tree below a directory, and what is charged to it: exact, for it is changed in the transaction that changes what it counts. */
export interface QuotaRecord {
  /** 0 = no limit. */
  readonly bytesMax: number;
  readonly inodesMax: number;
  /** Of everything below the directory, nested quotas included; the directory itself is charged to {@link outer}. */
  readonly usedBytes: number;
  readonly usedInodes: number;
  /** What sessions have reserved of it and of those nested in it. */
  readonly reservedBytes: number;
  /** The quota around it, that everything here is charged to as well; 0 = none. */
  readonly outer: Ino;
  readonly state: QuotaState;
}

const VERSION = 1;
const STATES: readonly QuotaState[] = ['active', 'counting', 'dissolving', 'gone'];

export const quotaCodec: RecordCodec<QuotaRecord> = {
  encode(quota, writer) {
    writer.u8(VERSION).u8(STATES.indexOf(quota.state)).u64(quota.bytesMax).u64(quota.inodesMax);
    writer.u64(quota.usedBytes).u64(quota.usedInodes).u64(quota.reservedBytes).u64(quota.outer);
  },
  decode(bytes) {
    const reader = new RecordReader(bytes, 'quota', VERSION);
    const state = STATES[reader.u8()];
    if (state === undefined) throw reader.corrupt('unknown state');
    const quota = {
      bytesMax: reader.u64(),
      inodesMax: reader.u64(),
      usedBytes: reader.u64(),
      usedInodes: reader.u64(),
      reservedBytes: reader.u64(),
      outer: reader.u64() as Ino,
      state,
    };
    reader.end();
    return quota;
  },
};

/** Bytes that a session has reserved of a quota. */
export const quotaHoldCodec: RecordCodec<number> = {
  encode(bytes, writer) {
    writer.u8(VERSION).u64(bytes);
  },
  decode(bytes) {
    const reader = new RecordReader(bytes, 'quota hold', VERSION);
    const held = reader.u64();
    reader.end();
    return held;
  },
};
