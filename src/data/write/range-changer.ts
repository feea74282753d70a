import type { Clock } from '../../common/clock.js';
import { FsError, isFsError } from '../../common/fs-error.js';
import { isJournalError } from '../../journal/journal-error.js';
import type { Journal } from '../../journal/journal.js';
import type { FallocateMode, Metadata, OpContext, OpId, RangeResult } from '../../meta/metadata.js';
import { NO_INO, type Ino } from '../../model/ids.js';
import { ALLOCATION_UNIT_BYTES } from '../../model/inode.js';
import type { InodeState } from '../inode-state.js';
import type { InodeTable } from '../inode-table.js';
import { growWhileFreeing } from './grow-while-freeing.js';
import type { JournalLedger } from './journal-ledger.js';
import { COMMITTED_KIND, encodeCommitted, type SequencedRange } from './record-codec.js';
import type { Reservations } from './reservations.js';

/** What fallocate(2) is to do. */
export interface AllocateRequest {
  readonly mode: FallocateMode;
  readonly offset: number;
  readonly length: number;
  readonly keepSize: boolean;
}

/** What copy_file_range(2) is to do. */
export interface CopyRequest {
  readonly source: Ino;
  readonly sourceOffset: number;
  readonly offset: number;
  readonly length: number;
}

export interface RangeChangerDeps {
  readonly table: InodeTable;
  readonly ledger: JournalLedger;
  readonly journal: Journal;
  readonly metadata: Metadata;
  readonly reservations: Reservations;
  readonly uploads: {
    flush(state: InodeState, signal?: AbortSignal): Promise<void>;
    settle(signal?: AbortSignal): Promise<void>;
  };
  /** The journal is what fsync rests on (write-back): what ends records is on disk before the caller hears of it. */
  readonly syncNotes: boolean;
  /** The inode may be forgotten, its overlay shrank. */
  readonly settled: (state: InodeState) => void;
  readonly clock: Clock;
}

/** What the parts of a request have in common. */
interface Change {
  readonly ctx: OpContext;
  /** What was written to the range before is over. */
  readonly cuts: boolean;
  /** The caller can be told how far it came. */
  readonly partial: boolean;
  readonly send: (opId: OpId, done: number, sizeAtLeast: number, killPriv: boolean) => Promise<RangeResult>;
  readonly offset: number;
  readonly length: number;
}

/**
 * fallocate and copy_file_range: changes of extents that the server makes, in order with the inode's writes and commits. New writes wait for them, the lock keeps commits away; then the overlay
 * is cut, and with it the uploads in flight, and the journal is told that what was written to the range before is over. A crash before that leaves the range as it was or as it was to
 * become, byte by byte: the call had not returned.
 */
export class RangeChanger {
  readonly #deps: RangeChangerDeps;

  constructor(deps: RangeChangerDeps) {
    this.#deps = deps;
  }

  async fallocate(ctx: OpContext, ino: Ino, request: AllocateRequest): Promise<void> {
    const { metadata, table } = this.#deps;
    const { mode, offset, length, keepSize } = request;
    const state = await table.load(ino, ctx.signal);
    const send: Change['send'] = (opId, done, sizeAtLeast, killPriv) =>
      metadata.fallocate({ opId }, ino, {
        ...{ mode, keepSize, sizeAtLeast, killPriv },
        offset: offset + done,
        length: length - done,
      });
    await this.#run(state, { ctx, cuts: mode !== 'allocate', partial: false, send, offset, length });
  }

  /** Returns how many bytes were copied: fewer than asked for where the source or the room ends, or at a signal. */
  async copyRange(ctx: OpContext, ino: Ino, request: CopyRequest): Promise<number> {
    const { metadata, table, uploads } = this.#deps;
    const { source, sourceOffset, offset } = request;
    const from = await table.load(source, ctx.signal);
    // Once and for all: the source may grow by the copy itself.
    const length = Math.min(request.length, from.size - sourceOffset);
    if (length <= 0) return 0;
    // Extents are shared, so that the source has to have them.
    if (from.dirty) await uploads.flush(from, ctx.signal);
    this.#deps.settled(from);
    const state = await table.load(ino, ctx.signal);
    const send: Change['send'] = (opId, done, sizeAtLeast, killPriv) =>
      metadata.cloneRange({ opId }, ino, {
        ...{ source, sizeAtLeast, killPriv },
        sourceOffset: sourceOffset + done,
        offset: offset + done,
        length: length - done,
      });
    return this.#run(state, { ctx, cuts: true, partial: true, send, offset, length });
  }

  /** The parts one after the other; returns how far it came. */
  async #run(state: InodeState, change: Change): Promise<number> {
    const { signal, opId } = change.ctx;
    let done = 0;
    let hasMadeRoom = false;
    state.changing++;
    try {
      for (let step = opId.step; done < change.length; step++) {
        if (signal?.aborted === true) throw new FsError('EINTR');
        try {
          const part = await this.#part(state, change, { ...opId, step }, done);
          if (part === 0) break;
          done += part;
        } catch (error) {
          if (hasMadeRoom || !isFsError(error, 'ENOSPC', 'EDQUOT')) throw error;
          hasMadeRoom = true;
          const quota = isFsError(error, 'EDQUOT') ? state.attr.quota : NO_INO;
          await this.#makeRoom(quota, change.length - done, signal);
        }
      }
    } catch (error) {
      if (done === 0 || !change.partial || !isFsError(error, 'ENOSPC', 'EDQUOT', 'EINTR')) throw error;
    } finally {
      state.changing--;
      state.progress.notify();
      this.#deps.settled(state);
    }
    return done;
  }

  async #part(state: InodeState, change: Change, opId: OpId, done: number): Promise<number> {
    const { table, ledger } = this.#deps;
    const { cuts, length } = change;
    const offset = change.offset + done;
    let unnoted: SequencedRange | undefined;
    const part = await table.locked(state.ino, change.ctx.signal, async () => {
      const before = ledger.lastSequence;
      const sizeAtLeast = state.size > state.attr.size ? state.size : 0;
      const killPriv = state.killPrivAt > 0;
      let result: RangeResult;
      try {
        // It is not interrupted: it would not be known whether it is done.
        result = await change.send(opId, done, sizeAtLeast, killPriv);
      } finally {
        state.extents.forget(offset, change.offset + length);
      }
      state.learnOwn(result.attr, 0);
      if (result.done === 0) return 0;
      state.killPrivAt = 0;
      state.timesSetAt = before;
      if (cuts) {
        const range = { offset, length: result.done, sequence: before };
        if (!this.#note(state, range)) unnoted = range;
        state.overlay.removeRange(offset, offset + result.done, Infinity);
        state.resize();
      }
      return result.done;
    });
    if (unnoted !== undefined) await this.#noteLater(state, unnoted);
    if (cuts && this.#deps.syncNotes) await ledger.sync();
    return part;
  }

  /** Tells recovery that the range's records are over; false when the journal has no room for it. */
  #note(state: InodeState, range: SequencedRange): boolean {
    const { ledger } = this.#deps;
    const { ino, attr } = state;
    if (!ledger.hasWrites(ino)) return true;
    const { header, payload } = encodeCommitted({ ino, through: 0, change: attr.change, ranges: [range] });
    try {
      const ref = ledger.appendNote(COMMITTED_KIND, header, payload);
      ledger.bury(ino, ref, { covers: range.sequence, through: 0 });
      return true;
    } catch (error) {
      if (isJournalError(error, 'full')) return false;
      if (!ledger.maySpare(error)) throw error;
      return true;
    }
  }

  /**
   * Without the lock, so that commits make room. Writes of the inode still wait. No signal ends it: the server has changed the range, and until recovery knows, a crash would lay what was
   * written before over it. It ends when a commit makes room or the journal fails or is closed.
   */
  async #noteLater(state: InodeState, range: SequencedRange): Promise<void> {
    const { journal, ledger } = this.#deps;
    do {
      ledger.releaseDeferred();
      try {
        await journal.waitForSpace(0);
      } catch (error) {
        if (!ledger.maySpare(error)) throw error;
        return;
      }
    } while (!this.#note(state, range));
  }

  /** Space that this mount holds for writes to come is no reason to refuse, nor is what the server is freeing: it is asked for as for a write, and given back for the server to take. */
  async #makeRoom(quota: Ino, bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const { uploads, reservations, clock } = this.#deps;
    await uploads.settle(signal);
    await reservations.giveBack();
    const reservation = quota === NO_INO ? reservations.whole : reservations.of(quota);
    const units = Math.ceil(bytes / ALLOCATION_UNIT_BYTES);
    await growWhileFreeing(reservation, () => units, clock, signal);
    await reservations.giveBack();
  }
}
