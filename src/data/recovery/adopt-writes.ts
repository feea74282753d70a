import { isJournalError } from '../../journal/journal-error.js';
import type { Journal, RecordRef } from '../../journal/journal.js';
import type { SessionId } from '../../model/ids.js';
import type { Timespec } from '../../model/inode.js';
import type { InodeState } from '../inode-state.js';
import type { JournalLedger } from '../write/journal-ledger.js';
import { RecordEncoder, WRITE_KIND } from '../write/record-codec.js';

/** A part of an ended session's write that is not committed. */
export interface AdoptedWrite {
  readonly offset: number;
  readonly payload: Uint8Array;
  readonly mtime: Timespec;
  readonly truncEpoch: number;
  readonly timeEpoch: number;
  readonly killPriv: boolean;
}

export interface AdoptWritesDeps {
  readonly ledger: JournalLedger;
  readonly journal: Journal;
  readonly session: SessionId;
  readonly written: (start: number, end: number) => void;
}

/**
 * Appends an ended session's writes to this session's journal and lays them over the inode. They keep their times and epochs, so that the server clips them as it would
 * have; the writer epoch is today's, for it was checked that nobody else wrote since.
 */
export async function adoptWrites(
  state: InodeState,
  writes: AsyncIterable<AdoptedWrite>,
  { ledger, journal, session, written }: AdoptWritesDeps,
): Promise<void> {
  const encoder = new RecordEncoder();
  for await (const { offset, payload, mtime, truncEpoch, timeEpoch, killPriv } of writes) {
    const { change, writerEpoch } = state.attr;
    const fields = { session, ino: state.ino, offset, mtime, killPriv, change, writerEpoch, truncEpoch, timeEpoch };
    let ref: RecordRef | undefined;
    while (ref === undefined) {
      try {
        ref = ledger.appendWrite(WRITE_KIND, state.ino, encoder.write(fields), payload);
      } catch (error) {
        if (!isJournalError(error, 'full')) throw error;
        await journal.waitForSpace(payload.length);
      }
    }
    const end = offset + payload.length;
    state.overlay.insert(offset, end, { ref, mtime, truncEpoch, timeEpoch, live: payload.length });
    if (end > state.size) state.size = end;
    state.lastWrite = { time: mtime, sequence: ref.sequence };
    if (killPriv) state.killPrivAt = ref.sequence;
    written(offset, end);
  }
}
