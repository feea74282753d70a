import type { Closable } from '../common/closable.js';

/** A stored object as a listing shows it. */
export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
}

/** What a store can do, as a value: nobody asks which class it is. */
export interface ObjectStoreProperties {
  /** For people: `s3://bucket/prefix`, `file:///dir`, `memory`. */
  readonly name: string;
  /** Requests that make sense at once. */
  readonly concurrency: number;
}

/**
 * A flat store of immutable objects. Keys are relative to the store's prefix: ASCII letters, digits, `/`, `-`, `_`, `.`.
 *
 * - `put` is atomic and durable when it resolves: nobody ever sees a part of an object. Putting the same key again replaces it (a retry).
 * - `get` of bytes past the end returns what is there; 'not-found' when the object is missing.
 * - `delete` of a missing object succeeds.
 * - Errors are `ObjectError` (object-error.ts) with a code that says whether a retry can help. Implementations do not retry; the retry decorator does.
 */
export interface ObjectStore extends Closable {
  readonly properties: ObjectStoreProperties;
  /** With `absent` it fails with 'exists' when the key is there already, be it by its own earlier attempt, and never replaces it; 'invalid' where the store does not know that. */
  put(key: string, body: Uint8Array, signal?: AbortSignal, condition?: PutCondition): Promise<void>;
  get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * What can be had without waiting, read into the front of `into` at once: how many bytes, which may be fewer than there are; undefined = nothing, ask {@link get}.
   * For stores that may have something near.
   */
  getNow?(key: string, offset: number, into: Buffer): number | undefined;
  /** The object's size in bytes. */
  head(key: string, signal?: AbortSignal): Promise<number>;
  delete(keys: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Objects whose key starts with `prefix` and is greater than `after`, in key order, at most `limit` (≤ 1000). */
  list(prefix: string, after: string, limit: number, signal?: AbortSignal): Promise<readonly ObjectInfo[]>;
}

/** The put is done only when no object has the key. Of several at once one succeeds, as far as the store keeps that (AWS S3 does; some gateways check first and put then). */
export type PutCondition = 'absent';

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}
