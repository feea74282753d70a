import type { Ino } from './ids.js';

/** Limits of the tree below a directory; 0 = none. */
export interface QuotaLimits {
  readonly bytesMax: number;
  readonly inodesMax: number;
}

/** A directory's quota and what is in its tree; the directory itself does not count. */
export interface Quota extends QuotaLimits {
  readonly ino: Ino;
  /** From the root of the filesystem. */
  readonly path: Uint8Array;
  /** Allocated bytes, in units of 4 KiB. */
  readonly usedBytes: number;
  readonly usedInodes: number;
  /** What the directory held when it got its quota is still being counted: the usage grows. */
  readonly counting: boolean;
}
