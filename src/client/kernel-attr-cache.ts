import { FsError } from '../common/fs-error.js';
import { encodeInvalAttr, encodeInvalInode } from '../fuse/codec/notification.js';
import type { FuseDevice } from '../fuse/device/fuse-device.js';
import type { Ino } from '../model/ids.js';
import type { DriverCache } from '../vfs/driver-cache.js';

/** How long dropping a file's pages may wait for reads of them that are not answered. */
const DATA_DEADLINE_MS = 10_000;

/**
 * What the kernel caches of inodes, invalidated by notification. Attributes are only marked as old, and the kernel takes no lock for that which a request holds: any handler may wait for it.
 * Pages are waited for by the kernel while a READ or a page write-back of them is unanswered: only a handler that none of these waits for may wait for that (SETLK).
 */
export class KernelAttrCache implements DriverCache {
  #device: FuseDevice | undefined;

  /** The VFS is made before the device. */
  bind(device: FuseDevice): void {
    this.#device = device;
  }

  async invalidateAttr(ino: Ino): Promise<void> {
    // ENOENT = the kernel does not know the inode; any other failure costs no more than the attributes' time-out.
    await this.#device?.notify(encodeInvalAttr(ino), 'free');
  }

  async invalidateData(ino: Ino): Promise<void> {
    if (this.#device === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new FsError('ETIMEDOUT', 'the kernel waits for reads before it drops the pages of a file');
      timer = setTimeout(() => reject(error), DATA_DEADLINE_MS).unref();
    });
    try {
      await Promise.race([this.#device.notify(encodeInvalInode(ino, 0, 0), 'blocking'), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
