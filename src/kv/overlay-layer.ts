import { keyToString } from './key-string.js';
import type { RecordRef } from '../journal/journal.js';
import type { LoggedBatch } from './batch-codec.js';
import { SortedMap } from './sorted-map.js';

/** What one layer says of a key: its value, `null` when it deletes it, undefined when it says nothing. */
export type LayerValue = Uint8Array | null | undefined;

/** The reading side of a layer. */
export interface LayerView {
  readonly entries: SortedMap<Uint8Array | null>;
  /** Ranges of which everything below this layer is gone, as start → end; they never overlap. `entries` are laid over them. */
  readonly cleared: SortedMap<string>;
}

/** What committed batches did, as one change: the embedded engine holds those that it has not applied to its tree yet in a few of these. */
export class OverlayLayer implements LayerView {
  readonly entries: SortedMap<Uint8Array | null>;
  readonly cleared: SortedMap<string>;
  /** Their records in the log, to be released once the layer is applied. */
  readonly records: RecordRef[] = [];
  /** Bytes that its batches take in the log, and memory that its entries take beside. */
  bytes = 0;
  lastSequence = 0;
  /** True once it is in the tree. */
  applied = false;

  constructor(view?: LayerView) {
    this.entries = view?.entries.snapshot() ?? new SortedMap();
    this.cleared = view?.cleared.snapshot() ?? new SortedMap();
  }

  get isEmpty(): boolean {
    return this.entries.size === 0 && this.cleared.size === 0;
  }

  /** Lays a batch over what is there. `values` are the puts' values, which the layer keeps. */
  apply(batch: LoggedBatch, values: readonly Uint8Array[]): void {
    for (const { start, end } of batch.deleteRanges) this.#clear(keyToString(start), keyToString(end));
    for (const key of batch.deletes) this.entries.set(keyToString(key), null);
    batch.puts.forEach(({ key }, index) => this.entries.set(keyToString(key), values[index]!));
  }

  /** A view of this moment, which later changes leave alone. */
  view(): LayerView {
    return { entries: this.entries.snapshot(), cleared: this.cleared.snapshot() };
  }

  #clear(start: string, end: string): void {
    if (start >= end) return;
    for (const key of this.entries.keysIn(start, end)) this.entries.delete(key);
    // one range takes the place of all that it touches
    const before = this.cleared.floor(start);
    let from = start;
    let to = end;
    if (before !== undefined && before.value >= start) {
      from = before.key;
      if (before.value > to) to = before.value;
    }
    for (const key of this.cleared.keysIn(from, `${end}\0`)) {
      const old = this.cleared.delete(key)!;
      if (old > to) to = old;
    }
    this.cleared.set(from, to);
  }
}

/** What the layer says of the key. */
export function lookup(layer: LayerView, key: string): LayerValue {
  const value = layer.entries.get(key);
  if (value !== undefined) return value;
  return clearedRange(layer, key) === undefined ? undefined : null;
}

/** The range of the layer's that clears the key below it. */
export function clearedRange(
  layer: LayerView,
  key: string,
): { readonly start: string; readonly end: string } | undefined {
  if (layer.cleared.size === 0) return undefined;
  const range = layer.cleared.floor(key);
  return range !== undefined && key < range.value ? { start: range.key, end: range.value } : undefined;
}
