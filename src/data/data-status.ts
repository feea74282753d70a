/** What of a mount's data is not in the store, and why: for people who look after it. */
export interface DataStatus {
  /** Acknowledged bytes that are not committed yet; they are in the journal. */
  readonly dirtyBytes: number;
  /** Uploads or commits that fail and are tried again; undefined = none. */
  readonly failing: FailingUploads | undefined;
  /** Why nothing can be uploaded any more until the filesystem is mounted anew; undefined while the session lives. */
  readonly sessionLost: string | undefined;
  /** Journals of ended sessions that were not, or not whole, taken over. Each is listed until somebody removes it, the first {@link JOURNALS_LISTED_MAX} by path. */
  readonly leftJournals: { readonly count: number; readonly paths: readonly string[] };
}

export interface FailingUploads {
  readonly inodes: number;
  /** Unix time of the oldest failure that lasts. */
  readonly sinceMs: number;
  readonly lastError: string;
}

export const JOURNALS_LISTED_MAX = 20;
