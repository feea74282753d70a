/** Where an inode's readers are: what read-ahead is decided by. */
export class ReadAheadState {
  /** Where a sequential reader goes on. */
  next = 0;
  /** Bytes to be fetched ahead of it; 0 = the reads are not sequential. */
  window = 0;
  /** Up to here the fetching was started. */
  until = 0;
}
