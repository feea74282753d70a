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

/**
 * Makes the identity that the permission rules ask. uid and gid come with the request; supplementary groups and capabilities are read from
 * /proc only when a rule asks, and kept for a second, as a thread that was denied tends to try again.
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

  identify(ctx: VfsContext): Identity {
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

class CallerIdentity implements Identity {
  readonly uid: number;
  readonly gid: number;
  readonly #ctx: VfsContext;
  readonly #callers: Callers;

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

  /** Root is taken to have them all: one without has been denied by the kernel. */
  capable(capability: Capability): boolean | undefined {
    if (this.uid === 0) return true;
    const found = this.#callers.lookUp(this.#ctx);
    if (found === undefined) return undefined;
    return ((found.capabilities >> BigInt(CAPABILITY[capability])) & 1n) === 1n;
  }
}

/** Another user in the caller's place: no supplementary groups, no capabilities. */
class SquashedIdentity implements Identity {
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
}
