import type { Clock } from '../../common/clock.js';
import { FsError } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { CancelLock, GetLock, SetLock } from '../../gen/curvefs/v1/metaserver.js';
import type { Ino, SessionId } from '../../model/ids.js';
import { setRange, type LockRange, type LockSpec, type LockType } from '../../model/lock.js';
import { inoFromProto } from '../../wire/attr.js';
import { lockFoundToProto, lockQueryFromProto, lockSpecFromProto } from '../../wire/lock.js';
import { required } from '../../wire/safe-number.js';
import { dropInSteps } from '../drop-in-steps.js';
import { lockOfKey } from '../keys.js';
import type { OpTransaction } from '../operations/op-transaction.js';
import type { OpReply } from '../operations/reply.js';
import { opKeyOf } from '../sessions/op-key.js';
import type { SlotServices } from '../slot-services.js';
import { LockQueues } from './lock-queues.js';
import { LockTable, ownerKey, sessionOfOwner, type LockRef } from './lock-table.js';
import type { PendingLock } from './pending-lock.js';

/** Ranges locked on one inode, and of one kind; with more ENOLCK. */
export const INODE_RANGES_MAX = 4096;
/** Owners of locks and their inodes, of one session. */
export const SESSION_OWNERS_MAX = 65_536;
/** Requests of one session that wait. Below what it may have outstanding, so that waiting leaves room for everything else. */
export const SESSION_WAITS_MAX = 2048;
const OVERTAKE_MS = 5000;
/** Rows after which a transaction of the background drops no more owner's locks. */
const DROP_ROWS = 64;

export interface LocksDeps {
  readonly slot: SlotServices;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface LocksOptions {
  readonly overtakeMs?: number;
}

/**
 * The advisory locks of a slot: granted in the executor's turn, stored as rows in the same transaction, so that neither a restart of the server nor a lost stream takes a lock from
 * its holder, and none is ever given twice. They end with their session. A request that has to wait is parked here, outside the executor, and has no transaction.
 *
 * flock(2) and fcntl(2) differ in three ways: a flock is converted by dropping it first, even if the new one is then refused; only fcntl locks have ranges; only they are looked at for
 * deadlocks.
 */
export class Locks {
  readonly #slot: SlotServices;
  readonly #deps: LocksDeps;
  readonly #table = new LockTable();
  readonly #queues: LockQueues;
  readonly #closing = new AbortController();

  constructor(deps: LocksDeps, opts: LocksOptions = {}) {
    this.#slot = deps.slot;
    this.#deps = deps;
    this.#queues = new LockQueues({ table: this.#table }, { overtakeMs: opts.overtakeMs ?? OVERTAKE_MS });
  }

  /** Locked ranges. */
  get held(): number {
    return this.#table.size;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#queues.size;
  }

  /** At start, with the live sessions: reads what is stored, drops what ended ones left. REQUIRES: nothing is in the overlay. */
  async start(live: readonly SessionId[]): Promise<void> {
    await this.#load();
    for (const id of this.#table.sessions()) if (!live.includes(id)) void this.drop(id);
  }

  /** After a batch failed: what is stored counts. REQUIRES: nothing is in the overlay. */
  async reload(): Promise<void> {
    await this.#load();
    this.#queues.wakeAll();
  }

  /** SETLK, SETLKW. Undefined: it waits, and is tried again by {@link PendingLock.retry}. */
  async setLock(op: OpTransaction, request: SetLock, pending: PendingLock): Promise<OpReply | undefined> {
    const ino = inoFromProto(request.ino, 'setLock.ino');
    const spec = lockSpecFromProto(request);
    if (pending.cancelled) throw new FsError('EINTR', 'the wait for the lock was cancelled');
    if (spec.type === undefined) {
      this.#set(op, ino, spec, undefined);
      return { attrs: [] };
    }
    const { attr } = await op.mustInode(ino);
    try {
      const granted = this.#try(op, ino, { ...spec, type: spec.type }, pending);
      if (granted === undefined) return undefined;
      return {
        attrs: [attr],
        result: { kind: 'proto', result: { $case: 'setLock', value: { granted } } },
      };
    } catch (error) {
      this.forget(pending);
      throw error;
    }
  }

  getLock(op: OpTransaction, request: GetLock): OpReply {
    const ino = inoFromProto(request.ino, 'getLock.ino');
    const query = lockQueryFromProto(request);
    const found = this.#table.on(ino, query.kind).firstConflict(ownerKey(op.session, query.owner), query);
    // a process of another mount's machine has no number here
    const range = found && (sessionOfOwner(found.owner) === op.session ? found.range : { ...found.range, pid: 0 });
    return { attrs: [], result: { kind: 'proto', result: { $case: 'getLock', value: lockFoundToProto(range) } } };
  }

  /** Ends the wait of an operation, whose reply is EINTR then; one that was granted before stays granted. */
  cancelLock(op: OpTransaction, request: CancelLock): OpReply {
    const pending = this.#queues.get(op.session, opKeyOf(required(request.opId, 'cancelLock.opId')));
    if (pending !== undefined) {
      pending.cancelled = true;
      this.forget(pending);
      pending.retry();
    }
    return { attrs: [] };
  }

  /** A request waits no longer, whatever becomes of it. Those behind it may be next. */
  forget(pending: PendingLock): void {
    const { wait } = pending;
    if (wait === undefined) return;
    this.#queues.remove(pending);
    this.#queues.wake(wait.ino, wait.spec.kind);
  }

  /** A new worker of the session has sent its request again, and waits for it from now on. */
  rejoined(session: SessionId, opKey: string): void {
    const wait = this.#queues.get(session, opKey)?.wait;
    if (wait !== undefined) this.#queues.wake(wait.ino, wait.spec.kind);
  }

  /** A session is over: it waits for nothing more. Its locks go by {@link drop}. */
  ended(id: SessionId): void {
    for (const pending of this.#queues.of(id)) this.forget(pending);
  }

  /** Drops every lock of an ended session, in bounded steps; what is left after a crash is dropped at the next start. */
  drop(id: SessionId): Promise<void> {
    const step = (op: OpTransaction): Promise<void> => {
      let left = DROP_ROWS;
      for (const ref of this.#table.refsOf(id)) {
        if (left <= 0) break;
        const ranges = this.#table.of(ref);
        left -= ranges.length;
        this.#put(op, ref, ranges, []);
      }
      return Promise.resolve();
    };
    const locks = { what: 'locks', session: id, count: () => this.#table.countOf(id), step };
    return dropInSteps(this.#deps, locks, this.#closing.signal);
  }

  close(): void {
    this.#closing.abort();
    this.#queues.close();
  }

  /** True: granted. False: refused, but a flock that was to be converted is dropped. Undefined: parked. */
  #try(
    op: OpTransaction,
    ino: Ino,
    spec: LockSpec & { readonly type: LockType },
    pending: PendingLock,
  ): boolean | undefined {
    const owner = ownerKey(op.session, spec.owner);
    const set = this.#table.on(ino, spec.kind);
    const asked = { ino, spec, owner };
    const isHeld = set.firstConflict(owner, spec) !== undefined;
    if (!isHeld && !(spec.wait && this.#queues.isBehind(pending, asked))) {
      this.#set(op, ino, spec, pending);
      return true;
    }
    const converts = spec.kind === 'flock' && set.of(owner).length > 0;
    if (converts) this.#set(op, ino, { ...spec, type: undefined }, undefined);
    if (!spec.wait) {
      if (converts) return false;
      throw new FsError('EAGAIN', 'the lock is held by another owner');
    }
    if (spec.kind === 'posix' && !spec.ofd && isHeld && this.#queues.wouldDeadlock(asked)) {
      throw new FsError('EDEADLK', 'its holder waits for the one who asks');
    }
    if (pending.wait === undefined && this.#queues.countOf(op.session) >= SESSION_WAITS_MAX) {
      throw new FsError('ENOLCK', `${SESSION_WAITS_MAX} requests of this mount wait for locks`);
    }
    this.#queues.park(pending, asked);
    return undefined;
  }

  /** Makes the owner's locks what they are after the request, which is granted. */
  #set(op: OpTransaction, ino: Ino, spec: LockSpec, pending: PendingLock | undefined): void {
    const { kind, owner, type, pid } = spec;
    const set = this.#table.on(ino, kind);
    const before = set.of(ownerKey(op.session, owner));
    const after = setRange(before, spec, type, pid);
    if (after.length > before.length) {
      if (set.size - before.length + after.length > INODE_RANGES_MAX) {
        throw new FsError('ENOLCK', `${INODE_RANGES_MAX} ranges of the file are locked`);
      }
      if (before.length === 0 && this.#table.countOf(op.session) >= SESSION_OWNERS_MAX) {
        throw new FsError('ENOLCK', `${SESSION_OWNERS_MAX} owners of this mount hold locks`);
      }
    }
    if (pending?.wait !== undefined) op.tx.onApply(() => this.#queues.remove(pending));
    if (before.length > 0 || after.length > 0) this.#put(op, { ino, kind, session: op.session, owner }, before, after);
  }

  /** Writes the rows of the ranges that differ. */
  #put(op: OpTransaction, ref: LockRef, before: readonly LockRange[], after: readonly LockRange[]): void {
    const { tables, keys } = op.scope;
    const [had, kept] = [new Set(before), new Set(after)];
    for (const range of before) if (!kept.has(range)) op.tx.delete(tables.locks, keys.lock(ref, range.start));
    for (const range of after) if (!had.has(range)) op.tx.put(tables.locks, keys.lock(ref, range.start), range);
    op.tx.onApply(() => {
      this.#table.put(ref, after);
      this.#queues.wake(ref.ino, ref.kind);
    });
  }

  async #load(): Promise<void> {
    const { tables, keys } = this.#slot;
    this.#table.clear();
    await this.#slot.scan(tables.locks, keys.locks(), (key, record) => {
      const { ref, start } = lockOfKey(key);
      this.#table.put(ref, [...this.#table.of(ref), { start, ...record }]);
    });
  }
}
