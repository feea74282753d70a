import { interruptible } from '../common/interruptible.js';
import { KeyedMutex } from '../common/keyed-mutex.js';
import type { ExtentMap, Metadata } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import { InodeState } from './inode-state.js';
import type { ExtentBudget } from './read/extent-cache.js';
import type { DirtyUnits } from './write/reservation.js';
import type { OverlaySink } from './write/dirty-overlay.js';

export interface InodeTableDeps {
  readonly metadata: Metadata;
  readonly sink: OverlaySink;
  /** Where what is dirty of a quota is counted. */
  readonly dirtyOf: (quota: Ino) => DirtyUnits;
  readonly budget: ExtentBudget;
  readonly nowMs: () => number;
}

/** The inodes that the data path knows, and their locks. */
export class InodeTable {
  readonly #deps: InodeTableDeps;
  readonly #states = new Map<Ino, InodeState>();
  /** Lock order: this one last; nothing else is taken under it. It is held over one RPC: of a commit or a setattr. */
  readonly lock = new KeyedMutex<Ino>();

  constructor(deps: InodeTableDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#states.size;
  }

  get(ino: Ino): InodeState | undefined {
    return this.#states.get(ino);
  }

  values(): Iterable<InodeState> {
    return this.#states.values();
  }

  opened(attr: InodeAttr, extents: ExtentMap | undefined): InodeState {
    const state = this.ensure(attr);
    state.opens++;
    if (extents !== undefined && extents.attr.change === state.attr.change) {
      state.extents.fill(extents, 0, extents.nextBlock, this.#deps.nowMs());
    }
    return state;
  }

  /** The state, with attributes just learnt. */
  ensure(attr: InodeAttr): InodeState {
    const known = this.#states.get(attr.ino);
    if (known !== undefined) {
      known.learn(attr);
      return known;
    }
    const { metadata, sink, budget, dirtyOf } = this.#deps;
    const state = new InodeState(
      { sink, budget, dirtyOf, blockSize: metadata.fs.blockSizeBytes, session: metadata.sessionId },
      attr,
    );
    this.#states.set(attr.ino, state);
    return state;
  }

  /** The state of an inode that may not be known here. */
  async load(ino: Ino, signal?: AbortSignal): Promise<InodeState> {
    return this.get(ino) ?? this.ensure(await this.#deps.metadata.getattr(ino, signal));
  }

  /** Runs `fn` holding the inode's lock; the wait for it ends with EINTR when the signal is aborted. */
  async locked<T>(ino: Ino, signal: AbortSignal | undefined, fn: () => Promise<T>): Promise<T> {
    const turn = this.lock.acquire(ino);
    let release: () => void;
    try {
      release = await interruptible(turn, signal);
    } catch (error) {
      // The turn comes all the same, and is passed on.
      void turn.then((pass) => pass());
      throw error;
    }
    try {
      return await fn();
    } finally {
      release();
    }
  }

  /** Forgets an inode that is not open and has nothing uncommitted. */
  trim(state: InodeState): void {
    if (state.opens > 0 || state.dirty || state.changing > 0 || state.committing) return;
    state.extents.clear();
    if (this.#states.get(state.ino) === state) this.#states.delete(state.ino);
  }
}
