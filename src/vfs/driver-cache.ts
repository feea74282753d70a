import type { Ino } from '../model/ids.js';

/** What the driver remembers of inodes (the kernel's attribute cache), where a reply cannot carry the news. */
export interface DriverCache {
  /** Attributes changed as a side effect; resolves when the driver will ask again. Never waits for a request that is being answered. */
  invalidateAttr(ino: Ino): Promise<void>;
}
