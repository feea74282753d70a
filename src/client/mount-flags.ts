import type { MountConfig } from '../config/mount-config.js';
import type { MountOptions } from '../fuse/mount/mount-options.js';

/** /proc/mounts shows the type `fuse.` and this. */
export const MOUNT_SUBTYPE = 'curvefs';

/**
 * The kernel's part of a mount's options. Permissions are always checked by the kernel too: it walks cached names by itself. The flags on access times other than
 * noatime are left out: the kernel keeps no access times for FUSE.
 */
export function kernelMountOptions(config: MountConfig): MountOptions {
  const flags = new Set(config.kernelFlags);
  return {
    defaultPermissions: true,
    allowOther: config.allowOther,
    readOnly: config.readOnly,
    nosuid: flags.has('nosuid'),
    nodev: flags.has('nodev'),
    noexec: flags.has('noexec'),
    noatime: flags.has('noatime'),
    nosymfollow: flags.has('nosymfollow'),
    sync: flags.has('sync'),
    dirsync: flags.has('dirsync'),
  };
}
