import type { JournalRecord } from '../../journal/journal.js';
import type { Ino } from '../../model/ids.js';
import type { OpId } from '../../model/operation.js';
import { DataError } from '../data-error.js';
import { DirtyOverlay, type DirtyPiece, type DirtyRecord, type OverlaySink } from '../write/dirty-overlay.js';
import {
  COMMITTED_KIND,
  COMMIT_STEP,
  decodeCommitted,
  decodeIntent,
  decodeSetattr,
  decodeSetattrDone,
  decodeWrite,
  INTENT_KIND,
  SETATTR_DONE_KIND,
  SETATTR_KIND,
  WRITE_KIND,
  type IntentRecord,
  type SetattrRecord,
} from '../write/record-codec.js';

/** A write as replay found it. */
export interface ReplayedRecord extends DirtyRecord {
  /** The inode's change number that it was written on. */
  readonly change: number;
}

/** What an ended session left of one inode. */
export interface ReplayedInode {
  readonly ino: Ino;
  readonly overlay: DirtyOverlay;
  /** The greatest change number that the journal knows of. */
  change: number;
  /** Sequence number of the last write that removes privileges; 0 = none, or it is done. */
  killPrivAt: number;
}

/** An operation of which the journal does not say whether it was executed. */
export interface OpenQuestion {
  readonly opId: OpId;
  readonly apply: () => void;
}

const NO_SINK: OverlaySink = { dead: () => undefined, changed: () => undefined };

/**
 * Builds from an ended session's journal what of its writes is not committed: fed with the records in sequence order, then with the server's answers to
 * {@link questions}. That a commit or a truncation ends earlier records is said by sequence numbers, so it may be applied at any time after them.
 */
export class ReplayState {
  readonly #blockSize: number;
  readonly #inodes = new Map<Ino, ReplayedInode>();
  readonly #intents: { readonly sequence: number; readonly intent: IntentRecord }[] = [];
  /** By the sequence number of the SETATTR record. */
  readonly #setattrs = new Map<number, SetattrRecord>();
  #writes = 0;

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  /** Write records met, needed or not. */
  get writes(): number {
    return this.#writes;
  }

  /** The inodes of which something is left. */
  *inodes(): Iterable<ReplayedInode> {
    for (const inode of this.#inodes.values()) if (inode.overlay.pieceCount > 0 || inode.killPrivAt > 0) yield inode;
  }

  add(record: JournalRecord): void {
    switch (record.kind) {
      case WRITE_KIND:
        this.#write(record);
        return;
      case SETATTR_KIND:
        this.#setattrs.set(record.ref.sequence, decodeSetattr(record.header));
        return;
      case SETATTR_DONE_KIND: {
        const done = decodeSetattrDone(record.header);
        const inode = this.#inode(done.ino);
        inode.change = Math.max(inode.change, done.change);
        this.#setattrs.delete(done.begin);
        if (done.applied) this.#setattr(inode, done, done.begin);
        return;
      }
      case INTENT_KIND:
        this.#intents.push({ sequence: record.ref.sequence, intent: decodeIntent(record.header, record.payload) });
        return;
      case COMMITTED_KIND: {
        const committed = decodeCommitted(record.header, record.payload);
        const inode = this.#inode(committed.ino);
        inode.change = Math.max(inode.change, committed.change);
        if (committed.through > 0) inode.overlay.removeRange(0, Infinity, committed.through);
        for (const { offset, length, sequence } of committed.ranges) {
          inode.overlay.removeRange(offset, offset + length, sequence);
        }
        // Every commit carries what is to be removed.
        inode.killPrivAt = 0;
        return;
      }
      default:
        throw new DataError('record', `journal record ${record.ref.sequence} is of kind ${record.kind}`);
    }
  }

  /** What the server has to be asked; an operation that it has forgotten is known here to be done. */
  questions(): OpenQuestion[] {
    const commits = this.#intents.map(({ sequence, intent }) => ({
      opId: { kind: 'client' as const, number: sequence, step: COMMIT_STEP },
      apply: (): void => {
        const inode = this.#inode(intent.ino);
        for (const range of intent.ranges) {
          inode.overlay.removeRange(range.offset, range.offset + range.length, range.sequence);
        }
        if (inode.killPrivAt < sequence) inode.killPrivAt = 0;
      },
    }));
    const setattrs = [...this.#setattrs].map(([sequence, setattr]) => ({
      opId: setattr.opId,
      apply: (): void => {
        const inode = this.#inode(setattr.ino);
        this.#setattr(inode, setattr, sequence);
      },
    }));
    return [...commits, ...setattrs];
  }

  #write(record: JournalRecord): void {
    const write = decodeWrite(record.header);
    const inode = this.#inode(write.ino);
    this.#writes++;
    inode.change = Math.max(inode.change, write.change);
    if (write.killPriv) inode.killPrivAt = record.ref.sequence;
    const { mtime, truncEpoch, timeEpoch, change, offset } = write;
    const { ref } = record;
    const replayed: ReplayedRecord = { ref, mtime, truncEpoch, timeEpoch, change, live: ref.length };
    inode.overlay.insert(offset, offset + ref.length, replayed);
  }

  #setattr(
    inode: ReplayedInode,
    { size, setsMode }: { size: number | undefined; setsMode: boolean },
    at: number,
  ): void {
    if (size !== undefined) inode.overlay.removeRange(size, Infinity, at);
    if (setsMode && inode.killPrivAt < at) inode.killPrivAt = 0;
  }

  #inode(ino: Ino): ReplayedInode {
    let inode = this.#inodes.get(ino);
    if (inode === undefined) {
      inode = { ino, overlay: new DirtyOverlay(this.#blockSize, NO_SINK), change: 0, killPrivAt: 0 };
      this.#inodes.set(ino, inode);
    }
    return inode;
  }
}

/** The change number that a piece's record was written on. */
export function changeOf(piece: DirtyPiece): number {
  return (piece.record as ReplayedRecord).change;
}
