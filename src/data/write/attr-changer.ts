import { isFsError } from '../../common/fs-error.js';
import type { RecordRef } from '../../journal/journal.js';
import type { Metadata, OpContext, SetAttr } from '../../meta/metadata.js';
import type { Ino } from '../../model/ids.js';
import type { InodeAttr } from '../../model/inode.js';
import type { InodeState } from '../inode-state.js';
import type { InodeTable } from '../inode-table.js';
import type { JournalLedger } from './journal-ledger.js';
import { encodeSetattr, encodeSetattrDone, SETATTR_DONE_KIND, SETATTR_KIND } from './record-codec.js';

export interface AttrChangerDeps {
  readonly table: InodeTable;
  readonly ledger: JournalLedger;
  readonly metadata: Metadata;
  /** The inode may be forgotten, its overlay shrank. */
  readonly settled: (state: InodeState) => void;
}

const NOTHING = new Uint8Array(0);

/**
 * setattr in order with the inode's writes and commits. New writes wait for it, the lock keeps commits away; it is journaled before it is sent, so that recovery does not bring
 * back what a truncation cut off. Then:
 * - a truncation clips the overlay, and with it the uploads in flight: they commit what is left;
 * - after explicit times, a commit of older writes leaves mtime alone;
 * - privileges that earlier writes remove are removed before a new mode is set, which may grant them anew.
 */
export class AttrChanger {
  readonly #deps: AttrChangerDeps;

  constructor(deps: AttrChangerDeps) {
    this.#deps = deps;
  }

  async setattr(ctx: OpContext, ino: Ino, change: SetAttr): Promise<InodeAttr> {
    const { table, metadata } = this.#deps;
    const state = table.get(ino);
    if (state === undefined) return metadata.setattr(ctx, ino, change);
    state.changing++;
    try {
      return await table.locked(ino, ctx.signal, async () => {
        if (state.killPrivAt > 0 && change.mode !== undefined) await this.#killFirst(state);
        return await this.#change(state, ctx, change);
      });
    } finally {
      state.changing--;
      state.progress.notify();
      this.#deps.settled(state);
    }
  }

  async #killFirst(state: InodeState): Promise<void> {
    const { metadata } = this.#deps;
    state.learnOwn(await metadata.setattr({ opId: metadata.clientOpId() }, state.ino, { killPriv: true }), 0);
    state.killPrivAt = 0;
  }

  async #change(state: InodeState, ctx: OpContext, change: SetAttr): Promise<InodeAttr> {
    const { metadata, ledger } = this.#deps;
    const { size } = change;
    const before = ledger.lastSequence;
    const { timeEpochFloor } = state;
    const { timeEpoch } = state.attr;
    const begin = this.#journalBegin(state, ctx, change);
    let attr: InodeAttr;
    try {
      // A truncation is not interrupted: it would not be known whether later writes come before or after it.
      attr = await metadata.setattr(size === undefined ? ctx : { opId: ctx.opId }, state.ino, change);
    } catch (error) {
      const refused = isFsError(error) && !isFsError(error, 'ETIMEDOUT', 'ESHUTDOWN', 'EINTR', 'EIO');
      if (!refused && size !== undefined) state.unsure = true;
      if (begin !== undefined) this.#journalEnd(state, begin, change, refused ? undefined : 'unknown');
      throw error;
    }
    if (size !== undefined) state.overlay.truncate(size);
    if (state.learnOwn(attr, size === undefined ? 0 : 1) && size !== undefined) state.extents.truncate(size);
    if (change.mtime !== undefined || size !== undefined) state.timesSetAt = before;
    // Only the atime was set: the mtime of earlier writes still holds.
    else if (attr.timeEpoch === timeEpoch + 1) state.timeEpochFloor = timeEpochFloor;
    if (change.mode !== undefined) state.killPrivAt = 0;
    if (begin !== undefined) this.#journalEnd(state, begin, change, attr);
    return attr;
  }

  /** Undefined when replay could not meet anything that this undoes. */
  #journalBegin(state: InodeState, ctx: OpContext, change: SetAttr): RecordRef | undefined {
    const { ledger, metadata } = this.#deps;
    const setsMode = change.mode !== undefined;
    if ((change.size === undefined && !setsMode) || !ledger.hasWrites(state.ino)) return undefined;
    const header = encodeSetattr({
      session: metadata.sessionId,
      ino: state.ino,
      opId: ctx.opId,
      size: change.size,
      setsMode,
    });
    // Without room it goes unjournaled: the server clips by truncate epoch all the same.
    return ledger.tryNote(SETATTR_KIND, header, NOTHING);
  }

  #journalEnd(state: InodeState, begin: RecordRef, change: SetAttr, outcome: InodeAttr | 'unknown' | undefined): void {
    const { ledger } = this.#deps;
    const covers = begin.sequence;
    if (outcome === 'unknown') {
      // The record itself tells recovery what to ask the server.
      ledger.bury(state.ino, begin, { covers, through: 0 });
      return;
    }
    const done = ledger.tryNote(
      SETATTR_DONE_KIND,
      encodeSetattrDone({
        ino: state.ino,
        begin: begin.sequence,
        applied: outcome !== undefined,
        change: outcome?.change ?? 0,
        size: change.size,
        setsMode: change.mode !== undefined,
      }),
      NOTHING,
    );
    if (done === undefined) {
      ledger.bury(state.ino, begin, { covers, through: 0 });
      return;
    }
    ledger.release(begin);
    // Not applied: it ends nothing, but the record that announced it may be replayed as long as its segment is there; both go together.
    ledger.bury(state.ino, done, { covers, through: 0 });
  }
}
