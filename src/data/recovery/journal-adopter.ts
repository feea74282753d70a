import { backoffMs } from '../../common/backoff.js';
import type { Clock } from '../../common/clock.js';
import { isFsError } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { DirLock } from '../../journal/dir-lock.js';
import { isJournalError } from '../../journal/journal-error.js';
import type { JournalFs } from '../../journal/journal-fs.js';
import { replayJournal } from '../../journal/replay-journal.js';
import { checkRecordTrailer, RECORD_TRAILER_BYTES } from '../../journal/segment-format.js';
import type { AdoptCheck, Metadata } from '../../meta/metadata.js';
import type { Ino, SessionId } from '../../model/ids.js';
import type { InodeAttr } from '../../model/inode.js';
import { DataError, fsErrorOf } from '../data-error.js';
import type { DirtyPiece } from '../write/dirty-overlay.js';
import type { AdoptedWrite } from './adopt-writes.js';
import { changeOf, ReplayState, type ReplayedInode } from './replay-state.js';
import type { SessionDir } from './session-dir.js';

/** Who takes the records over: the data path of the new session. */
export interface Adopter {
  adopt(attr: InodeAttr, writes: AsyncIterable<AdoptedWrite>): Promise<void>;
  syncJournal(): Promise<void>;
  releaseAdopted(ino: Ino): void;
}

export interface JournalAdopterDeps {
  readonly metadata: Metadata;
  readonly adopter: Adopter;
  readonly fs: JournalFs;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bootId: string;
}

export interface JournalAdopterOptions {
  /** Capacity of the new journal: an inode with more than most of it cannot be adopted. */
  readonly capacityBytes: number;
  /** How long an old session may still be alive at the server. */
  readonly sessionEndMs: number;
}

/** What adoption did; also for the log. */
export interface AdoptionReport {
  readonly session: SessionId;
  adoptedInodes: number;
  adoptedBytes: number;
  refusedInodes: number;
  refusedBytes: number;
  /** Of deleted inodes. */
  droppedInodes: number;
  droppedBytes: number;
  corruptPlaces: number;
}

/** Taken over between two syncs. */
const GROUP_INODES = 256;
const GROUP_BYTES = 64 << 20;
const QUERY_MAX = 1000;
const BACKOFF = { firstMs: 200, maxMs: 2000 };

/**
 * Takes over what an ended session left in its journal. An inode's records are appended to the new journal and synced, then the inode is written down in the old directory, then
 * its uploads begin: a crash at any point leaves each inode either still with the old journal, uncommitted, or with the new one. The old directory goes when all is done.
 *
 * Not adopted is what another session has changed since (refused: the directory is kept and listed), and what belongs to deleted inodes (dropped and counted). After a machine
 * crash a journal that was not synced may lack its end: then only inodes that did not change at all since its last knowledge are adopted.
 */
export class JournalAdopter {
  readonly #deps: JournalAdopterDeps;
  readonly #opts: JournalAdopterOptions;

  constructor(deps: JournalAdopterDeps, opts: JournalAdopterOptions) {
    this.#deps = deps;
    this.#opts = opts;
  }

  /** Undefined when another process uses the directory. */
  async adopt(dir: SessionDir): Promise<AdoptionReport | undefined> {
    const { logger } = this.#deps;
    let lock: DirLock;
    try {
      lock = await DirLock.acquire(dir.path);
    } catch (error) {
      if (!isJournalError(error, 'locked')) throw error;
      logger.info('a journal is in use by another mount', { session: dir.session });
      return undefined;
    }
    try {
      return await this.#adopt(dir);
    } finally {
      await lock.close();
    }
  }

  async #adopt(dir: SessionDir): Promise<AdoptionReport> {
    const { metadata, logger } = this.#deps;
    const report: AdoptionReport = {
      session: dir.session,
      ...{ adoptedInodes: 0, adoptedBytes: 0, refusedInodes: 0, refusedBytes: 0 },
      ...{ droppedInodes: 0, droppedBytes: 0, corruptPlaces: 0 },
    };
    if (!(await dir.isDone())) {
      await this.#takeOver(dir, report);
      if (report.refusedInodes > 0 || report.corruptPlaces > 0) {
        const kept = await dir.refuse();
        await metadata.adoptEnd(dir.session);
        logger.error('a journal could not be adopted whole; what is left is kept', { ...report, path: kept });
        return report;
      }
      await dir.markDone();
    }
    await metadata.adoptEnd(dir.session);
    await dir.remove();
    if (report.adoptedInodes + report.droppedInodes > 0) logger.info('a journal was adopted', { ...report });
    return report;
  }

  async #takeOver(dir: SessionDir, report: AdoptionReport): Promise<void> {
    const { metadata, fs, logger } = this.#deps;
    const replayed = new ReplayState(metadata.fs.blockSizeBytes);
    const result = await replayJournal(fs, dir.path, (record) => replayed.add(record));
    for (const place of result.corrupt) logger.error('a journal record is broken', { ...place });
    for (const place of result.torn) logger.info('a journal ends in a torn record', { ...place });
    report.corruptPlaces = result.corrupt.length;
    await this.#ask(dir.session, replayed);

    const whole = await dir.isWhole(this.#deps.bootId);
    const done = await dir.adopted();
    const paths = new Map(result.segments.map(({ header, path }) => [header?.number ?? 0, path]));
    let group: Ino[] = [];
    let groupBytes = 0;
    const endGroup = async (): Promise<void> => {
      if (group.length === 0) return;
      await this.#deps.adopter.syncJournal();
      await dir.markAdopted(group);
      for (const ino of group) this.#deps.adopter.releaseAdopted(ino);
      group = [];
      groupBytes = 0;
    };
    for (const inode of replayed.inodes()) {
      if (done.has(inode.ino)) continue;
      const { bytes } = inode.overlay;
      if (bytes > this.#opts.capacityBytes / 2) {
        throw new DataError(
          'record',
          `inode ${inode.ino}: ${bytes} bytes to adopt do not fit into the journal; enlarge journal_size`,
        );
      }
      if (groupBytes + bytes > Math.min(GROUP_BYTES, this.#opts.capacityBytes / 4)) await endGroup();
      try {
        if (!(await this.#takeInode(dir.session, inode, whole, paths, report))) continue;
      } catch (error) {
        await endGroup();
        throw error;
      }
      group.push(inode.ino);
      groupBytes += bytes;
      if (group.length >= GROUP_INODES) await endGroup();
    }
    await endGroup();
  }

  /** Asks which operations were executed whose outcome the journal does not tell. */
  async #ask(session: SessionId, replayed: ReplayState): Promise<void> {
    const questions = replayed.questions();
    for (let at = 0; at < questions.length; at += QUERY_MAX) {
      const some = questions.slice(at, at + QUERY_MAX);
      const answers = await this.#whenEnded(() =>
        this.#deps.metadata.queryOps(
          session,
          some.map(({ opId }) => opId),
        ),
      );
      some.forEach(({ apply }, i) => {
        if (answers[i] === true) apply();
      });
    }
  }

  /** True when something of the inode was taken over. */
  async #takeInode(
    session: SessionId,
    inode: ReplayedInode,
    whole: boolean,
    paths: ReadonlyMap<number, string>,
    report: AdoptionReport,
  ): Promise<boolean> {
    const { ino } = inode;
    if (inode.overlay.pieceCount === 0) return this.#takeKillPriv(session, inode, whole, report);
    const verdicts = new Map<number, AdoptCheck>();
    const pieces: DirtyPiece[] = [];
    for (const piece of sortedPieces(inode)) {
      const change = changeOf(piece);
      let verdict = verdicts.get(change);
      if (verdict === undefined) {
        verdict = await this.#whenEnded(() => this.#deps.metadata.adoptCheck(session, ino, change));
        verdicts.set(change, verdict);
      }
      const bytes = piece.end - piece.start;
      if (verdict.attr === undefined) report.droppedBytes += bytes;
      else if (verdict.foreignChange || (!whole && verdict.attr.change > inode.change)) report.refusedBytes += bytes;
      else pieces.push(piece);
    }
    const attr = [...verdicts.values()][0]?.attr;
    if (verdicts.size > 0 && attr === undefined) {
      report.droppedInodes++;
      return false;
    }
    const left =
      [...verdicts.values()].some(({ foreignChange }) => foreignChange) || pieces.length < inode.overlay.pieceCount;
    if (left) {
      report.refusedInodes++;
      this.#deps.logger.error('uncommitted data of an ended session is not adopted: the file was changed since', {
        session,
        ino,
        bytes: inode.overlay.bytes,
      });
    }
    if (attr === undefined || pieces.length === 0) return false;
    try {
      await this.#deps.adopter.adopt(attr, this.#writes(inode, pieces, paths));
    } catch (error) {
      // What was taken of it is uploaded; the old journal stays, and its records of this inode will be refused.
      this.#deps.adopter.releaseAdopted(ino);
      throw error;
    }
    report.adoptedInodes++;
    report.adoptedBytes += pieces.reduce((sum, { start, end }) => sum + end - start, 0);
    return true;
  }

  /** All that is left of the inode is that a write of it removes its privileges: nothing later would carry that. */
  async #takeKillPriv(
    session: SessionId,
    inode: ReplayedInode,
    whole: boolean,
    report: AdoptionReport,
  ): Promise<boolean> {
    const { metadata, logger } = this.#deps;
    const { ino, change } = inode;
    const { attr, foreignChange } = await this.#whenEnded(() => metadata.adoptCheck(session, ino, change));
    if (attr === undefined) return false;
    if (foreignChange || (!whole && attr.change > change)) {
      logger.info('privileges that a write of an ended session removes are left: the file was changed since', {
        session,
        ino,
      });
      return false;
    }
    await metadata.setattr({ opId: metadata.clientOpId() }, ino, { killPriv: true });
    report.adoptedInodes++;
    return true;
  }

  async *#writes(
    inode: ReplayedInode,
    pieces: readonly DirtyPiece[],
    paths: ReadonlyMap<number, string>,
  ): AsyncGenerator<AdoptedWrite> {
    const { fs } = this.#deps;
    const fds = new Map<number, number>();
    try {
      for (const piece of pieces) {
        const { ref, mtime, truncEpoch, timeEpoch } = piece.record;
        let fd = fds.get(ref.segment);
        if (fd === undefined) fds.set(ref.segment, (fd = fs.open(paths.get(ref.segment) ?? '', 'r')));
        const whole = Buffer.allocUnsafe(ref.length + RECORD_TRAILER_BYTES);
        const read = fs.read(fd, whole, ref.position);
        const record = whole.subarray(0, ref.length);
        if (read !== whole.length || !checkRecordTrailer(record, whole.subarray(ref.length), ref.sequence)) {
          throw new DataError('corrupt', `journal record ${ref.sequence} does not match its checksum`);
        }
        const payload = record.subarray(piece.recordOffset, piece.recordOffset + piece.end - piece.start);
        const killPriv = inode.killPrivAt > 0;
        yield { offset: piece.start, payload, mtime, truncEpoch, timeEpoch, killPriv };
      }
    } finally {
      for (const fd of fds.values()) fs.close(fd);
    }
  }

  /** The old session may not have expired yet: the server says EBUSY until then. */
  async #whenEnded<T>(ask: () => Promise<T>): Promise<T> {
    const { clock } = this.#deps;
    const deadline = clock.monotonicMs() + this.#opts.sessionEndMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        if (!isFsError(error, 'EBUSY', 'EAGAIN', 'ETIMEDOUT') || clock.monotonicMs() > deadline) {
          throw fsErrorOf(error, 'adoption');
        }
        await clock.sleep(backoffMs(attempt, BACKOFF));
      }
    }
  }
}

/** In the order in which they were written: the youngest write's time is the last one set. */
function sortedPieces(inode: ReplayedInode): DirtyPiece[] {
  const pieces: DirtyPiece[] = [];
  for (const block of inode.overlay.blocks.values()) pieces.push(...block.pieces);
  return pieces.sort((a, b) => a.record.ref.sequence - b.record.ref.sequence || a.start - b.start);
}
