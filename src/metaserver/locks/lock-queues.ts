import type { Ino, SessionId } from '../../model/ids.js';
import { conflict, type LockKind } from '../../model/lock.js';
import type { LockTable } from './lock-table.js';
import type { LockWait, PendingLock } from './pending-lock.js';

export interface LockQueuesOptions {
  /** How long a request waits for others that only wait themselves. */
  readonly overtakeMs: number;
}

/** Owners looked at in the search for a deadlock; a longer chain is taken for none. */
const DEADLOCK_OWNERS_MAX = 1000;

/**
 * The requests that wait for locks, in the order of their coming, one queue per inode and kind. Nothing is polled: whoever changes the locks of an inode calls {@link wake},
 * and each request that can be granted then tries again in its turn of the executor.
 *
 * Fairness: a request that could be granted waits behind an earlier one that it conflicts with, so that readers who come and go do not starve a writer. Such a wait is no deadlock
 * by itself, but the one waited for may wait for what this one's process holds elsewhere, through descriptors we know nothing of: so one who holds fcntl locks on the inode does not wait
 * so (a flock is dropped to be converted), and nobody longer than `overtakeMs`.
 */
export class LockQueues {
  readonly #table: LockTable;
  readonly #overtakeMs: number;
  /** INVARIANT: what is in here has `wait` set; no empty queues. */
  readonly #queues: Readonly<Record<LockKind, Map<Ino, Set<PendingLock>>>> = { posix: new Map(), flock: new Map() };
  /** Waits that count for deadlocks, by owner. INVARIANT: subset of #queues; no empty sets. */
  readonly #byOwner = new Map<string, Set<PendingLock>>();
  /** By session and operation. INVARIANT: exactly what is in #queues. */
  readonly #bySession = new Map<SessionId, Map<string, PendingLock>>();
  #size = 0;

  constructor(deps: { readonly table: LockTable }, opts: LockQueuesOptions) {
    this.#table = deps.table;
    this.#overtakeMs = opts.overtakeMs;
  }

  /** Requests that wait. */
  get size(): number {
    return this.#size;
  }

  countOf(session: SessionId): number {
    return this.#bySession.get(session)?.size ?? 0;
  }

  get(session: SessionId, opKey: string): PendingLock | undefined {
    return this.#bySession.get(session)?.get(opKey);
  }

  of(session: SessionId): PendingLock[] {
    return [...(this.#bySession.get(session)?.values() ?? [])];
  }

  /** Lets a request wait; one that waits already keeps its place. */
  park(pending: PendingLock, wait: Pick<LockWait, 'ino' | 'spec' | 'owner'>): void {
    if (pending.wait !== undefined) {
      pending.wait.woken = false;
    } else {
      const { ino, spec, owner } = wait;
      pending.wait = { ino, spec, owner, woken: false, mayOvertake: false, timer: undefined };
      this.#size++;
      addTo(this.#queues[spec.kind], ino, pending);
      if (spec.kind === 'posix' && !spec.ofd) addTo(this.#byOwner, owner, pending);
      let ops = this.#bySession.get(pending.session);
      if (ops === undefined) this.#bySession.set(pending.session, (ops = new Map<string, PendingLock>()));
      ops.set(pending.opKey, pending);
    }
    this.#consider(pending, pending.wait);
  }

  /** Takes a request out; nothing when it does not wait. */
  remove(pending: PendingLock): void {
    const { wait, session, opKey } = pending;
    if (wait === undefined) return;
    clearTimeout(wait.timer);
    pending.wait = undefined;
    this.#size--;
    removeFrom(this.#queues[wait.spec.kind], wait.ino, pending);
    removeFrom(this.#byOwner, wait.owner, pending);
    const ops = this.#bySession.get(session);
    if (ops?.delete(opKey) === true && ops.size === 0) this.#bySession.delete(session);
  }

  /** Something changed on the inode: those who can be granted now try again. */
  wake(ino: Ino, kind: LockKind): void {
    const queue = this.#queues[kind].get(ino);
    if (queue === undefined) return;
    for (const pending of queue) if (pending.wait?.woken === false) this.#consider(pending, pending.wait);
  }

  wakeAll(): void {
    for (const kind of ['posix', 'flock'] as const) for (const ino of this.#queues[kind].keys()) this.wake(ino, kind);
  }

  /** True when an earlier request that waits goes before this one. */
  isBehind(pending: PendingLock, { ino, spec, owner }: Pick<LockWait, 'ino' | 'spec' | 'owner'>): boolean {
    const queue = this.#queues[spec.kind].get(ino);
    if (queue === undefined || pending.wait?.mayOvertake === true) return false;
    if (spec.kind === 'posix' && this.#table.on(ino, spec.kind).of(owner).length > 0) return false;
    for (const other of queue) {
      if (other === pending) return false;
      if (other.wait!.owner !== owner && other.isCurrent() && conflict(other.wait!.spec, spec)) return true;
    }
    return false;
  }

  /** True when those who hold what is asked for wait, over any number of inodes and mounts, for the one who asks: fcntl(2) EDEADLK. */
  wouldDeadlock({ ino, spec, owner }: Pick<LockWait, 'ino' | 'spec' | 'owner'>): boolean {
    const seen = new Set<string>();
    const next = this.#table.on(ino, spec.kind).blockers(owner, spec);
    for (let holder = next.pop(); holder !== undefined && seen.size < DEADLOCK_OWNERS_MAX; holder = next.pop()) {
      if (holder === owner) return true;
      if (seen.has(holder)) continue;
      seen.add(holder);
      for (const { wait } of this.#byOwner.get(holder) ?? []) {
        next.push(...this.#table.on(wait!.ino, 'posix').blockers(holder, wait!.spec));
      }
    }
    return false;
  }

  close(): void {
    for (const ops of this.#bySession.values()) for (const { wait } of ops.values()) clearTimeout(wait?.timer);
  }

  #consider(pending: PendingLock, wait: LockWait): void {
    const { ino, spec, owner } = wait;
    if (!pending.isCurrent() || this.#table.on(ino, spec.kind).firstConflict(owner, spec) !== undefined) return;
    if (!this.isBehind(pending, wait)) {
      wait.woken = true;
      pending.retry();
      return;
    }
    wait.timer ??= setTimeout(() => {
      wait.mayOvertake = true;
      this.wake(ino, spec.kind);
    }, this.#overtakeMs).unref();
  }
}

function addTo<Key, Value>(map: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<Key, Value>(map: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const set = map.get(key);
  if (set?.delete(value) === true && set.size === 0) map.delete(key);
}
