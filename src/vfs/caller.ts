import type { Clock } from '../common/clock.js';
import { CAPABILITY, type Capability, type Identity } from '../model/permission.js';
import type { ReadThreadIdentity, ThreadIdentity } from './proc-status.js';
import type { VfsContext } from './vfs-context.js';

/** Whose rights and ownership replace the caller's: nobody's, root's or everybody's. */
export interface Squash {
  readonly who: 'none' | 'root' | 'all';
  readonly uid: number;
  readonly gid: number;
}

export const NO_SQUASH: Squash = { who: 'none', uid: 0, gid: 0 };

const CACHE_MS = 1000;
const CACHE_MAX = 1024;

interface Cached {
  readonly identity: ThreadIdentity | undefined;
  readonly atMs: number;
}

/** An {@link Identity} whose answers may come from a cache. */
export interface Caller extends Identity {
  /** Looks anew at what the answers come from, before they deny something; false when that cannot change them. */
  refresh(): boolean;
}

/**
 * Makes the identity that the permission rules ask. uid and gid come with the request; supplementary groups and capabilities are read from
 * /proc only when a rule asks, and kept for a second: what they grant may be that old, nothing is denied by them without another look.
 * Where they cannot be read and the kernel checks permissions itself, they count in the caller's favour.
 */
export class Callers {
  // Dependencies
  readonly #read: ReadThreadIdentity;
  readonly #clock: Clock;
  // Constants
  readonly #squash: Squash;
  readonly kernelChecks: boolean;
  // Mutable state
  /** INVARIANT: at most CACHE_MAX entries, oldest first. */
  readonly #cache = new Map<number, Cached>();

  constructor(
    deps: { readonly read: ReadThreadIdentity; readonly clock: Clock },
    opts: { readonly squash: Squash; readonly kernelChecks: boolean },
  ) {
    this.#read = deps.read;
    this.#clock = deps.clock;
    this.#squash = opts.squash;
    this.kernelChecks = opts.kernelChecks;
  }

  identify(ctx: VfsContext): Caller {
    const { who, uid, gid } = this.#squash;
    if (who === 'all' || (who === 'root' && ctx.uid === 0)) return new SquashedIdentity(uid, gid);
    return new CallerIdentity(ctx, this);
  }

  /** What /proc says of the caller; undefined when it cannot be read or is not that caller any more. */
  lookUp(ctx: VfsContext): ThreadIdentity | undefined {
    if (ctx.tid === 0) return undefined;
    const found = this.#cached(ctx.tid);
    return found !== undefined && found.fsuid === ctx.uid && found.fsgid === ctx.gid ? found : undefined;
  }

  /** The next {@link lookUp} reads /proc. */
  forget(tid: number): void {
    this.#cache.delete(tid);
  }

  #cached(tid: number): ThreadIdentity | undefined {
    const now = this.#clock.monotonicMs();
    const cached = this.#cache.get(tid);
    if (cached !== undefined && now - cached.atMs < CACHE_MS) return cached.identity;
    this.#cache.delete(tid);
    const identity = this.#read(tid);
    this.#cache.set(tid, { identity, atMs: now });
    if (this.#cache.size > CACHE_MAX) this.#cache.delete(this.#cache.keys().next().value!);
    return identity;
  }
}

class CallerIdentity implements Caller {
  readonly uid: number;
  readonly gid: number;
  readonly #ctx: VfsContext;
  readonly #callers: Callers;
  #isFresh = false;

  constructor(ctx: VfsContext, callers: Callers) {
    this.uid = ctx.uid;
    this.gid = ctx.gid;
    this.#ctx = ctx;
    this.#callers = callers;
  }

  get kernelChecked(): boolean {
    return this.#callers.kernelChecks;
  }

  inGroup(gid: number): boolean | undefined {
    if (gid === this.gid || gid === this.#ctx.suppGid) return true;
    return this.#callers.lookUp(this.#ctx)?.groups.has(gid);
  }

  /** Root has them all unless /proc says that it has given some up; and the kernel acts as root, with no thread. */
  capable(capability: Capability): boolean | undefined {
    const found = this.#callers.lookUp(this.#ctx);
    if (found === undefined) return this.uid === 0 ? true : undefined;
    return (found.capabilities & CAPABILITY_BITS[capability]) !== 0n;
  }

  refresh(): boolean {
    if (this.#isFresh || this.#ctx.tid === 0) return false;
    this.#isFresh = true;
    this.#callers.forget(this.#ctx.tid);
    return true;
  }
}

const CAPABILITY_BITS = Object.fromEntries(
  Object.entries(CAPABILITY).map(([name, bit]) => [name, 1n << BigInt(bit)]),
) as Readonly<Record<Capability, bigint>>;

/** Another user in the caller's place: no supplementary groups, no capabilities. */
class SquashedIdentity implements Caller {
  readonly kernelChecked = false;
  readonly uid: number;
  readonly gid: number;

  constructor(uid: number, gid: number) {
    this.uid = uid;
    this.gid = gid;
  }

  inGroup(gid: number): boolean {
    return gid === this.gid;
  }

  capable(): boolean {
    return false;
  }

  refresh(): boolean {
    return false;
  }
}
