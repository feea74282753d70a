import type { Ino } from '../model/ids.js';

/** What the driver remembers of inodes (the kernel's attribute cache), where a reply cannot carry the news. */
export interface DriverCache {
  /** Attributes changed as a side effect; resolves when the driver will ask again. Never waits for a request that is being answered. */
  invalidateAttr(ino: Ino): Promise<void>;
  /**
   * Content changed at the server; resolves when the driver has dropped what it had of it, rejects with ETIMEDOUT when that takes too long. It waits for reads and page write-backs of
   * the file that are being answered: nothing that one of those needs may wait for it.
   */
  invalidateData(ino: Ino): Promise<void>;
}
