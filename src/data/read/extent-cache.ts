import { clipExtents, overlayExtents, type BlockExtents, type Extent } from '../../model/extent.js';
import type { ExtentMap } from '../../meta/metadata.js';

/** An extent list may be used this long after the server's reply: replaced chunks are deleted after twice that. */
export const EXTENTS_VALID_MS = 60_000;

interface Entry {
  extents: readonly Extent[];
  readonly untilMs: number;
}

/** Counts cached extents over all inodes, so that their memory is bounded: what grows past it makes the least recently filled caches forget. */
export class ExtentBudget {
  readonly #extentsMax: number;
  readonly #caches = new Set<ExtentCache>();
  #extents = 0;

  constructor(extentsMax: number) {
    this.#extentsMax = extentsMax;
  }

  get extents(): number {
    return this.#extents;
  }

  /** Most of one inode. */
  get perInodeMax(): number {
    return this.#extentsMax / 2;
  }

  /** The cache grew or shrank. */
  changed(cache: ExtentCache, by: number): void {
    this.#extents += by;
    if (by <= 0) return;
    this.#caches.delete(cache);
    this.#caches.add(cache);
    for (const oldest of this.#caches) {
      if (this.#extents <= this.#extentsMax || oldest === cache) break;
      oldest.clear();
    }
  }

  forget(cache: ExtentCache): void {
    this.#caches.delete(cache);
  }
}

/** The committed extents of one inode's blocks as far as they are known; own commits and truncations change it in place. */
export class ExtentCache {
  readonly #blockSize: number;
  readonly #budget: ExtentBudget;
  readonly #blocks = new Map<number, Entry>();
  #count = 0;

  constructor(blockSize: number, budget: ExtentBudget) {
    this.#blockSize = blockSize;
    this.#budget = budget;
  }

  /** The block's extents; undefined = not known, or known for too long. */
  get(block: number, nowMs: number): readonly Extent[] | undefined {
    const entry = this.#blocks.get(block);
    return entry === undefined || entry.untilMs < nowMs ? undefined : entry.extents;
  }

  /** Takes a reply that was asked for blocks from `first`; what it does not mention up to its end is a hole. */
  fill(map: ExtentMap, first: number, end: number, nowMs: number): void {
    const untilMs = nowMs + EXTENTS_VALID_MS;
    if (this.#count > this.#budget.perInodeMax) this.clear();
    for (let block = first; block < Math.min(end, map.nextBlock); block++) this.#set(block, { extents: [], untilMs });
    for (const { block, extents } of map.blocks) this.#set(block, { extents, untilMs });
  }

  /** An own commit: what is known of its blocks changes with it. `sizeBefore`: blocks at or behind the committed size before it were holes. */
  commit(blocks: readonly BlockExtents[], sizeBefore: number, nowMs: number): void {
    for (const { block, extents } of blocks) {
      const entry = this.#blocks.get(block);
      if (entry !== undefined) {
        this.#set(block, { extents: overlayExtents(entry.extents, extents), untilMs: entry.untilMs });
      } else if (block * this.#blockSize >= sizeBefore) {
        this.#set(block, { extents, untilMs: nowMs + EXTENTS_VALID_MS });
      }
    }
  }

  truncate(size: number): void {
    for (const [block, entry] of this.#blocks) {
      const end = size - block * this.#blockSize;
      if (end >= this.#blockSize) continue;
      if (end <= 0) this.#delete(block, entry);
      else this.#set(block, { extents: clipExtents(entry.extents, 0, end), untilMs: entry.untilMs });
    }
  }

  /** Forgets the blocks that [start, end) of the file meets. */
  forget(start: number, end: number): void {
    for (const [block, entry] of this.#blocks) {
      if (block * this.#blockSize < end && (block + 1) * this.#blockSize > start) this.#delete(block, entry);
    }
  }

  forgetBlock(block: number): void {
    const entry = this.#blocks.get(block);
    if (entry !== undefined) this.#delete(block, entry);
  }

  clear(): void {
    this.#blocks.clear();
    this.#budget.changed(this, -this.#count);
    this.#budget.forget(this);
    this.#count = 0;
  }

  /** All that is known, for compaction to look at. */
  *known(): Iterable<BlockExtents> {
    for (const [block, { extents }] of this.#blocks) yield { block, extents };
  }

  #set(block: number, entry: Entry): void {
    const by = 1 + entry.extents.length - this.#weight(block);
    this.#blocks.set(block, entry);
    this.#count += by;
    this.#budget.changed(this, by);
  }

  #delete(block: number, entry: Entry): void {
    this.#blocks.delete(block);
    this.#count -= 1 + entry.extents.length;
    this.#budget.changed(this, -(1 + entry.extents.length));
  }

  #weight(block: number): number {
    const entry = this.#blocks.get(block);
    return entry === undefined ? 0 : 1 + entry.extents.length;
  }
}
