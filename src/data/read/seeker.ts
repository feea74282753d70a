import { FsError } from '../../common/fs-error.js';
import type { Metadata } from '../../meta/metadata.js';
import { NO_CHUNK, type Extent } from '../../model/extent.js';
import type { InodeState } from '../inode-state.js';

export interface SeekerDeps {
  readonly metadata: Metadata;
  readonly nowMs: () => number;
}

/** What lseek(2) looks for. */
export type SeekTarget = 'data' | 'hole';

/** Blocks asked for at once to begin with; what is asked for beyond that is not kept, as it may be very many. */
const BLOCKS = 64;
/** Replies that are out of date when they come, before it gives up. */
const STALE_MAX = 64;
/** Blocks asked for at most. */
const BLOCKS_MAX = 1 << 20;

interface Run {
  readonly start: number;
  readonly end: number;
}

/** The written parts of some blocks up to a block `end`, at a change number of the inode. */
interface Committed {
  readonly runs: readonly Run[];
  readonly end: number;
  readonly change: number;
}

/**
 * SEEK_DATA and SEEK_HOLE: the dirty overlay and the committed extents are data, but for what is allocated and empty; everything else is a hole, and so is the end of the file.
 */
export class Seeker {
  readonly #deps: SeekerDeps;
  readonly #blockSize: number;

  constructor(deps: SeekerDeps) {
    this.#deps = deps;
    this.#blockSize = deps.metadata.fs.blockSizeBytes;
  }

  /** ENXIO at or behind the end of the file, and where no data follows. */
  async seek(state: InodeState, offset: number, target: SeekTarget, signal?: AbortSignal): Promise<number> {
    let at = offset;
    let stale = 0;
    for (let count = BLOCKS; ;) {
      if (at >= state.size) {
        if (target === 'hole' && offset < state.size) return state.size;
        throw new FsError('ENXIO', `no ${target} at or behind ${offset}`);
      }
      const first = Math.floor(at / this.#blockSize);
      const found = this.#known(state, first) ?? (await this.#ask(state, first, count, signal));
      // What was dirty may have been committed since: neither here nor there, it would look like a hole.
      if (found.change !== state.attr.change) {
        if (++stale <= STALE_MAX) continue;
        throw new FsError('EIO', `inode ${state.ino}: it changes faster than it can be read`);
      }
      const until = Math.min(state.size, found.end * this.#blockSize);
      const runs = merged([...found.runs, ...dirtyRuns(state, at, until)]);
      for (const { start, end } of runs) {
        if (end <= at || start >= state.size) continue;
        if (target === 'data') return Math.max(at, start);
        if (start > at) return at;
        at = end;
      }
      // Behind the last run, as far as was looked, is a hole.
      if (target === 'hole' && at < until) return at;
      at = Math.max(at, until);
      count = Math.min(BLOCKS_MAX, count * 4);
    }
  }

  /** Undefined when the server has to be asked about the first block. */
  #known(state: InodeState, first: number): Committed | undefined {
    const { change, size } = state.attr;
    // Nothing is written at or behind the committed size.
    if (first * this.#blockSize >= size) return { runs: [], end: Infinity, change };
    const now = this.#deps.nowMs();
    const runs: Run[] = [];
    let block = first;
    for (let extents; (extents = state.extents.get(block, now)) !== undefined && block < first + BLOCKS; block++) {
      runs.push(...this.#runs(block, extents));
    }
    return block > first ? { runs, end: block, change } : undefined;
  }

  async #ask(state: InodeState, first: number, count: number, signal: AbortSignal | undefined): Promise<Committed> {
    const map = await this.#deps.metadata.readExtents(state.ino, first, count, signal);
    const { change } = map.attr;
    state.learn(map.attr);
    if (count === BLOCKS && change === state.attr.change) {
      state.extents.fill(map, first, first + count, this.#deps.nowMs());
    }
    const runs = map.blocks.flatMap(({ block, extents }) => this.#runs(block, extents));
    return { runs, end: Math.min(first + count, map.nextBlock), change };
  }

  #runs(block: number, extents: readonly Extent[]): Run[] {
    const base = block * this.#blockSize;
    return extents
      .filter(({ chunkId }) => chunkId !== NO_CHUNK)
      .map(({ offset, length }) => ({ start: base + offset, end: base + offset + length }));
  }
}

function dirtyRuns(state: InodeState, from: number, until: number): Run[] {
  const runs: Run[] = [];
  for (const { pieces } of state.overlay.blocks.values()) {
    for (const { start, end } of pieces) if (end > from && start < until) runs.push({ start, end });
  }
  return runs;
}

/** Sorted, those that touch joined. */
function merged(runs: readonly Run[]): Run[] {
  const result: { start: number; end: number }[] = [];
  for (const run of [...runs].sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last !== undefined && run.start <= last.end) last.end = Math.max(last.end, run.end);
    else result.push({ ...run });
  }
  return result;
}
