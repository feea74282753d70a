import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import { FsError, isFsError } from '../common/fs-error.js';
import { interruptible } from '../common/interruptible.js';
import type { Fh, Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import { type ByteRange, LOCK_END_MAX, overlap, type LockRange, type LockSpec, type LockType } from '../model/lock.js';
import { HeldLocks, type Holding } from './held-locks.js';
import type { GetlkRequest, SetlkRequest } from './requests.js';
import type { VfsContext } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';

/** True when the thread's system call is on a lock of an open file description. */
export type IsOfdCall = (tid: number) => boolean;

export interface LockOpsDeps {
  readonly clock: Clock;
  readonly isOfdCall: IsOfdCall;
}

/** How long a caller that was interrupted waits to learn whether it has the lock; then it is let go, and what it may get is given back. */
const CANCEL_DEADLINE_MS = 5000;
/** Tries to drop a lock that close(2) waits for; more follow behind it. */
const CLOSE_ATTEMPTS = 10;
const DROP_BACKOFF = { firstMs: 50, maxMs: 10_000 };

/**
 * fcntl(2) and flock(2) locks, which the metaserver keeps for all mounts; and what makes them useful between mounts: before a lock is dropped or weakened what was written is
 * committed, and when one is granted what is cached of the file is brought up to date. So whoever takes the lock next sees what was done under it.
 *
 * A lock that the server granted is never lost sight of, whatever became of the caller: who is interrupted waits for the cancelling to be answered, or leaves it to be undone, and later
 * requests of the same owner come after that. Lock waits hold up nothing else: no other request ever waits for one of these.
 */
export class LockOps {
  readonly #core: VfsCore;
  readonly #deps: LockOpsDeps;
  readonly #held = new HeldLocks();

  constructor(core: VfsCore, deps: LockOpsDeps) {
    this.#core = core;
    this.#deps = deps;
  }

  /** Inodes locked by this mount, or about to be. */
  get locked(): number {
    return this.#held.size;
  }

  async getlk(ctx: VfsContext, request: GetlkRequest): Promise<LockRange | undefined> {
    const { owner, start, end, type } = request;
    checkRange(start, end);
    return this.#core.meta.getLock(
      this.#core.inner(request.ino),
      { kind: 'posix', owner, start, end, type },
      ctx.signal,
    );
  }

  async setlk(ctx: VfsContext, request: SetlkRequest): Promise<void> {
    const { fh, kind, owner, start, end, type, pid, wait } = request;
    checkRange(start, end);
    const holding = this.#held.begin(this.#core.inner(request.ino), kind, owner, fh);
    try {
      if (holding.settling !== undefined) await interruptible(holding.settling, ctx.signal);
      if (type === undefined) return await this.#unlock(ctx, holding, { start, end });
      if (type === 'read') await this.#publish(holding, ctx.signal);
      const ofd = kind === 'posix' && wait && this.#deps.isOfdCall(ctx.tid);
      const attr = await this.#ask(ctx, holding, { kind, owner, start, end, type, pid, wait, ofd });
      if (attr !== undefined) await this.#refresh(attr);
    } finally {
      this.#held.end(holding);
    }
  }

  /** close(2) of one descriptor: the process's fcntl locks on the file go. Undefined = it has none; the promise never rejects. */
  flushed(ino: Ino, owner: bigint): Promise<void> | undefined {
    const holding = this.#held.find(ino, 'posix', owner);
    return holding === undefined ? undefined : this.#drop(holding);
  }

  /** The last descriptor of the handle is closed: so do the flock and the locks of the open file description. */
  released(ino: Ino, fh: Fh): void {
    for (const holding of this.#held.ofHandle(ino, fh)) void this.#drop(holding);
  }

  /** What was written is at the server before somebody else gets the lock. When that fails the lock is kept. */
  async #unlock(ctx: VfsContext, holding: Holding, range: { start: bigint; end: bigint }): Promise<void> {
    let isAlone = false;
    const unlocked = (async () => {
      try {
        await this.#publish(holding, undefined);
      } catch (error) {
        // the caller was told that it is done: fsync and close report the failure
        if (!isAlone) throw error;
      }
      await this.#send(holding, range, ctx.opId);
    })();
    try {
      await interruptible(unlocked, ctx.signal);
    } catch (error) {
      if (ctx.signal?.aborted !== true) throw error;
      isAlone = true;
      this.#held.settle(holding, this.#persist(holding, unlocked, range));
    }
  }

  /** Drops all that an owner has, as it is gone; what fails is tried again. Resolves when that is done, or takes long. Never rejects. */
  #drop(holding: Holding): Promise<void> {
    const { settling } = holding;
    holding.handles.clear();
    return new Promise((resolve) => {
      const work = async (): Promise<void> => {
        await settling;
        // what cannot be uploaded now stays in the journal, and its failure is told by close or fsync
        await this.#publish(holding, undefined).catch(() => undefined);
        await this.#persist(holding, this.#send(holding, ALL), ALL, resolve);
        resolve();
      };
      this.#held.settle(holding, work());
    });
  }

  /** Sends the change until the server has answered; `late` is called when that takes more than a few tries. The server keeps a lock for as long as the session lives. */
  async #persist(holding: Holding, first: Promise<void>, change: Change, late?: () => void): Promise<void> {
    for (let attempt = 0, sent = first; ; attempt++, sent = this.#send(holding, change)) {
      try {
        await sent;
        return;
      } catch (error) {
        // the server drops all of a session that is over
        if (isFsError(error, 'ESHUTDOWN')) holding.ranges = [];
        // or refuses the change for good: the locks are what they were
        if (isFsError(error, 'ESHUTDOWN') || isFsError(error, 'ENOLCK') || isFsError(error, 'EAGAIN')) return;
        if (attempt === CLOSE_ATTEMPTS) late?.();
        await this.#deps.clock.sleep(backoffMs(attempt, DROP_BACKOFF));
      }
    }
  }

  /** Makes the locks on the range of a request what they were before it was granted. */
  async #undo(holding: Holding, { start, end }: LockSpec, before: readonly LockRange[]): Promise<void> {
    let at = start;
    const changes: Change[] = [];
    for (const range of before.filter((held) => overlap(held, { start, end }))) {
      const kept = {
        ...range,
        start: range.start > start ? range.start : start,
        end: range.end < end ? range.end : end,
      };
      if (at < kept.start) changes.push({ start: at, end: kept.start });
      changes.push(kept);
      at = kept.end;
    }
    if (at < end) changes.push({ start: at, end });
    for (const change of changes) await this.#persist(holding, this.#send(holding, change), change);
  }

  async #send(holding: Holding, change: Change, opId = this.#core.meta.clientOpId()): Promise<void> {
    const { ino, kind, owner } = holding;
    const spec: LockSpec = { kind, owner, type: undefined, pid: 0, ...change, wait: false, ofd: false };
    await this.#core.meta.setLock(opId, ino, spec);
    this.#held.granted(holding, spec);
  }

  /** Asks the server, and sees to it that an interrupted caller has the lock if, and only if, it is told so. */
  #ask(ctx: VfsContext, holding: Holding, spec: LockSpec): Promise<InodeAttr | undefined> {
    const { meta } = this.#core;
    const { signal } = ctx;
    const opId = ctx.opId;
    let before: readonly LockRange[] = [];
    const answer = meta.setLock(opId, holding.ino, spec).then((attr) => {
      before = holding.ranges;
      this.#held.granted(holding, spec);
      return attr;
    });
    if (signal === undefined) return answer;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const giveUp = (): void => {
        const undone = answer.then(
          () => this.#undo(holding, spec, before),
          () => undefined,
        );
        this.#held.settle(holding, undone);
        reject(new FsError('EINTR', 'the metaserver does not say whether the lock was granted'));
      };
      const cancel = (): void => {
        timer = setTimeout(giveUp, CANCEL_DEADLINE_MS).unref();
        // the answer to the request itself tells how it went
        meta.cancelLock(opId).catch(() => undefined);
      };
      if (signal.aborted) cancel();
      else signal.addEventListener('abort', cancel, { once: true });
      answer.then(resolve, reject).finally(() => {
        clearTimeout(timer);
        signal.removeEventListener('abort', cancel);
      });
    });
  }

  /** Commits what was written to the file, when somebody else may be about to get a lock that the owner holds. */
  async #publish(holding: Holding, signal: AbortSignal | undefined): Promise<void> {
    if (holding.ranges.length > 0) await this.#core.data.publish(holding.ino, signal);
  }

  /**
   * A lock was granted: what the kernel has of the file is dropped where others have changed it. It is waited for: a read that follows must not find old pages. That
   * waits for reads and page write-backs of this file which are being answered, and those wait for no lock.
   */
  async #refresh(attr: InodeAttr): Promise<void> {
    const { meta, data, versions, driverCache } = this.#core;
    const known = meta.knownAttr(attr.ino);
    const newest = known !== undefined && known.change > attr.change ? known : attr;
    data.overlay(newest);
    const isSame = versions.isAt(newest);
    const keepsPages = versions.opened(newest);
    if (isSame || driverCache === undefined) return;
    const outer = this.#core.outer(attr.ino);
    await driverCache.invalidateAttr(outer);
    if (keepsPages) return;
    try {
      await driverCache.invalidateData(outer);
    } catch {
      // it goes on; reads find that the times have changed, and the next open does not trust the pages
      versions.forget(attr.ino);
    }
  }
}

/** A lock to set, or (no type) to drop. */
interface Change extends ByteRange {
  readonly type?: LockType;
  readonly pid?: number;
}

const ALL = { start: 0n, end: LOCK_END_MAX };

function checkRange(start: bigint, end: bigint): void {
  if (start >= end || end > LOCK_END_MAX) throw new FsError('EINVAL', `a lock on ${start} to ${end}`);
}
