import type { Clock } from '../../common/clock.js';
import { errorMessage } from '../../common/fs-error.js';
import { interruptible } from '../../common/interruptible.js';
import type { Logger } from '../../common/logger.js';
import type { Counter, MetricsRegistry } from '../../common/metrics.js';
import type { Metadata } from '../../meta/metadata.js';
import { chunkKey } from '../../model/chunk-key.js';
import { NO_CHUNK, type Extent } from '../../model/extent.js';
import type { ChunkId, Ino } from '../../model/ids.js';
import type { InodeTable } from '../inode-table.js';
import type { ChunkCache } from '../read/chunk-cache.js';
import type { ChunkTransfer } from '../transfer/chunk-transfer.js';

export interface CompactorDeps {
  readonly table: InodeTable;
  readonly metadata: Metadata;
  readonly transfer: ChunkTransfer;
  readonly cache: ChunkCache;
  readonly clock: Clock;
  /** Nothing is being uploaded and nobody waits. */
  readonly idle: () => boolean;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

/** Blocks remembered to be looked at. */
const CANDIDATES_MAX = 1000;
/** A block of more runs than this costs readers too much. */
const FRAGMENTS_MAX = 32;
/** A block must rest so long before it is rewritten: what is still being written will change again. */
const REST_MS = 10_000;
const TICK_MS = 1000;
/** After a rewrite it pauses for this many times what that took: at most a quarter of the bandwidth. */
const PAUSE_FACTOR = 3;

/**
 * Rewrites blocks that are read from too many pieces, or whose chunks are mostly garbage, as one chunk each: in the background, when the mount is idle, one at a time. The swap
 * holds only if the extents it read are still there, so no lock is needed; a failure leaves an unreferenced object, left for a collection by chunk-id range, which is not built yet.
 */
export class Compactor {
  readonly #deps: CompactorDeps;
  /** Block keys with the time since which they may be looked at. INVARIANT: at most CANDIDATES_MAX. */
  readonly #candidates = new Map<string, { readonly ino: Ino; readonly block: number; readonly sinceMs: number }>();
  readonly #closing = new AbortController();
  readonly #rewritten: Counter;
  #loop: Promise<void> | undefined;

  constructor(deps: CompactorDeps) {
    this.#deps = deps;
    this.#rewritten = deps.metrics.counter({ name: 'compaction_bytes_total', help: 'Bytes rewritten by compaction' });
    deps.metrics.gauge(
      { name: 'compaction_candidates', help: 'Blocks that compaction will look at' },
      () => this.#candidates.size,
    );
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** A reader met this block. */
  consider(ino: Ino, block: number, extents: readonly Extent[]): void {
    if (this.#candidates.size >= CANDIDATES_MAX || !worthwhile(written(extents))) return;
    const key = `${ino}/${block}`;
    if (!this.#candidates.has(key)) this.#candidates.set(key, { ino, block, sinceMs: this.#deps.clock.monotonicMs() });
  }

  /** Rewrites one block now; false when there was nothing to gain, or it was changed meanwhile. */
  async compactBlock(ino: Ino, block: number): Promise<boolean> {
    const { metadata, transfer, table } = this.#deps;
    const { signal } = this.#closing;
    const map = await metadata.readExtents(ino, block, 1, signal);
    const extents = written(map.blocks.find((candidate) => candidate.block === block)?.extents ?? []);
    if (!worthwhile(extents) && extents.length < 2) return false;
    const payload = await interruptible(this.#read(extents), signal);
    const chunkId = await metadata.allocateChunkId(signal);
    const key = chunkKey(metadata.fs.id, chunkId);
    await transfer.put({ key, chunkId, payloadBytes: payload.length, source: { kind: 'bytes', payload } }, signal);
    const swapped = await metadata.swapExtents({ opId: metadata.clientOpId(), signal }, ino, {
      expected: [{ block, extents }],
      replacement: [{ block, extents: replacement(extents, chunkId) }],
      chunks: [{ chunkId, size: payload.length }],
    });
    table.get(ino)?.extents.forgetBlock(block);
    if (swapped) this.#rewritten.inc(payload.length);
    return swapped;
  }

  /** A rewrite under way is given up, whatever it waits for: its outcome matters to no one. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#deps;
    let pauseMs = TICK_MS;
    while (!this.#closing.signal.aborted) {
      await clock.sleep(pauseMs, this.#closing.signal).catch(() => undefined);
      pauseMs = TICK_MS;
      const next = this.#next();
      if (next === undefined || this.#closing.signal.aborted) continue;
      const begun = clock.monotonicMs();
      try {
        await this.compactBlock(next.ino, next.block);
      } catch (error) {
        if (!this.#closing.signal.aborted)
          logger.info('a block was not compacted', { ...next, error: errorMessage(error) });
      }
      pauseMs = Math.max(TICK_MS / 10, PAUSE_FACTOR * (clock.monotonicMs() - begun));
    }
  }

  /** A block that has rested, while nothing else is to be done. */
  #next(): { readonly ino: Ino; readonly block: number } | undefined {
    const { clock, table, idle } = this.#deps;
    if (!idle()) return undefined;
    const now = clock.monotonicMs();
    for (const [key, { ino, block, sinceMs }] of this.#candidates) {
      const state = table.get(ino);
      if (now - Math.max(sinceMs, state?.writtenMs ?? 0) < REST_MS) continue;
      this.#candidates.delete(key);
      if (state?.overlay.blocks.has(block) === true) continue;
      return { ino, block };
    }
    return undefined;
  }

  async #read(extents: readonly Extent[]): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for (const { chunkId, chunkOffset, length } of extents) {
      const views = await this.#deps.cache.get(chunkId, chunkOffset, chunkOffset + length);
      let got = 0;
      for (const view of views) {
        got += view.length;
        parts.push(view);
      }
      if (got !== length) throw new Error(`chunk ${chunkId} is shorter than its extents`);
    }
    return Buffer.concat(parts);
  }
}

/** What is allocated and empty has nothing to rewrite, and stays as it is. */
function written(extents: readonly Extent[]): readonly Extent[] {
  return extents.filter(({ chunkId }) => chunkId !== NO_CHUNK);
}

/** Many runs; or chunks of which this block uses less than half of what lies between the parts it uses. */
function worthwhile(extents: readonly Extent[]): boolean {
  if (extents.length > FRAGMENTS_MAX) return true;
  const spans = new Map<ChunkId, { low: number; high: number; live: number }>();
  for (const { chunkId, chunkOffset, length } of extents) {
    const span = spans.get(chunkId) ?? { low: chunkOffset, high: chunkOffset, live: 0 };
    span.low = Math.min(span.low, chunkOffset);
    span.high = Math.max(span.high, chunkOffset + length);
    span.live += length;
    spans.set(chunkId, span);
  }
  let live = 0;
  let spanned = 0;
  for (const span of spans.values()) {
    live += span.live;
    spanned += span.high - span.low;
  }
  return live * 2 < spanned;
}

/** The same bytes in one chunk; holes stay holes. */
function replacement(extents: readonly Extent[], chunkId: ChunkId): Extent[] {
  const result: { offset: number; length: number; chunkId: ChunkId; chunkOffset: number }[] = [];
  let chunkOffset = 0;
  for (const { offset, length } of extents) {
    const last = result[result.length - 1];
    if (last !== undefined && last.offset + last.length === offset) last.length += length;
    else result.push({ offset, length, chunkId, chunkOffset });
    chunkOffset += length;
  }
  return result;
}
