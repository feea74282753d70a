/** How the data path of a mount behaves; every limit is here. */
export interface MountDataOptions {
  /** fsync and close rest on the journal instead of the object store (`-o writeback`). */
  readonly writeback: boolean;
  /** Memory for fetched chunk payload, and the part of it that read-ahead may take. */
  readonly memoryCacheBytes: number;
  readonly readAheadBytes: number;
  /** Smallest fetch of a random reader. */
  readonly randomFetchBytes: number;
  /** Size of the block cache on disk; 0 = none. */
  readonly cacheSizeBytes: number;
  readonly cacheFilesMax: number;
  /** Most runs of dirty bytes in memory; writers wait at it. */
  readonly dirtyExtentsMax: number;
  /** Written data is uploaded at this age. */
  readonly flushIntervalMs: number;
  /** Uploads at once. */
  readonly uploadsMax: number;
  /** Scattered writes of one file are uploaded when there are so many bytes of them. */
  readonly scatteredBytes: number;
  /** Space held at the server beyond what is dirty. */
  readonly reserveAheadBytes: number;
  /** Committed extents kept in memory. */
  readonly extentsMax: number;
  /** Compaction of blocks that this mount reads or writes. */
  readonly compaction: boolean;
}

export const DEFAULT_DATA_OPTIONS: MountDataOptions = {
  writeback: false,
  memoryCacheBytes: 48 << 20,
  readAheadBytes: 16 << 20,
  randomFetchBytes: 32 << 10,
  cacheSizeBytes: 0,
  cacheFilesMax: 200_000,
  dirtyExtentsMax: 131_072,
  flushIntervalMs: 5000,
  uploadsMax: 8,
  scatteredBytes: 32 << 20,
  reserveAheadBytes: 64 << 20,
  extentsMax: 262_144,
  compaction: true,
};
