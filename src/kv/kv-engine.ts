import type { Closable } from '../common/closable.js';
import type { MaybePromise } from '../common/maybe-promise.js';

export interface KvEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface RangeOptions {
  /** Most entries to return. */
  readonly limit: number;
  readonly reverse?: boolean;
}

/** Reads of one consistent, durable version. Returned bytes belong to the caller. Keys order as memcmp does. */
export interface KvReader {
  get(key: Uint8Array): MaybePromise<Uint8Array | undefined>;
  getMany(keys: readonly Uint8Array[]): MaybePromise<readonly (Uint8Array | undefined)[]>;
  /** Entries with start ≤ key < end, in key order (or reverse). */
  range(start: Uint8Array, end: Uint8Array, options: RangeOptions): MaybePromise<readonly KvEntry[]>;
}

/** A condition that must hold when a batch commits; declared, so that not every read becomes a conflict. */
export type KvGuard =
  | { readonly kind: 'unchanged'; readonly key: Uint8Array; readonly value: Uint8Array | undefined }
  | { readonly kind: 'exists'; readonly key: Uint8Array }
  | { readonly kind: 'absent'; readonly key: Uint8Array }
  | { readonly kind: 'emptyRange'; readonly start: Uint8Array; readonly end: Uint8Array };

/** Changes that become visible and durable together. Applied in this order: range deletes, deletes, puts; a key occurs in at most one of the latter two. */
export interface KvBatch {
  readonly puts: readonly KvEntry[];
  readonly deletes: readonly Uint8Array[];
  readonly deleteRanges: readonly { readonly start: Uint8Array; readonly end: Uint8Array }[];
  readonly guards: readonly KvGuard[];
}

export interface KvCommitOptions {
  /** False: visible and acknowledged before it is durable. */
  readonly durable?: boolean;
  /** True: it frees space, and may use what a full database keeps for that ({@link RESERVE_BYTES}). For a few small rows. */
  readonly reserve?: boolean;
}

/** What a full database still takes of commits that free space. */
export const RESERVE_BYTES = 1 << 20;

export interface KvProperties {
  readonly name: string;
  /** Longest key and value in bytes, most bytes in one batch. */
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  readonly batchBytesMax: number;
}

/**
 * An ordered transactional key-value engine.
 *
 * `commit` is atomic; when it resolves the batch is durable and every later read sees it; before that no read does (with `durable: false`: visible and acknowledged at
 * once, durable at the next barrier or within the engine's flush interval). Commits may be issued without waiting: they take effect in the order of the calls, and when
 * one fails, those issued after it and not yet resolved fail too (`aborted`). Errors are `KvError` (kv-error.ts): guard-failed, aborted, fenced, too-large, no-space, busy, io,
 * corrupt, locked, closed.
 */
export interface KvEngine extends KvReader, Closable {
  readonly properties: KvProperties;
  /** Reads that all see the version of this moment. Close it soon: it pins space. */
  snapshot(): KvReader & Disposable;
  commit(batch: KvBatch, options?: KvCommitOptions): Promise<void>;
  /** All that was committed before the call is durable when it resolves. */
  barrier(): Promise<void>;
  /** Bytes used and available to the database; a nearly full one makes its user refuse growth before deletes. */
  space(): { readonly usedBytes: number; readonly limitBytes: number };
}
