import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorMessage } from '../../common/fs-error.js';
import { makeDirectories } from '../../common/make-directories.js';
import type { MountConfig } from '../../config/mount-config.js';
import { readMountInfo } from '../../fuse/mount/mountinfo.js';
import { MountError } from './mount-error.js';
import { FS_TYPE, isInside, mountOf } from './prepare-mountpoint.js';

/**
 * Makes the cache directory and refuses places where the mount would wait for itself: inside the mountpoint or any mount of ours. The same for the log.
 */
export async function prepareCacheDir(config: MountConfig): Promise<void> {
  await refuseOwnMounts('cache_dir', config.cacheDir, config.mountpoint);
  if (config.log !== undefined) await refuseOwnMounts('log', config.log, config.mountpoint);
  try {
    makeDirectories(config.cacheDir, 0o700);
    await refuseOwnMounts('cache_dir', await realpath(config.cacheDir), config.mountpoint);
    if (config.log !== undefined) makeDirectories(dirname(config.log));
  } catch (error) {
    if (error instanceof MountError) throw error;
    throw new MountError(2, `cache_dir ${config.cacheDir}: ${errorMessage(error)}`, { cause: error });
  }
}

async function refuseOwnMounts(option: string, path: string, mountpoint: string): Promise<void> {
  if (isInside(path, mountpoint)) {
    throw new MountError(1, `${option} ${path} lies inside the mountpoint ${mountpoint}`);
  }
  const mount = mountOf(await readMountInfo(), path);
  if (mount?.fsType === FS_TYPE) {
    throw new MountError(
      1,
      `${option} ${path} lies on a curvefs mount (${mount.mountPoint}): it must be on a local disk`,
    );
  }
}
