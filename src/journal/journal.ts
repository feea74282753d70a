import type { Closable } from '../common/closable.js';

/** Where a record's payload lies; held by the index of what is still needed. */
export interface RecordRef {
  /** Grows by one per record, over all segments of the journal. */
  readonly sequence: number;
  readonly segment: number;
  /** Offset of the payload in the segment file. */
  readonly position: number;
  readonly length: number;
}

/** A record as replay reads it. */
export interface JournalRecord {
  readonly ref: RecordRef;
  readonly kind: number;
  /** Small, the user's own versioned format. */
  readonly header: Uint8Array;
  /** View into replay's buffer, valid during the callback. */
  readonly payload: Uint8Array;
}

/**
 * A crash-safe local log of checksummed records in preallocated segment files. It knows nothing of files or keys: the mount's
 * write-back cache and the embedded engine's log both stand on it.
 *
 * A record is retained until it is released; a segment whose records are all released is recycled. Appends are synchronous (they reach the page cache: they survive
 * the death of the process, not of the machine); `sync` makes them survive that too.
 * Replay gives whole segments: released records too, while their segment has one that is retained. After a kill it finds everything appended; after a power cut everything
 * synced and perhaps some of what followed, and segments that were recycled after the last sync may be back.
 * A new journal object never appends to segments of an earlier one in the same directory: `replay` reads those, then they are dropped.
 * Errors are `JournalError`: full, too-large, io, corrupt, locked, version, closed.
 */
export interface Journal extends Closable {
  /** Most bytes that segments may take on disk, and what retained records take now. */
  readonly capacityBytes: number;
  readonly usedBytes: number;
  /** Throws `full` when there is no room: `reserved` appends may use the slice that is kept for them. */
  append(kind: number, header: Uint8Array, payload: Uint8Array, options?: { readonly reserved?: boolean }): RecordRef;
  /** Resolves when an append of `payloadBytes` would find room; FIFO among the waiters. */
  waitForSpace(payloadBytes: number, signal?: AbortSignal): Promise<void>;
  /** Everything appended before the call is on disk when it resolves; concurrent calls share one fdatasync. */
  sync(): Promise<void>;
  /** Reads payload bytes back, synchronously, verified against the record's checksum when read whole. */
  read(ref: RecordRef, offset: number, length: number): Buffer;
  /** Path of a segment's file, for readers in other threads. */
  segmentPath(segment: number): string;
  /** The record is not needed any more. */
  release(ref: RecordRef): void;
}
