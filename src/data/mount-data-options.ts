/** What a mount says of its data path; the defaults are those of the mount options. */
export interface MountDataSettings {
  /** fsync and close rest on the journal instead of the object store (`-o writeback`). */
  readonly writeback: boolean;
  /** Memory for fetched chunk payload, and the part of it that read-ahead may take. */
  readonly memoryCacheBytes: number;
  readonly readAheadBytes: number;
  /** Size of the block cache on disk; 0 = none. */
  readonly cacheSizeBytes: number;
  /** Written data is uploaded at this age. */
  readonly flushIntervalMs: number;
  /** Uploads at once. */
  readonly uploadsMax: number;
  /** Compaction of blocks that this mount reads or writes. */
  readonly compaction: boolean;
}

/** Limits that no mount option sets. */
export interface MountDataLimits {
  /** Smallest fetch of a random reader. */
  readonly randomFetchBytes: number;
  readonly cacheFilesMax: number;
  /** Most runs of dirty bytes in memory; writers wait at it. */
  readonly dirtyExtentsMax: number;
  /** Scattered writes of one file are uploaded when there are so many bytes of them. */
  readonly scatteredBytes: number;
  /** Space held at the server beyond what is dirty. */
  readonly reserveAheadBytes: number;
  /** Committed extents kept in memory. */
  readonly extentsMax: number;
}

/** How the data path of a mount behaves; every limit is here. */
export interface MountDataOptions extends MountDataSettings, MountDataLimits {}

export const DATA_LIMITS: MountDataLimits = {
  randomFetchBytes: 32 << 10,
  cacheFilesMax: 200_000,
  dirtyExtentsMax: 131_072,
  scatteredBytes: 32 << 20,
  reserveAheadBytes: 64 << 20,
  extentsMax: 262_144,
};
