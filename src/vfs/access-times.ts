import type { Clock } from '../common/clock.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import { ACCESSES_MAX, type Metadata } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import { compareTime, isDirectory, type InodeAttr, type Timespec } from '../model/inode.js';

export interface AccessTimesDeps {
  readonly meta: Pick<Metadata, 'now' | 'updateAtimes'>;
  readonly clock: Clock;
}

/** When reading moves the access time, mount(8): always, when it is not after the last change or a day old, or never. */
export type AtimePolicy = 'strictatime' | 'relatime' | 'noatime';

export interface AccessTimesOptions {
  readonly policy: AtimePolicy;
  /** Of directories too (not `nodiratime`). */
  readonly directories: boolean;
}

/** Most times held; beyond it the oldest is forgotten: a read that nobody will know of. */
const PENDING_MAX = 16_384;
const FLUSH_MS = 10_000;
const CLOSE_MAX_MS = 2000;
const DAY_SEC = 86_400;

/**
 * Access times: the kernel leaves them to the server. A read costs no request: the time is noted, shown with the attributes, and sent with others after some seconds, at the end of the
 * mount at the latest. A crash loses the last of them.
 */
export class AccessTimes {
  readonly #meta: Pick<Metadata, 'now' | 'updateAtimes'>;
  readonly #clock: Clock;
  readonly #opts: AccessTimesOptions;
  /** Oldest first. INVARIANT: at most PENDING_MAX. */
  #pending = new Map<Ino, Timespec>();
  /** On their way to the server. */
  #sent: ReadonlyMap<Ino, Timespec> = new Map();
  /** Of those, what has been set meanwhile: not to be sent again. */
  readonly #forgotten = new Set<Ino>();
  #sending: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: AccessTimesDeps, opts: AccessTimesOptions) {
    this.#meta = deps.meta;
    this.#clock = deps.clock;
    this.#opts = opts;
  }

  get size(): number {
    return this.#pending.size + this.#sent.size;
  }

  /** The inode with these attributes was read. */
  accessed(attr: InodeAttr): void {
    const { policy, directories } = this.#opts;
    if (policy === 'noatime' || (!directories && isDirectory(attr.mode))) return;
    const now = this.#meta.now();
    if (policy === 'relatime' && !isDue(this.show(attr), now)) return;
    this.#pending.delete(attr.ino);
    this.#pending.set(attr.ino, now);
    if (this.#pending.size > PENDING_MAX) this.#pending.delete(this.#pending.keys().next().value!);
    this.#timer ??= setTimeout(() => void this.flush().catch(() => undefined), FLUSH_MS).unref();
  }

  /** The attributes with the time of the last read here. */
  show(attr: InodeAttr): InodeAttr {
    if (this.size === 0) return attr;
    const atime = this.#pending.get(attr.ino) ?? this.#sent.get(attr.ino);
    return atime === undefined || compareTime(atime, attr.atime) <= 0 ? attr : { ...attr, atime };
  }

  /** The access time is about to be set: what was noted before is over, and may not reach the server after it. */
  forget(ino: Ino): MaybePromise<void> {
    this.#pending.delete(ino);
    if (!this.#sent.has(ino)) return undefined;
    this.#forgotten.add(ino);
    return this.#sending?.catch(() => undefined);
  }

  /** Sends what is noted. What cannot be sent now is kept for the next time. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#sending !== undefined) await this.#sending;
    if (this.#pending.size === 0) return;
    this.#sent = this.#pending;
    this.#pending = new Map();
    this.#sending = this.#send().finally(() => {
      this.#sent = new Map();
      this.#forgotten.clear();
      this.#sending = undefined;
    });
    await this.#sending;
  }

  /** Sends the last of them, but does not wait for a server that is away. */
  async close(): Promise<void> {
    const waiting = new AbortController();
    const giveUp = this.#clock.sleep(CLOSE_MAX_MS, waiting.signal).catch(() => undefined);
    await Promise.race([this.flush().catch(() => undefined), giveUp]);
    waiting.abort();
    clearTimeout(this.#timer);
  }

  async #send(): Promise<void> {
    const times = [...this.#sent].map(([ino, atime]) => ({ ino, atime }));
    for (let at = 0; at < times.length; at += ACCESSES_MAX) {
      try {
        await this.#meta.updateAtimes(times.slice(at, at + ACCESSES_MAX));
      } catch (error) {
        for (const { ino, atime } of times.slice(at)) {
          if (!this.#pending.has(ino) && !this.#forgotten.has(ino)) this.#pending.set(ino, atime);
        }
        this.#timer ??= setTimeout(() => void this.flush().catch(() => undefined), FLUSH_MS).unref();
        throw error;
      }
    }
  }
}

/** relatime_need_update() of the kernel. */
function isDue({ atime, mtime, ctime }: InodeAttr, now: Timespec): boolean {
  return compareTime(atime, mtime) <= 0 || compareTime(atime, ctime) <= 0 || now.sec - atime.sec >= DAY_SEC;
}
