import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { Histogram } from '../common/metrics.js';
import type { LmdbTree } from './lmdb-tree.js';
import type { OverlayLayer } from './overlay-layer.js';

export interface TreeApplierEvents {
  /** The layer is in the tree, on disk. */
  applied(layer: OverlayLayer): void;
  /** The tree cannot be written: nothing is applied any more. */
  failed(error: unknown): void;
}

/** Applies sealed layers to the tree, one after the other, oldest first. How many wait is bounded by who adds them (see the engine's backlog). */
export class TreeApplier {
  readonly #tree: LmdbTree;
  readonly #logger: Logger;
  readonly #applySeconds: Histogram;
  readonly #events: TreeApplierEvents;
  readonly #waiting = new Set<OverlayLayer>();
  #running: Promise<void> | undefined;
  #current: Promise<void> | undefined;
  #stopped = false;

  constructor(
    deps: { readonly tree: LmdbTree; readonly logger: Logger; readonly applySeconds: Histogram },
    events: TreeApplierEvents,
  ) {
    this.#tree = deps.tree;
    this.#logger = deps.logger;
    this.#applySeconds = deps.applySeconds;
    this.#events = events;
  }

  get isIdle(): boolean {
    return this.#running === undefined;
  }

  /** Takes a layer to apply; one that it has or had already is ignored. */
  add(layer: OverlayLayer): void {
    if (layer.applied || this.#stopped) return;
    this.#waiting.add(layer);
    this.#running ??= this.#run();
  }

  /** Resolves when the layer that is being applied is done. */
  next(): Promise<void> {
    return this.#current ?? Promise.resolve();
  }

  /** Resolves when no layer waits. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Finishes the layer that is being applied. */
  async close(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (const layer of this.#waiting) {
      if (this.#stopped) break;
      const begun = performance.now();
      this.#current = this.#tree.apply(layer, layer.lastSequence);
      try {
        await this.#current;
      } catch (error) {
        this.#stopped = true;
        this.#logger.error('cannot apply to the tree; the log keeps what is missing', { error: errorMessage(error) });
        this.#events.failed(error);
        break;
      } finally {
        this.#current = undefined;
      }
      this.#applySeconds.observe((performance.now() - begun) / 1000);
      layer.applied = true;
      this.#waiting.delete(layer);
      this.#events.applied(layer);
    }
    // here, not in a continuation: a layer added between would wait for the next one
    this.#running = undefined;
  }
}
