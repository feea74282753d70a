import type { Clock } from '../../common/clock.js';
import { errorMessage, FsError } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { SessionEnd_Reason, type Attach, type OpenSessionRequest } from '../../gen/curvefs/v1/metaserver.js';
import type { MountInfo } from '../../model/filesystem.js';
import type { SessionId } from '../../model/ids.js';
import { safeNumber } from '../../wire/safe-number.js';
import type { Executor } from '../executor.js';
import { firstOfKey, secondOfKey } from '../keys.js';
import type { Locks } from '../locks/locks.js';
import { OpTransaction } from '../operations/op-transaction.js';
import { dropHolds } from '../operations/quotas.js';
import type { SessionRecord } from '../records/session-record.js';
import type { SlotServices } from '../slot-services.js';
import type { Transaction } from '../store/transaction.js';
import { forgetSession } from './adoption.js';
import type { OpenKeeper } from './open-keeper.js';
import type { SessionConnection } from './session-connection.js';
import { Session } from './session.js';

export interface SessionsDeps {
  readonly slot: SlotServices;
  readonly executor: Executor;
  readonly keeper: OpenKeeper;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly logger: Logger;
}

const ENDED_SESSION_KEPT_MS = 7 * 24 * 3600 * 1000;

/**
 * The sessions of a slot. One is live from {@link open} until it is closed, expires, or its filesystem goes; this alone decides that. An ended one is fenced, its reservation returned,
 * its locks and opens dropped, and its replies kept until its journal is adopted.
 */
export class Sessions {
  readonly #deps: SessionsDeps;
  readonly ttlMs: number;
  readonly #live = new Map<SessionId, Session>();
  /** Sessions that ended in the batch being built: their last replies belong to it. */
  #ending: Session[] = [];
  #checkedMs: number;

  constructor(deps: SessionsDeps, opts: { readonly ttlMs: number }) {
    this.#deps = deps;
    this.ttlMs = opts.ttlMs;
    this.#checkedMs = deps.clock.monotonicMs();
  }

  get size(): number {
    return this.#live.size;
  }

  get(id: SessionId): Session | undefined {
    return this.#live.get(id);
  }

  ids(): SessionId[] {
    return [...this.#live.keys()];
  }

  mounts(): MountInfo[] {
    const now = this.#deps.clock.monotonicMs();
    return [...this.#live.values()].map(({ id, record, heardMs }) => ({
      sessionId: id,
      fsId: this.#deps.slot.info.id,
      host: record.host,
      mountpoint: record.mountpoint,
      pid: record.pid,
      version: record.version,
      readOnly: record.readOnly,
      startedMs: record.startedMs,
      silentMs: Math.max(0, Math.round(now - heardMs)),
    }));
  }

  /** A new session, or the live one that the same client opened before. */
  open(request: OpenSessionRequest): Promise<SessionId> {
    const { slot, clock } = this.#deps;
    return slot.execute(async (op) => {
      for (const session of this.#live.values()) {
        if (session.record.clientUuid === request.clientUuid) return session.id;
      }
      const counters = await op.counters();
      const id = counters.nextSession;
      const record: SessionRecord = {
        clientUuid: request.clientUuid,
        host: request.host,
        mountpoint: request.mountpoint,
        pid: request.pid,
        version: request.version,
        readOnly: request.readOnly,
        startedMs: this.#nowMs(),
        endedMs: 0,
        incarnation: 0,
        reservedBytes: 0,
      };
      op.putCounters({ ...counters, nextSession: (id + 1) as SessionId });
      op.tx.put(slot.tables.sessions, slot.keys.session(id), record);
      op.tx.onApply(() => this.#live.set(id, new Session(id, record, clock.monotonicMs())));
      return id;
    });
  }

  /** Ends a session for good; nothing when it is over already. */
  async end(id: SessionId, reason: SessionEnd_Reason, message: string): Promise<void> {
    const { slot, keeper, locks } = this.#deps;
    await slot.execute(async (op) => {
      const key = slot.keys.session(id);
      const record = await op.tx.get(slot.tables.sessions, key);
      if (record === undefined || record.endedMs !== 0) return;
      op.tx.put(slot.tables.sessions, key, { ...record, endedMs: Math.max(1, this.#nowMs()), reservedBytes: 0 });
      await op.addCounters({ reservedBytes: -record.reservedBytes });
      await dropHolds(op, id);
      op.tx.onApply(() => {
        const session = this.#live.get(id);
        this.#live.delete(id);
        keeper.settled(id);
        locks.ended(id);
        if (session === undefined) return;
        session.ended = true;
        this.#ending.push(session);
        session.connection?.end(reason, message);
      });
    });
    void keeper.drop(id);
    void locks.drop(id);
  }

  /**
   * A stream attaches: in turn, so that everything older streams sent before is executed before and nothing of theirs after.
   * The session whose operations the stream may send from now on; undefined when there is none (the stream is ended).
   */
  attach(connection: SessionConnection, attach: Attach): Session | undefined {
    const id = safeNumber(attach.sessionId, 'attach.sessionId') as SessionId;
    const session = this.#live.get(id);
    if (session === undefined) {
      connection.end(SessionEnd_Reason.REASON_UNKNOWN_SESSION, `session ${id} is over or never was`);
      return undefined;
    }
    this.heard(session);
    this.#deps.executor.submit<void>({
      run: (tx) => this.#attach(tx, session, connection, attach),
      done: (error) => {
        if (error === undefined) connection.attached(this.ttlMs);
        else if (session.ended) connection.end(SessionEnd_Reason.REASON_EXPIRED, 'the session is over');
        else if (attach.incarnation < session.incarnation) {
          connection.end(SessionEnd_Reason.REASON_OLD_INCARNATION, 'a newer worker has attached');
        } else connection.end(SessionEnd_Reason.REASON_SERVER_STOPPING, errorMessage(error));
      },
    });
    return session;
  }

  /** Any frame is a sign of life. */
  heard(session: Session): void {
    session.heardMs = this.#deps.clock.monotonicMs();
  }

  /** Ends the sessions that were silent for too long. Called about four times per TTL. */
  expire(): void {
    const { clock, logger } = this.#deps;
    const now = clock.monotonicMs();
    // the machine slept or we were stopped: what was sent meanwhile is still to be read
    const deaf = now - this.#checkedMs > this.ttlMs / 2;
    this.#checkedMs = now;
    for (const session of this.#live.values()) {
      if (deaf) session.heardMs = Math.max(session.heardMs, now - this.ttlMs / 2);
      if (now - session.heardMs <= this.ttlMs) continue;
      logger.warn('a session has expired', { session: session.id, host: session.record.host });
      this.end(session.id, SessionEnd_Reason.REASON_EXPIRED, `no frame for ${this.ttlMs} ms`).catch((error: unknown) =>
        logger.warn('a session could not be ended', { session: session.id, error: errorMessage(error) }),
      );
    }
  }

  /** Forgets what sessions left that ended a week ago. */
  async forgetOld(): Promise<void> {
    const { slot } = this.#deps;
    const before = this.#nowMs() - ENDED_SESSION_KEPT_MS;
    const old: SessionId[] = [];
    await slot.scan(slot.tables.sessions, slot.keys.sessions(), (key, { endedMs }) => {
      if (endedMs !== 0 && endedMs < before) old.push(firstOfKey(key) as SessionId);
    });
    for (const id of old) await slot.execute((op) => forgetSession(op, id));
  }

  /** Adds the replies that have gathered to the batch that is about to be committed. */
  storeReplies(tx: Transaction): void {
    for (const session of this.#live.values()) this.#storeRepliesOf(session, tx);
    if (this.#ending.length === 0) return;
    for (const session of this.#ending) this.#storeRepliesOf(session, tx);
    this.#ending = [];
  }

  /** The batch being built is void. */
  discardReplies(): void {
    for (const { replies } of this.#live.values()) replies.discardGathered();
    this.#ending = [];
  }

  /** Reads the live sessions, at start and after a batch failed. REQUIRES: nothing is in the overlay. */
  async load(): Promise<void> {
    const { slot } = this.#deps;
    const stored = new Map<SessionId, SessionRecord>();
    await slot.scan(slot.tables.sessions, slot.keys.sessions(), (key, record) => {
      if (record.endedMs === 0) stored.set(firstOfKey(key) as SessionId, record);
    });
    for (const [id, session] of this.#live) {
      if (stored.has(id)) continue;
      // it was opened in the batch that failed
      this.#live.delete(id);
      session.ended = true;
      session.connection?.end(SessionEnd_Reason.REASON_UNKNOWN_SESSION, 'the session was not stored');
    }
    for (const [id, record] of stored) if (!this.#live.has(id)) await this.#restore(id, record);
  }

  /** Ends every stream; the sessions live on. */
  close(): void {
    for (const { connection } of this.#live.values()) {
      connection?.end(SessionEnd_Reason.REASON_SERVER_STOPPING, 'the metaserver stops');
    }
  }

  async #attach(tx: Transaction, session: Session, connection: SessionConnection, attach: Attach): Promise<void> {
    const { slot, keeper } = this.#deps;
    if (session.ended) throw new FsError('ESHUTDOWN', 'the session is over');
    if (attach.incarnation < session.incarnation) throw new FsError('ESTALE', 'a newer worker has attached');
    await keeper.take(new OpTransaction(slot, tx, session.id), attach);
    if (attach.incarnation > session.incarnation) {
      const key = slot.keys.session(session.id);
      const record = (await tx.get(slot.tables.sessions, key)) ?? session.record;
      tx.put(slot.tables.sessions, key, { ...record, incarnation: attach.incarnation });
    }
    tx.onApply(() => {
      const before = session.connection;
      session.incarnation = attach.incarnation;
      session.connection = connection;
      if (before !== undefined && before !== connection) {
        before.end(SessionEnd_Reason.REASON_OLD_INCARNATION, 'another stream of the session has attached');
      }
      keeper.settled(session.id);
    });
  }

  #storeRepliesOf({ id, replies }: Session, tx: Transaction): void {
    const { tables, keys } = this.#deps.slot;
    const group = replies.takeGroup();
    if (group !== undefined) tx.put(tables.replies, keys.replies(id, group.number), group.replies);
  }

  async #restore(id: SessionId, record: SessionRecord): Promise<void> {
    const { slot, clock } = this.#deps;
    const session = new Session(id, record, clock.monotonicMs());
    await slot.scan(slot.tables.replies, slot.keys.repliesOf(id), (key, replies) =>
      session.replies.restore(secondOfKey(key), replies),
    );
    this.#live.set(id, session);
  }

  #nowMs(): number {
    return Number(this.#deps.slot.nowNs() / 1_000_000n);
  }
}
