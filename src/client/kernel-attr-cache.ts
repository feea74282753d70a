import { encodeInvalAttr } from '../fuse/codec/notification.js';
import type { FuseDevice } from '../fuse/device/fuse-device.js';
import type { Ino } from '../model/ids.js';
import type { DriverCache } from '../vfs/driver-cache.js';

/**
 * The kernel's attribute cache, invalidated by notification. The one kind that a handler may wait for: the kernel only marks the attributes as old, and
 * takes no lock that a request holds (fuse.md section 6).
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
}
