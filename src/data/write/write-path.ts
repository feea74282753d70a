import type { Clock } from '../../common/clock.js';
import { FsError, isFsError } from '../../common/fs-error.js';
import { interruptible } from '../../common/interruptible.js';
import { KeyedMutex } from '../../common/keyed-mutex.js';
import type { MaybePromise } from '../../common/maybe-promise.js';
import { isJournalError } from '../../journal/journal-error.js';
import type { Journal } from '../../journal/journal.js';
import type { Metadata } from '../../meta/metadata.js';
import { NO_INO, type Ino } from '../../model/ids.js';
import { ALLOCATION_UNIT_BYTES, FILE_SIZE_MAX_BYTES } from '../../model/inode.js';
import { fsErrorOf } from '../data-error.js';
import type { WriteOptions } from '../file-data.js';
import type { InodeState } from '../inode-state.js';
import type { InodeTable } from '../inode-table.js';
import type { Notifier } from '../notifier.js';
import type { DirtyRecord } from './dirty-overlay.js';
import { growWhileFreeing } from './grow-while-freeing.js';
import type { JournalLedger } from './journal-ledger.js';
import { RecordEncoder, WRITE_KIND } from './record-codec.js';
import type { DirtyTotals } from './reservation.js';
import type { Reservations } from './reservations.js';

/** The part of the uploader that writing needs. */
export interface UploadTrigger {
  /** Bytes were laid over [start, end). */
  written(state: InodeState, start: number, end: number): void;
  /** Somebody waits for room: upload what there is. */
  relieve(): void;
  /** Resolves when all that is dirty now is committed, or has failed once. */
  settle(signal?: AbortSignal): Promise<void>;
}

export interface WritePathDeps {
  readonly table: InodeTable;
  readonly ledger: JournalLedger;
  readonly journal: Journal;
  readonly metadata: Metadata;
  readonly reservations: Reservations;
  readonly uploads: UploadTrigger;
  readonly totals: DirtyTotals;
  /** Told when pieces went away. */
  readonly room: Notifier;
  readonly clock: Clock;
}

export interface WritePathOptions {
  readonly dirtyExtentsMax: number;
  /** Longest payload of one record. */
  readonly recordBytesMax: number;
}

/** Why a write cannot be done at once. */
type Obstacle = 'changing' | 'reservation' | 'quota' | 'extents' | 'journal' | 'queue';

/** What a write that had to wait has got meanwhile. */
interface Standing {
  /** It is its turn. */
  readonly inTurn: boolean;
  /** Its range takes no space. */
  readonly allocated: boolean;
}

const NO_STANDING: Standing = { inTurn: false, allocated: false };

const SPACE = 'space';

/**
 * WRITE: one journal record, one entry in the inode's overlay, done; no promise is made on this way. When there is no room it waits: for the uploader to empty the
 * journal or the overlay, for the server to reserve space (or ENOSPC), for a setattr of the same inode.
 */
export class WritePath {
  readonly #deps: WritePathDeps;
  readonly #opts: WritePathOptions;
  readonly #encoder = new RecordEncoder();
  /** Those who wait for room, in turn: nobody overtakes them. */
  readonly #queue = new KeyedMutex<typeof SPACE>();
  #waiting = 0;
  #refuse: Error | undefined;

  constructor(deps: WritePathDeps, opts: WritePathOptions) {
    this.#deps = deps;
    this.#opts = opts;
  }

  /** Writes that wait for room. */
  get waiting(): number {
    return this.#waiting;
  }

  /** From now on every write fails: the session is lost, or the mount is closing. */
  refuse(error: Error): void {
    this.#refuse ??= error;
    this.#deps.room.notify();
  }

  write(ino: Ino, offset: number, data: Uint8Array, options: WriteOptions): MaybePromise<number> {
    const state = this.#deps.table.get(ino);
    if (state !== undefined && data.length <= this.#opts.recordBytesMax) {
      if (this.#try(state, offset, data, options, NO_STANDING) === undefined) return data.length;
    }
    return this.#writeSlowly(ino, offset, data, options);
  }

  /** Undefined when it is done. */
  #try(
    state: InodeState,
    offset: number,
    data: Uint8Array,
    options: WriteOptions,
    { inTurn, allocated }: Standing,
  ): Obstacle | undefined {
    if (this.#refuse !== undefined) throw this.#refuse;
    if (state.changing > 0 || state.unsure) return 'changing';
    const start = options.append ? state.size : offset;
    let end = start + data.length;
    if (options.fromPageCache && end > state.size) end = state.size;
    if (end <= start) return undefined;
    if (state.discarded) throw new FsError('ESTALE', 'the file is gone');
    if (end > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG', `write to offset ${end}`);
    if (this.#waiting > 0 && !inTurn) return 'queue';
    if (this.#deps.totals.pieces >= this.#opts.dirtyExtentsMax) return 'extents';
    const { reservations } = this.#deps;
    if (!allocated) {
      const { whole } = reservations;
      if (whole.limited && !whole.covers(state.overlay.unitsAddedBy(start, end))) return 'reservation';
      const { quota } = state.attr;
      if (quota !== NO_INO && !reservations.of(quota).covers(state.overlay.unitsAddedBy(start, end))) return 'quota';
    }
    const payload = end - start === data.length ? data : data.subarray(0, end - start);
    return this.#append(state, start, end, payload, options.killPriv);
  }

  #append(state: InodeState, start: number, end: number, payload: Uint8Array, killPriv: boolean): Obstacle | undefined {
    const { ledger, metadata, uploads } = this.#deps;
    const { attr, ino } = state;
    const mtime = metadata.now();
    const header = this.#encoder.write({
      session: metadata.sessionId,
      ino,
      offset: start,
      mtime,
      killPriv,
      change: attr.change,
      writerEpoch: attr.writerEpoch,
      truncEpoch: attr.truncEpoch,
      timeEpoch: attr.timeEpoch,
    });
    let record: DirtyRecord;
    try {
      const ref = ledger.appendWrite(WRITE_KIND, ino, header, payload);
      record = { ref, mtime, truncEpoch: attr.truncEpoch, timeEpoch: attr.timeEpoch, live: payload.length };
    } catch (error) {
      if (isJournalError(error, 'full')) return 'journal';
      throw fsErrorOf(error, 'the journal cannot be written');
    }
    state.overlay.insert(start, end, record);
    if (end > state.size) state.size = end;
    state.lastWrite = { time: mtime, sequence: record.ref.sequence };
    if (killPriv) state.killPrivAt = record.ref.sequence;
    uploads.written(state, start, end);
    return undefined;
  }

  async #writeSlowly(ino: Ino, offset: number, data: Uint8Array, options: WriteOptions): Promise<number> {
    let done = 0;
    while (done < data.length) {
      const part = data.subarray(done, done + this.#opts.recordBytesMax);
      let written: number;
      try {
        written = await this.#writePart(ino, offset + done, part, options);
      } catch (error) {
        if (done > 0 && !options.fromPageCache && isFsError(error, 'ENOSPC', 'EDQUOT', 'EINTR')) break;
        throw error;
      }
      done += written;
      if (written < part.length) break;
    }
    return done;
  }

  /** Writes all of it, or as much as the filesystem has room for. */
  async #writePart(ino: Ino, offset: number, data: Uint8Array, options: WriteOptions): Promise<number> {
    const { signal } = options;
    let release: (() => void) | undefined;
    /** The range has its space already. */
    let allocated = false;
    try {
      for (;;) {
        if (signal?.aborted === true) throw new FsError('EINTR');
        // Looked up anew after each wait: a state that was idle may have been forgotten.
        const state = this.#deps.table.get(ino) ?? (await this.#deps.table.load(ino, signal));
        if (this.#deps.table.get(ino) !== state) continue;
        const obstacle = this.#try(state, offset, data, options, { inTurn: release !== undefined, allocated });
        switch (obstacle) {
          case undefined:
            return data.length;
          case 'changing':
            if (state.changing > 0) await state.progress.wait(signal);
            else await this.#makeSure(state, signal);
            break;
          case 'queue':
            release = await this.#takeTurn(signal);
            break;
          case 'reservation':
          case 'quota': {
            release ??= await this.#takeTurn(signal);
            const quota = obstacle === 'quota' ? state.attr.quota : NO_INO;
            const got = await this.#reserve(state, options.append ? state.size : offset, data, options, quota);
            if (got === 'allocated') allocated = true;
            else data = got;
            break;
          }
          case 'extents':
          case 'journal':
            release ??= await this.#takeTurn(signal);
            await this.#waitForRoom(obstacle, data.length, signal);
            break;
        }
      }
    } finally {
      if (release !== undefined) {
        this.#waiting--;
        release();
      }
    }
  }

  async #takeTurn(signal: AbortSignal | undefined): Promise<() => void> {
    this.#waiting++;
    const turn = this.#queue.acquire(SPACE);
    try {
      return await interruptible(turn, signal);
    } catch (error) {
      this.#waiting--;
      // The turn comes all the same, and is passed on.
      void turn.then((release) => release());
      throw error;
    }
  }

  /**
   * Gets space from the server for the data, or as much of its beginning as there is room for, or ENOSPC (of a quota's: EDQUOT). What is dirty is counted high (it may overwrite) and, while it is being committed, twice: the server's answer is taken as final only when
   * everything is committed. `allocated`: nothing has to be reserved, as the range has its space (fallocate(2), or an overwrite). REQUIRES: the turn is held, so that nothing becomes dirty meanwhile.
   */
  async #reserve(
    state: InodeState,
    start: number,
    data: Uint8Array,
    { signal, fromPageCache }: WriteOptions,
    quota: Ino,
  ): Promise<Uint8Array | 'allocated'> {
    const { reservations, uploads, clock } = this.#deps;
    const reservation = quota === NO_INO ? reservations.whole : reservations.of(quota);
    const { overlay } = state;
    const units = (): number => overlay.unitsAddedBy(start, start + data.length);
    if ((await interruptible(reservation.grow(units()), signal)) === 'enough') return data;
    if (await this.#isAllocated(state, start, start + data.length, signal)) return 'allocated';
    await uploads.settle(signal);
    if (await growWhileFreeing(reservation, units, clock, signal)) return data;
    // A page that the kernel writes back is written whole or fails: it does not look at how much was.
    const room = fromPageCache ? 0 : reservation.unitsFree;
    let end = Math.floor((start + data.length) / ALLOCATION_UNIT_BYTES) * ALLOCATION_UNIT_BYTES;
    while (end > start && overlay.unitsAddedBy(start, end) > room) end -= ALLOCATION_UNIT_BYTES;
    if (end <= start) {
      if (quota === NO_INO) throw new FsError('ENOSPC', 'the filesystem is full');
      throw new FsError('EDQUOT', `the quota of directory ${quota} is used up`);
    }
    return data.subarray(0, end - start);
  }

  /** Whether committed extents cover all of [start, end); asked of the server, as it hardly ever matters. */
  async #isAllocated(state: InodeState, start: number, end: number, signal: AbortSignal | undefined): Promise<boolean> {
    const { metadata } = this.#deps;
    const { blockSizeBytes } = metadata.fs;
    const first = Math.floor(start / blockSizeBytes);
    const count = Math.ceil(end / blockSizeBytes) - first;
    const { blocks, nextBlock } = await metadata.readExtents(state.ino, first, count, signal);
    if (nextBlock < first + count) return false;
    let at = start;
    for (const { block, extents } of blocks) {
      for (const { offset, length } of extents) {
        const from = block * blockSizeBytes + offset;
        if (from <= at && from + length > at) at = from + length;
      }
    }
    return at >= end;
  }

  async #waitForRoom(obstacle: 'extents' | 'journal', bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const { uploads, journal, room, totals, ledger } = this.#deps;
    uploads.relieve();
    ledger.releaseDeferred();
    if (obstacle === 'extents') {
      if (totals.pieces >= this.#opts.dirtyExtentsMax) await room.wait(signal);
      return;
    }
    try {
      await journal.waitForSpace(bytes, signal);
    } catch (error) {
      if (signal?.aborted === true) throw new FsError('EINTR', undefined, { cause: error });
      throw fsErrorOf(error, 'the journal cannot be written');
    }
  }

  /** After a truncation whose outcome is not known: a write must bear the truncate epoch that holds now. */
  async #makeSure(state: InodeState, signal: AbortSignal | undefined): Promise<void> {
    state.learn(await this.#deps.metadata.getattr(state.ino, signal));
    state.unsure = false;
  }
}
