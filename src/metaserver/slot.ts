import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import { errorMessage, FsError } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import {
  SessionEnd_Reason,
  type Attach,
  type OpenSessionRequest,
  type Release,
  type Request,
} from '../gen/curvefs/v1/metaserver.js';
import type { OpId } from '../gen/curvefs/v1/common.js';
import type { KvEngine } from '../kv/kv-engine.js';
import type { FsInfo, FsUsage, MountInfo } from '../model/filesystem.js';
import type { Fh, Ino, SessionId } from '../model/ids.js';
import { inoFromProto } from '../wire/attr.js';
import { ReplyWriter } from '../wire/reply-writer.js';
import { safeNumber } from '../wire/safe-number.js';
import { Executor } from './executor.js';
import { firstOfKey, Keys, secondOfKey, type KeyRange } from './keys.js';
import { NameHash } from './name-hash.js';
import { OpenFiles } from './open-files.js';
import { freeOrphan, registerOpen, releaseOpen } from './operations/open.js';
import { isMutation, needsWriting, runOperation, type Operation } from './operations/operation-table.js';
import { OpTransaction, type OpScope } from './operations/op-transaction.js';
import { encodeError, encodeReply, type OpReply } from './operations/reply.js';
import { usageOf } from './operations/space.js';
import type { FilesystemRecord } from './records/filesystem-record.js';
import type { SessionRecord } from './records/session-record.js';
import { adoptCheck, adoptEnd, forgetSession, queryOps } from './sessions/adoption.js';
import { opKeyOf } from './sessions/op-key.js';
import { OUTSTANDING_MAX, type OutstandingOp, type Responder } from './sessions/reply-cache.js';
import type { SessionConnection } from './sessions/session-connection.js';
import { Session } from './sessions/session.js';
import { SlotTables, type CacheOptions } from './slot-tables.js';
import type { Table } from './store/table.js';
import type { Transaction } from './store/transaction.js';

export interface SlotDeps {
  readonly engine: KvEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

export interface SlotOptions {
  readonly durable: boolean;
  /** A session without a frame for so long is over. */
  readonly sessionTtlMs: number;
  readonly cache: CacheOptions;
}

/** The server's own changes carry no session. */
const NO_SESSION = 0 as SessionId;
const ENDED_SESSION_KEPT_MS = 7 * 24 * 3600 * 1000;
const ROWS_PER_READ = 1000;
/** Opens that one transaction of the background drops. */
const DROP_OPENS = 64;
/** Fill of the metadata database above which growth is refused, so that deletes still find room. */
const NEARLY_FULL = 0.95;
const SPACE_CHECK_MS = 500;

/**
 * One filesystem on this metaserver: its executor, its sessions, who has what open. Requests of the streams come in here, are executed in turn, and are answered when durable.
 *
 * A session is live from `openSession` until it is closed, expires, or its filesystem goes; this slot alone decides that. What an ended session had open is dropped
 * in the background, its reservation returned, its replies kept. After a start, opens may be missing until every live session has attached again (or a TTL has passed); until then what is
 * unlinked is kept.
 */
export class Slot implements OpScope, Closable {
  readonly info: FsInfo;
  readonly keys: Keys;
  readonly hash: NameHash;
  readonly tables: SlotTables;
  readonly opens = new OpenFiles();
  readonly executor: Executor;
  readonly #deps: SlotDeps;
  readonly #logger: Logger;
  readonly #ttlMs: number;
  readonly #writer = new ReplyWriter();

  readonly #sessions = new Map<SessionId, Session>();
  /** Live sessions that have not attached since the start. INVARIANT: empty once #graceUntilMs has passed. */
  readonly #awaited = new Set<SessionId>();
  /** Sessions that ended in the batch being built: their last replies belong to it. */
  #ending: Session[] = [];
  #graceUntilMs = 0;
  #checkedMs = 0;
  #nearlyFull = false;
  #spaceCheckedMs = -Infinity;
  #closed = false;

  private constructor(deps: SlotDeps, record: FilesystemRecord, opts: SlotOptions) {
    this.#deps = deps;
    this.info = record.info;
    this.keys = new Keys(record.info.id);
    this.hash = new NameHash(record.hashKey);
    this.tables = new SlotTables(deps.engine, opts.cache);
    this.#logger = deps.logger;
    this.#ttlMs = opts.sessionTtlMs;
    this.executor = new Executor(
      {
        engine: deps.engine,
        logger: deps.logger,
        metrics: deps.metrics,
        tables: this.tables.all(),
        beforeCommit: (tx) => this.#storeReplies(tx),
        discarded: () => this.#discardReplies(),
        reload: () => this.#reload(),
        now: () => deps.clock.monotonicMs(),
      },
      { durable: opts.durable },
    );
  }

  static async open(deps: SlotDeps, record: FilesystemRecord, opts: SlotOptions): Promise<Slot> {
    const slot = new Slot(deps, record, opts);
    await slot.#load();
    const now = deps.clock.monotonicMs();
    slot.#checkedMs = now;
    for (const id of slot.#sessions.keys()) slot.#awaited.add(id);
    slot.#graceUntilMs = now + opts.sessionTtlMs;
    if (slot.#awaited.size === 0) slot.#endGrace();
    slot.#dropOpensOfEnded();
    return slot;
  }

  get sessionTtlMs(): number {
    return this.#ttlMs;
  }

  get liveSessions(): number {
    return this.#sessions.size;
  }

  nowNs(): bigint {
    return this.#deps.clock.nowNs();
  }

  opensIncomplete(): boolean {
    return this.#awaited.size > 0;
  }

  nearlyFull(): boolean {
    const now = this.#deps.clock.monotonicMs();
    if (now - this.#spaceCheckedMs >= SPACE_CHECK_MS) {
      this.#spaceCheckedMs = now;
      const { usedBytes, limitBytes } = this.#deps.engine.space();
      this.#nearlyFull = usedBytes > limitBytes * NEARLY_FULL;
    }
    return this.#nearlyFull;
  }

  /** Runs `run` in the executor, on behalf of the server. */
  execute<Result>(run: (op: OpTransaction) => Promise<Result>): Promise<Result> {
    return this.executor.execute((tx) => run(new OpTransaction(this, tx, NO_SESSION)));
  }

  usage(): Promise<FsUsage & { readonly deletesQueued: number }> {
    return this.execute(async (op) => ({
      ...(await usageOf(op)),
      deletesQueued: (await op.counters()).deletesQueued,
    }));
  }

  mounts(): MountInfo[] {
    const now = this.#deps.clock.monotonicMs();
    return [...this.#sessions.values()].map(({ id, record, heardMs }) => ({
      sessionId: id,
      fsId: this.info.id,
      host: record.host,
      mountpoint: record.mountpoint,
      pid: record.pid,
      version: record.version,
      readOnly: record.readOnly,
      startedMs: record.startedMs,
      silentMs: Math.max(0, Math.round(now - heardMs)),
    }));
  }

  // ---- sessions ----

  /** A new session, or the live one that the same client opened before. */
  async openSession(request: OpenSessionRequest): Promise<SessionId> {
    return this.execute(async (op) => {
      for (const session of this.#sessions.values()) {
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
        startedMs: Number(this.nowNs() / 1_000_000n),
        endedMs: 0,
        incarnation: 0,
        reservedBytes: 0,
      };
      op.putCounters({ ...counters, nextSession: (id + 1) as SessionId });
      op.tx.put(this.tables.sessions, this.keys.session(id), record);
      op.tx.onApply(() => this.#sessions.set(id, new Session(id, record, this.#deps.clock.monotonicMs())));
      return id;
    });
  }

  /** Ends a session for good; nothing when it is over already. */
  async endSession(id: SessionId, reason: SessionEnd_Reason, message: string): Promise<void> {
    await this.execute(async (op) => {
      const key = this.keys.session(id);
      const record = await op.tx.get(this.tables.sessions, key);
      if (record === undefined || record.endedMs !== 0) return;
      const endedMs = Math.max(1, Number(this.nowNs() / 1_000_000n));
      op.tx.put(this.tables.sessions, key, { ...record, endedMs, reservedBytes: 0 });
      await op.addCounters({ reservedBytes: -record.reservedBytes });
      op.tx.onApply(() => {
        const session = this.#sessions.get(id);
        this.#sessions.delete(id);
        this.#reattached(id);
        if (session === undefined) return;
        session.ended = true;
        this.#ending.push(session);
        session.connection?.end(reason, message);
      });
    });
    void this.#dropOpens(id);
  }

  /**
   * A stream attaches: in turn, so that everything older streams sent before is executed before and nothing of theirs after.
   * The session whose operations the stream may send from now on; undefined when there is none (the stream is ended).
   */
  attach(connection: SessionConnection, attach: Attach): Session | undefined {
    const id = safeNumber(attach.sessionId, 'attach.sessionId') as SessionId;
    const session = this.#sessions.get(id);
    if (session === undefined) {
      connection.end(SessionEnd_Reason.REASON_UNKNOWN_SESSION, `session ${id} is over or never was`);
      return undefined;
    }
    session.heardMs = this.#deps.clock.monotonicMs();
    this.executor.submit<void>({
      run: async (tx) => {
        if (session.ended) throw new FsError('ESHUTDOWN', 'the session is over');
        if (attach.incarnation < session.incarnation) throw new FsError('ESTALE');
        const op = new OpTransaction(this, tx, id);
        await this.#takeOpens(op, attach);
        if (attach.incarnation > session.incarnation) {
          const record = (await tx.get(this.tables.sessions, this.keys.session(id))) ?? session.record;
          tx.put(this.tables.sessions, this.keys.session(id), { ...record, incarnation: attach.incarnation });
        }
        tx.onApply(() => {
          const before = session.connection;
          session.incarnation = attach.incarnation;
          session.connection = connection;
          if (before !== undefined && before !== connection) {
            before.end(SessionEnd_Reason.REASON_OLD_INCARNATION, 'another stream of the session has attached');
          }
          this.#reattached(id);
        });
      },
      done: (error) => {
        if (error === undefined) connection.attached(this.#ttlMs);
        else if (session.ended) connection.end(SessionEnd_Reason.REASON_EXPIRED, 'the session is over');
        else if (attach.incarnation < session.incarnation) {
          connection.end(SessionEnd_Reason.REASON_OLD_INCARNATION, 'a newer worker has attached');
        } else connection.end(SessionEnd_Reason.REASON_SERVER_STOPPING, errorMessage(error));
      },
    });
    return session;
  }

  heard(session: Session): void {
    session.heardMs = this.#deps.clock.monotonicMs();
  }

  /** Ends the sessions that were silent for too long. Called about four times per TTL. */
  expire(): void {
    const now = this.#deps.clock.monotonicMs();
    const gap = now - this.#checkedMs;
    this.#checkedMs = now;
    // the machine slept or we were stopped: what was sent meanwhile is still to be read
    const deaf = gap > this.#ttlMs / 2;
    for (const session of this.#sessions.values()) {
      if (deaf) session.heardMs = Math.max(session.heardMs, now - this.#ttlMs / 2);
      if (now - session.heardMs <= this.#ttlMs) continue;
      this.#logger.warn('a session has expired', { session: session.id, host: session.record.host });
      const message = `no frame for ${this.#ttlMs} ms`;
      void this.endSession(session.id, SessionEnd_Reason.REASON_EXPIRED, message).catch((error: unknown) =>
        this.#logger.warn('a session could not be ended', { session: session.id, error: errorMessage(error) }),
      );
    }
    if (this.#awaited.size > 0 && now >= this.#graceUntilMs) this.#endGrace();
  }

  /** Forgets what sessions left that ended a week ago. */
  async forgetOldSessions(): Promise<void> {
    const before = Number(this.nowNs() / 1_000_000n) - ENDED_SESSION_KEPT_MS;
    const old: SessionId[] = [];
    await this.#scan(this.tables.sessions, this.keys.sessions(), (key, { endedMs }) => {
      if (endedMs !== 0 && endedMs < before) old.push(firstOfKey(key) as SessionId);
    });
    for (const id of old) await this.execute((op) => forgetSession(op, id));
  }

  // ---- requests ----

  handle(connection: SessionConnection, session: Session, request: Request): void {
    const { requestId, op: operation } = request;
    const respond: Responder = (body) => connection.respond(requestId, body);
    if (operation === undefined) {
      respond(encodeError(new FsError('EOPNOTSUPP', 'an unknown operation')));
    } else if (isMutation(operation)) {
      this.#mutate(connection, session, operation, request.opId, respond);
    } else if (operation.$case === 'barrier') {
      this.executor.barrier().then(
        () => respond(encodeReply({ attrs: [] }, this.#writer)),
        (error: unknown) => respond(encodeError(asError(error))),
      );
    } else {
      this.executor.submit<Uint8Array>({
        run: (tx) => {
          this.#fence(session, connection.incarnation);
          return this.#run(new OpTransaction(this, tx, session.id), operation).then((reply) =>
            encodeReply(reply, this.#writer),
          );
        },
        done: (error, body) => respond(error === undefined ? body! : this.#errorBody(operation, error)),
      });
    }
  }

  acknowledge(session: Session, opIds: readonly OpId[]): void {
    const groups: number[] = [];
    for (const opId of opIds) {
      const group = session.replies.acknowledge(opKeyOf(opId));
      if (group !== undefined) groups.push(group);
    }
    if (groups.length === 0) return;
    this.#inBackground((op) => {
      // those of an ended session are kept until it is adopted
      if (session.ended) return Promise.resolve();
      for (const group of groups) op.tx.delete(this.tables.replies, this.keys.replies(session.id, group));
      return Promise.resolve();
    });
  }

  release(connection: SessionConnection, session: Session, releases: readonly Release[]): void {
    const handles = releases.map(({ fh }) => safeNumber(fh, 'release.fh') as Fh);
    for (const fh of handles) {
      this.#inBackground(async (op) => {
        if (!session.ended && connection.incarnation >= session.incarnation) await releaseOpen(op, session.id, fh);
      });
    }
  }

  /** Ends every stream, executes what is queued and commits it. The sessions live on. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { connection } of this.#sessions.values()) {
      connection?.end(SessionEnd_Reason.REASON_SERVER_STOPPING, 'the metaserver stops');
    }
    await this.executor.close();
  }

  #mutate(
    connection: SessionConnection,
    session: Session,
    operation: Operation,
    opId: OpId | undefined,
    respond: Responder,
  ): void {
    if (opId === undefined) {
      respond(encodeError(new FsError('EINVAL', `${operation.$case} needs an op id`)));
      return;
    }
    const opKey = opKeyOf(opId);
    const known = session.replies.get(opKey);
    if (known !== undefined) {
      known.incarnation = Math.max(known.incarnation, connection.incarnation);
      if (known.body !== undefined) respond(known.body);
      else known.waiters?.push(respond);
      return;
    }
    const outstanding = session.replies.begin(opKey, connection.incarnation, respond);
    if (outstanding === undefined) {
      respond(encodeError(new FsError('EAGAIN', `${OUTSTANDING_MAX} replies are not acknowledged`)));
      return;
    }
    let failure: unknown;
    this.executor.submit<Uint8Array>({
      run: async (tx) => {
        try {
          return await this.#runMutation(tx, session, operation, outstanding);
        } catch (error) {
          failure = error;
          throw error;
        }
      },
      done: (error, body) => {
        if (error === undefined) session.replies.finish(outstanding, body!);
        else if (error === failure) session.replies.finish(outstanding, this.#errorBody(operation, error));
        else session.replies.forget(outstanding, this.#errorBody(operation, error));
      },
    });
  }

  async #runMutation(
    tx: Transaction,
    session: Session,
    operation: Operation,
    outstanding: OutstandingOp,
  ): Promise<Uint8Array> {
    this.#fence(session, outstanding.incarnation);
    if (session.record.readOnly && needsWriting(operation)) throw new FsError('EROFS', 'a read-only mount');
    const reply = await this.#run(new OpTransaction(this, tx, session.id), operation);
    const body = encodeReply(reply, this.#writer);
    // an open that is lost with its batch may be executed again
    const stored = !tx.soft;
    tx.onApply(() => session.replies.applied(outstanding, body, stored));
    return body;
  }

  #run(op: OpTransaction, operation: Operation): Promise<OpReply> {
    switch (operation.$case) {
      case 'ping':
      case 'barrier':
        return Promise.resolve({ attrs: [] });
      case 'queryOps': {
        // what was applied counts, and must be durable before anyone hears of it
        op.tx.sawSeq = this.executor.pendingSeq;
        const id = safeNumber(operation.value.sessionId, 'queryOps.sessionId') as SessionId;
        return queryOps(op, operation.value, this.#sessions.get(id));
      }
      case 'adoptCheck':
        return adoptCheck(op, operation.value);
      case 'adoptEnd':
        return adoptEnd(op, operation.value);
      default:
        return runOperation(op, operation);
    }
  }

  /** ESHUTDOWN when the session is over or a newer worker has attached. */
  #fence(session: Session, incarnation: number): void {
    if (session.ended) throw new FsError('ESHUTDOWN', 'the session is over');
    if (incarnation < session.incarnation) throw new FsError('ESHUTDOWN', 'a newer worker has attached');
  }

  #errorBody(operation: Operation, error: Error): Uint8Array {
    if (!(error instanceof FsError) && error.name !== 'WireError') {
      this.#logger.error('an operation failed', { operation: operation.$case, error: error.message });
    }
    return encodeError(error);
  }

  /** Registers the opens that an attaching worker names; when it names all, the others are dropped. */
  async #takeOpens(op: OpTransaction, attach: Attach): Promise<void> {
    const named = new Set<Fh>();
    for (const open of attach.opens) {
      const fh = safeNumber(open.fh, 'attach.opens.fh') as Fh;
      const ino = inoFromProto(open.ino, 'attach.opens.ino');
      named.add(fh);
      const known = this.opens.inoOf(op.session, fh);
      if (known !== ino && (await op.inode(ino)) !== undefined) {
        if (known !== undefined) await releaseOpen(op, op.session, fh);
        registerOpen(op, op.session, fh, ino);
      }
    }
    if (!attach.opensComplete) return;
    for (const fh of this.opens.of(op.session).keys()) if (!named.has(fh)) await releaseOpen(op, op.session, fh);
  }

  // ---- background ----

  /** A change that nobody waits for; its failure leaves things as they were and is logged. */
  #inBackground(run: (op: OpTransaction) => Promise<void>): void {
    this.executor.submit<void>({
      run: (tx) => {
        tx.soft = true;
        return run(new OpTransaction(this, tx, NO_SESSION));
      },
      done: (error) => {
        if (error !== undefined && !this.#closed) {
          this.#logger.warn('background work failed', { error: error.message });
        }
      },
    });
  }

  #dropOpensOfEnded(): void {
    for (const id of this.opens.sessions()) if (!this.#sessions.has(id)) void this.#dropOpens(id);
  }

  /** Releases everything that an ended session had open, in bounded steps; what is left after a crash is dropped at the next start. */
  async #dropOpens(id: SessionId): Promise<void> {
    try {
      while (!this.#closed && this.opens.of(id).size > 0) {
        await this.execute(async (op) => {
          let left = DROP_OPENS;
          for (const fh of this.opens.of(id).keys()) {
            if (left-- === 0) break;
            await releaseOpen(op, id, fh);
          }
        });
      }
    } catch (error) {
      if (!this.#closed) this.#logger.warn('opens could not be dropped', { session: id, error: errorMessage(error) });
    }
  }

  #reattached(id: SessionId): void {
    if (this.#awaited.delete(id) && this.#awaited.size === 0) this.#endGrace();
  }

  /** All opens are known: what was kept only because they were not is freed. */
  #endGrace(): void {
    this.#awaited.clear();
    for (const ino of this.opens.orphans) {
      this.#inBackground(async (op) => {
        if (this.opens.orphans.has(ino) && this.opens.count(ino) === 0) await freeOrphan(op, ino);
      });
    }
  }

  #storeReplies(tx: Transaction): void {
    const store = ({ id, replies }: Session): void => {
      const group = replies.takeGroup();
      if (group !== undefined) tx.put(this.tables.replies, this.keys.replies(id, group.number), group.replies);
    };
    for (const session of this.#sessions.values()) store(session);
    for (const session of this.#ending) store(session);
    this.#ending = [];
  }

  #discardReplies(): void {
    for (const { replies } of this.#sessions.values()) replies.discardGathered();
    this.#ending = [];
  }

  /** Reads what is derived in memory, at start. REQUIRES: nothing is in the overlay; so do the ones below. */
  async #load(): Promise<void> {
    await this.#scan(this.tables.opens, this.keys.opens(), (key, ino: Ino) =>
      this.opens.add(firstOfKey(key) as SessionId, secondOfKey(key) as Fh, ino),
    );
    await this.#loadSessions();
  }

  /**
   * After a batch failed. Opens and releases were acknowledged before they were durable, so those in memory are right, and the rows are brought in step with them.
   * (An open that failed together with a truncation stays registered until the session ends: it only keeps a file alive.)
   */
  async #reload(): Promise<void> {
    await this.#loadSessions();
    const stored = new Set<string>();
    const released: string[] = [];
    await this.#scan(this.tables.opens, this.keys.opens(), (key) => {
      stored.add(key);
      if (this.opens.inoOf(firstOfKey(key) as SessionId, secondOfKey(key) as Fh) === undefined) released.push(key);
    });
    this.#inBackground((op) => {
      for (const key of released) op.tx.delete(this.tables.opens, key);
      return Promise.resolve();
    });
    // what a lost release would have freed
    if (!this.opensIncomplete()) this.#endGrace();
    for (const session of this.opens.sessions()) {
      for (const [fh, ino] of this.opens.of(session)) {
        const key = this.keys.open(session, fh);
        if (stored.has(key)) continue;
        this.#inBackground(async (op) => {
          if (this.opens.inoOf(session, fh) !== ino) return;
          if ((await op.inode(ino)) === undefined) op.tx.onApply(() => this.opens.remove(session, fh));
          else op.tx.put(this.tables.opens, key, ino);
        });
      }
    }
  }

  async #loadSessions(): Promise<void> {
    this.opens.orphans.clear();
    await this.#scan(this.tables.orphans, this.keys.orphans(), (key) => this.opens.orphans.add(firstOfKey(key) as Ino));
    const live = new Map<SessionId, SessionRecord>();
    await this.#scan(this.tables.sessions, this.keys.sessions(), (key, record) => {
      if (record.endedMs === 0) live.set(firstOfKey(key) as SessionId, record);
    });
    for (const [id, session] of this.#sessions) {
      if (live.has(id)) continue;
      // it was opened in the batch that failed
      this.#sessions.delete(id);
      session.ended = true;
      session.connection?.end(SessionEnd_Reason.REASON_UNKNOWN_SESSION, 'the session was not stored');
    }
    for (const [id, record] of live) {
      const known = this.#sessions.get(id);
      if (known === undefined) await this.#restoreSession(id, record);
    }
  }

  async #restoreSession(id: SessionId, record: SessionRecord): Promise<void> {
    const session = new Session(id, record, this.#deps.clock.monotonicMs());
    await this.#scan(this.tables.replies, this.keys.repliesOf(id), (key, replies) =>
      session.replies.restore(secondOfKey(key), replies),
    );
    this.#sessions.set(id, session);
  }

  async #scan<Value>(table: Table<Value>, range: KeyRange, visit: (key: string, value: Value) => void): Promise<void> {
    const end = Buffer.from(range.end, 'latin1');
    let start = Buffer.from(range.start, 'latin1');
    for (;;) {
      const rows = await this.#deps.engine.range(start, end, { limit: ROWS_PER_READ });
      for (const { key, value } of rows) visit(Buffer.from(key).toString('latin1'), table.decode(value));
      if (rows.length < ROWS_PER_READ) return;
      start = Buffer.concat([rows.at(-1)!.key, Buffer.from([0])]);
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorMessage(error));
}
