import { openSync } from 'node:fs';
import { fromNodeError } from '../../common/fs-error.js';

/** The character device through which the kernel and a FUSE server talk. */
export const FUSE_DEVICE_PATH = '/dev/fuse';

/** Opens `/dev/fuse`, close-on-exec: pass it to a child by naming it in `stdio`. It has to be mounted before it can be read. */
export function openFuseDevice(path = FUSE_DEVICE_PATH): number {
  try {
    return openSync(path, 'r+');
  } catch (error) {
    throw fromNodeError(error, `cannot open ${path}`);
  }
}
