import { backoffMs } from '../../common/backoff.js';
import type { Clock } from '../../common/clock.js';
import { errorMessage, FsError, isFsError } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { isJournalError } from '../../journal/journal-error.js';
import type { Journal, RecordRef } from '../../journal/journal.js';
import type { Metadata, OpId } from '../../meta/metadata.js';
import type { InodeAttr } from '../../model/inode.js';
import type { CommitSpec } from '../../model/operation.js';
import { fsErrorOf } from '../data-error.js';
import { COMMIT_BATCHES_MAX, type InodeState } from '../inode-state.js';
import type { InodeTable } from '../inode-table.js';
import type { JournalLedger } from '../write/journal-ledger.js';
import { COMMITTED_KIND, COMMIT_STEP, encodeCommitted, encodeIntent, INTENT_KIND } from '../write/record-codec.js';
import type { Reservations } from '../write/reservations.js';
import type { Batch } from './batch.js';
import type { FailureLog } from './failure-log.js';
import { planCommit, type CommitPlan } from './lay-out.js';

export interface CommitterDeps {
  readonly table: InodeTable;
  readonly ledger: JournalLedger;
  readonly journal: Journal;
  readonly metadata: Metadata;
  readonly reservations: Reservations;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The journal is what fsync rests on (write-back): an intent is on disk before its commit is sent. */
  readonly syncIntents: boolean;
  readonly failures: FailureLog;
  readonly settled: (state: InodeState) => void;
  /** The server will never take the chunks of these batches: they are to be put under fresh ids. */
  readonly uploadAgain: (state: InodeState, batches: readonly Batch[]) => void;
  /** The session is lost: nothing can be committed any more. */
  readonly sessionLost: (error: FsError) => void;
}

const BACKOFF = { firstMs: 100, maxMs: 10_000 };
const CLOSE_MAX_MS = 5000;
/** Extents in one commit, as far as more than one batch is in it: a message stays far below a frame. */
const EXTENTS_MAX = 4096;
/** From so many tombstones of an inode on, the next one says up to where everything is over, so that it replaces them. */
const TOMBSTONES_MAX = 16;
/** The server could not be reached, or did not answer, or refused for the moment: the same operation is sent again. */
const TRANSIENT = ['ETIMEDOUT', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENOTCONN', 'ECONNABORTED', 'EAGAIN', 'EINTR'] as const;
/** Errors after which it is not known whether the server has executed the operation. */
const UNKNOWN_OUTCOME = [...TRANSIENT, 'ESHUTDOWN', 'EIO'] as const;

/**
 * Commits stored chunks, one inode's in the order in which they were packed, what has gathered in one operation. Under the inode's lock: journal the intent, send
 * (again and again while the server is away: the op id makes that safe), journal the outcome, then let the overlay and the journal's records go.
 *
 * The intent is written when the chunk is stored already and says exactly what the operation says; after a crash, chunks that no commit
 * names are left for a collection by chunk-id range, which is not built yet.
 */
export class Committer {
  readonly #deps: CommitterDeps;
  readonly #closing = new AbortController();
  /** The session is lost: what is not committed stays in the journal for the next mount. */
  #lost: FsError | undefined;
  #running = 0;
  #commits = 0;
  /** Bytes of inodes that were gone when their data was to be committed. */
  #droppedBytes = 0;

  constructor(deps: CommitterDeps) {
    this.#deps = deps;
  }

  get running(): number {
    return this.#running;
  }

  /** Why nothing can be committed any more; undefined while the session lives. */
  get lost(): FsError | undefined {
    return this.#lost;
  }

  get commits(): number {
    return this.#commits;
  }

  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  /** Commits what can be committed; never rejects. */
  kick(state: InodeState): void {
    if (state.committing || this.#lost !== undefined || !this.#ready(state) || this.#closing.signal.aborted) return;
    state.committing = true;
    this.#running++;
    void this.#run(state).finally(() => {
      state.committing = false;
      this.#running--;
      state.progress.notify();
      this.#deps.settled(state);
      this.kick(state);
    });
  }

  /** Waits for the operations under way; those that only wait for the server are given up. */
  async close(): Promise<void> {
    this.#closing.abort();
    const { clock } = this.#deps;
    const deadline = clock.monotonicMs() + CLOSE_MAX_MS;
    while (this.#running > 0 && clock.monotonicMs() < deadline) await clock.sleep(5);
  }

  #ready(state: InodeState): boolean {
    const first = state.batches[0];
    if (first !== undefined) return first.state === 'stored';
    return state.killPrivAt > 0 && state.overlay.pieceCount === 0;
  }

  async #run(state: InodeState): Promise<void> {
    const { clock, logger, table } = this.#deps;
    while (this.#ready(state) && this.#lost === undefined && !this.#closing.signal.aborted) {
      try {
        await table.lock.run(state.ino, () => this.#commit(state));
        state.commitFailures = 0;
        this.#deps.failures.settled(state);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (isFsError(error, 'ESHUTDOWN')) {
          if (this.#lost !== undefined) return;
          this.#lost = new FsError('EIO', 'the session is lost', { cause: error });
          this.#deps.sessionLost(this.#lost);
          return;
        }
        logger.error('commit failed, it will be tried again', { ino: state.ino, error: errorMessage(error) });
        this.#deps.failures.failed(state, error);
        state.fail(fsErrorOf(error, 'commit'));
        await clock.sleep(backoffMs(state.commitFailures++, BACKOFF), this.#closing.signal).catch(() => undefined);
      }
    }
  }

  /** REQUIRES: the inode's lock is held. */
  async #commit(state: InodeState): Promise<void> {
    const batches = this.#take(state);
    const { metadata, ledger } = this.#deps;
    const plan = planCommit(state, batches, metadata.fs.blockSizeBytes);
    if (plan.blocks.length === 0 && state.killPrivAt === 0) {
      this.#finish(state, batches);
      return;
    }
    const intent = this.#journalIntent(state, plan);
    const opId: OpId =
      intent === undefined ? metadata.clientOpId() : { kind: 'client', number: intent.sequence, step: COMMIT_STEP };
    // A power cut must not bring back what is committed: the next mount finds the intent, or none of the records before it.
    if (this.#deps.syncIntents) await ledger.sync();
    const sizeBefore = state.attr.size;
    const { killPrivAt } = state;
    let attr: InodeAttr;
    try {
      attr = await this.#send(state, opId, this.#spec(state, plan, batches));
    } catch (error) {
      if (intent !== undefined) this.#endIntent(state, plan, intent, error);
      if (isFsError(error, 'ENOENT')) this.#drop(state, batches);
      else if (isFsError(error, 'ESTALE')) this.#putAgain(state, batches, error);
      else if (isFsError(error, 'E2BIG') && batches.length > 1) state.commitBatchesMax = batches.length >> 1;
      else throw isFsError(error, 'E2BIG') ? new FsError('EIO', errorMessage(error), { cause: error }) : error;
      return;
    }
    this.#commits++;
    state.commitBatchesMax = COMMIT_BATCHES_MAX;
    if (state.killPrivAt === killPrivAt) state.killPrivAt = 0;
    const kept = state.learnOwn(attr, 0);
    const clipped = batches.length > 0 && batches[0]!.truncEpoch !== attr.truncEpoch;
    // The server may have cut what was written before a truncation.
    if (clipped) for (const { block } of plan.blocks) state.extents.forgetBlock(block);
    else if (kept) state.extents.commit(plan.blocks, sizeBefore, this.#deps.clock.monotonicMs());
    // what the server charged: a rename may have changed the quota since it was last heard of
    this.#deps.reservations.spend(attr.quota, plan.allocated);
    const ended = this.#journalCommitted(state, plan, batches, attr);
    this.#finish(state, batches);
    // The reserved slice is full: what the commit released makes room.
    if (!ended) await this.#journalCommittedLater(state, plan, attr);
    if (intent !== undefined) ledger.release(intent);
  }

  /** A commit that was refused needs no intent, and its next attempt writes another; after one that may be executed the record tells recovery what to ask the server. */
  #endIntent(state: InodeState, plan: CommitPlan, intent: RecordRef, error: unknown): void {
    const { ledger } = this.#deps;
    const refused = error instanceof FsError && !isFsError(error, ...UNKNOWN_OUTCOME);
    if (refused) ledger.release(intent);
    else ledger.bury(state.ino, intent, { covers: plan.covers, through: 0 });
  }

  /** The stored batches at the front that one operation can carry. */
  #take(state: InodeState): Batch[] {
    const taken: Batch[] = [];
    let pieces = 0;
    for (const batch of state.batches) {
      if (batch.state !== 'stored' || taken.length >= state.commitBatchesMax) break;
      pieces += state.overlay.batchPieces(batch).length;
      if (taken.length > 0 && (batch.truncEpoch !== taken[0]!.truncEpoch || pieces > EXTENTS_MAX)) break;
      taken.push(batch);
    }
    return taken;
  }

  #spec(state: InodeState, plan: CommitPlan, batches: readonly Batch[]): CommitSpec {
    const { attr, timesSetAt, timeEpochFloor } = state;
    const record = plan.newest?.record;
    const timeEpoch = record?.timeEpoch ?? attr.timeEpoch;
    return {
      blocks: plan.blocks,
      chunks: plan.chunks,
      sizeAtLeast: plan.end === 0 ? undefined : plan.end,
      mtime: record === undefined || record.ref.sequence <= timesSetAt ? undefined : record.mtime,
      truncEpoch: batches[0]?.truncEpoch ?? attr.truncEpoch,
      timeEpoch: timeEpoch >= timeEpochFloor ? attr.timeEpoch : timeEpoch,
      killPriv: state.killPrivAt > 0,
    };
  }

  /** Undefined when the journal cannot take it: the commit goes without, and a crash in the middle would only upload the same again. */
  #journalIntent(state: InodeState, plan: CommitPlan): RecordRef | undefined {
    const { ledger, metadata } = this.#deps;
    const { header, payload } = encodeIntent({
      session: metadata.sessionId,
      ino: state.ino,
      chunkIds: plan.chunks.map(({ chunkId }) => chunkId),
      ranges: plan.ranges,
    });
    return ledger.tryNote(INTENT_KIND, header, payload);
  }

  async #send(state: InodeState, opId: OpId, spec: CommitSpec): Promise<InodeAttr> {
    const { metadata, clock, logger } = this.#deps;
    for (let attempt = 0; ; attempt++) {
      try {
        return await metadata.commitExtents({ opId }, state.ino, spec);
      } catch (error) {
        if (!isFsError(error, ...TRANSIENT) || this.#closing.signal.aborted) throw error;
        this.#deps.failures.failed(state, error);
        logger.warn('commit got no answer, it is sent again', { ino: state.ino, attempt, error: errorMessage(error) });
        await clock.sleep(backoffMs(attempt, BACKOFF), this.#closing.signal);
      }
    }
  }

  async #journalCommittedLater(state: InodeState, plan: CommitPlan, attr: InodeAttr): Promise<void> {
    const { journal, ledger } = this.#deps;
    try {
      await journal.waitForSpace(0, this.#closing.signal);
    } catch (error) {
      if (!ledger.maySpare(error)) throw error;
    }
    this.#journalCommitted(state, plan, [], attr);
  }

  /** False when there is no room for it. Where a failed journal is spared it is not written: recovery would upload the same again. */
  #journalCommitted(state: InodeState, plan: CommitPlan, batches: readonly Batch[], attr: InodeAttr): boolean {
    const { ledger } = this.#deps;
    const through = this.#through(state, batches);
    const ranges = through >= plan.covers ? [] : plan.ranges;
    const { header, payload } = encodeCommitted({ ino: state.ino, through, change: attr.change, ranges });
    try {
      const ref = ledger.appendNote(COMMITTED_KIND, header, payload);
      ledger.bury(state.ino, ref, { covers: plan.covers, through });
      return true;
    } catch (error) {
      if (isJournalError(error, 'full')) return false;
      if (!ledger.maySpare(error)) throw error;
      return true;
    }
  }

  /** Up to which sequence number no record of the inode is needed once `batches` are gone; 0 = not worth finding out. */
  #through(state: InodeState, batches: readonly Batch[]): number {
    const { ledger } = this.#deps;
    const { overlay } = state;
    let committed = 0;
    for (const batch of batches) committed += overlay.batchPieces(batch).length;
    if (committed === overlay.pieceCount) return ledger.lastSequence;
    if (ledger.tombstoneCount(state.ino) < TOMBSTONES_MAX) return 0;
    let oldest = Infinity;
    for (const { pieces } of overlay.blocks.values()) {
      for (const piece of pieces) {
        if (piece.batch !== undefined && batches.includes(piece.batch)) continue;
        oldest = Math.min(oldest, piece.record.ref.sequence);
      }
    }
    return oldest - 1;
  }

  /** A chunk was committed before without our knowing, and is dead by now, so that its object goes: no later commit may name it. */
  #putAgain(state: InodeState, batches: readonly Batch[], error: FsError): void {
    this.#deps.logger.warn('the server refuses stored chunks, they are uploaded again', {
      ino: state.ino,
      error: errorMessage(error),
    });
    this.#deps.uploadAgain(state, batches);
  }

  /** The inode is unlinked and closed everywhere. */
  #drop(state: InodeState, batches: readonly Batch[]): void {
    this.#droppedBytes += state.overlay.bytes;
    this.#deps.logger.info('uncommitted data of a deleted file is dropped', {
      ino: state.ino,
      bytes: state.overlay.bytes,
    });
    // An inode that is open here cannot be gone: whoever holds it must know.
    if (state.opens > 0 && !state.discarded) state.fail(new FsError('EIO', 'the file is gone from the server'));
    state.discarded = true;
    state.killPrivAt = 0;
    state.overlay.truncate(0);
    this.#finish(state, batches);
  }

  #finish(state: InodeState, batches: readonly Batch[]): void {
    for (const batch of batches) {
      state.overlay.removeBatch(batch);
      batch.state = 'done';
    }
    state.batches = state.batches.slice(batches.length);
    if (state.overlay.pieceCount === 0) state.lastWrite = undefined;
    state.resize();
    state.progress.notify();
  }
}
