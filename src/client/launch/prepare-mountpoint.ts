import { errorMessage } from '../../common/fs-error.js';
import { findMount, mountPath, type MountInfo, readMountInfo } from '../../fuse/mount/mountinfo.js';
import { probeMount } from '../../fuse/mount/probe-mount.js';
import { unmountFuse } from '../../fuse/mount/unmount-fuse.js';
import { MountError } from './mount-error.js';
import { probePath } from './probe-path.js';

/** The type our mounts have in /proc/mounts. */
export const FS_TYPE = 'fuse.curvefs';
const PROBE_TIMEOUT_MS = 3000;
const DETACH_TIMEOUT_MS = 5000;

/**
 * Makes sure that something can be mounted at the path: an existing directory without a live mount of ours. A dead mount (ENOTCONN) is detached first.
 * Returns the canonical path. Throws a {@link MountError} that says what is wrong.
 */
export async function prepareMountpoint(mountpoint: string, uid: number): Promise<string> {
  await detachIfDead(mountpoint, uid);
  const probe = await probePath(mountpoint, PROBE_TIMEOUT_MS);
  switch (probe.kind) {
    case 'hung':
      throw new MountError(
        32,
        `${mountpoint} does not answer: a hung mount is there (umount -l ${mountpoint} detaches it)`,
      );
    case 'failed':
      throw new MountError(32, failure(mountpoint, probe.code, probe.message));
    case 'found':
      if (!probe.directory) throw new MountError(32, `mountpoint ${mountpoint} is not a directory`);
  }
  // The path may have led to the dead mount through a symbolic link.
  if (probe.realPath !== mountpoint) await detachIfDead(probe.realPath, uid);
  const mounted = findMount(await readMountInfo(), probe.realPath);
  if (mounted?.fsType === FS_TYPE) {
    throw new MountError(32, `${mountpoint} is already mounted (${mounted.source})`);
  }
  return probe.realPath;
}

/** Detaches a mount of ours whose server is gone. */
export async function detachIfDead(mountpoint: string, uid: number): Promise<boolean> {
  const mounted = findMount(await readMountInfo(), mountpoint);
  if (mounted === undefined || !mounted.fsType.startsWith('fuse')) return false;
  if ((await probeMount(mountpoint, PROBE_TIMEOUT_MS)) !== 'dead') return false;
  try {
    const method = uid === 0 ? {} : { method: 'fusermount' as const };
    await unmountFuse(mountpoint, { lazy: true, timeoutMs: DETACH_TIMEOUT_MS, ...method });
  } catch (error) {
    throw new MountError(32, `a dead mount at ${mountpoint} cannot be detached: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  return true;
}

/** The mount that a path (absolute, without symbolic links) lies on, as the table of mounts says: nothing is touched. */
export function mountOf(mounts: readonly MountInfo[], path: string): MountInfo | undefined {
  const wanted = mountPath(path);
  let best: MountInfo | undefined;
  for (const mount of mounts) {
    if (!isInside(wanted, mount.mountPoint)) continue;
    if (best === undefined || mount.mountPoint.length >= best.mountPoint.length) best = mount;
  }
  return best;
}

/** Whether `path` is `dir` or below it. */
export function isInside(path: string, dir: string): boolean {
  return path === dir || path.startsWith(dir.endsWith('/') ? dir : `${dir}/`);
}

function failure(mountpoint: string, code: string, message: string): string {
  switch (code) {
    case 'ENOENT':
      return `mountpoint ${mountpoint} does not exist`;
    case 'ENOTDIR':
      return `mountpoint ${mountpoint} is not a directory`;
    case 'ENOTCONN':
      return `a dead mount is in the way to ${mountpoint}`;
    default:
      return `mountpoint ${mountpoint}: ${message}`;
  }
}
