import type { Ino, SessionId } from '../../model/ids.js';
import type { LockSpec, LockType } from '../../model/lock.js';

/** A request to set a lock, from its arrival until it is answered: what outlives one try. */
export interface PendingLock {
  readonly session: SessionId;
  readonly opKey: string;
  /** The session's newest worker waits for the answer: nobody is granted what nobody hears of. */
  readonly isCurrent: () => boolean;
  /** Tries again, in turn. */
  readonly retry: () => void;
  /** Set while it waits. */
  wait: LockWait | undefined;
  cancelled: boolean;
}

/** What a parked request waits for. */
export interface LockWait {
  readonly ino: Ino;
  readonly spec: LockSpec & { readonly type: LockType };
  /** {@link import('./lock-table.js').ownerKey}. */
  readonly owner: string;
  /** It is being tried again. */
  woken: boolean;
  /** It waited long enough behind others that wait: it may overtake them. */
  mayOvertake: boolean;
  /** Runs while only others that wait are in its way. */
  timer: NodeJS.Timeout | undefined;
}
