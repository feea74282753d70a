import type { HostPort } from '../../config/host-port.js';
import { parseMountSource } from '../../config/mount-source.js';
import { mountPath, readMountInfo } from '../../fuse/mount/mountinfo.js';
import { MountError } from './mount-error.js';
import { probePath } from './probe-path.js';

/** Where a path of this machine lies in a filesystem. */
export interface PathLocation {
  readonly mds: readonly HostPort[];
  readonly fsName: string;
  /** From the root of the filesystem. */
  readonly path: Uint8Array;
}

const PROBE_TIMEOUT_MS = 5000;

/** Finds the filesystem that a path below a curvefs mount is of, also through a bind mount and a mount of a sub-directory. */
export async function locatePath(path: string): Promise<PathLocation> {
  const probe = await probePath(path, PROBE_TIMEOUT_MS);
  if (probe.kind === 'hung') throw new MountError(1, `${path}: the mount does not answer`);
  if (probe.kind === 'failed') throw new MountError(1, `${path}: ${probe.message}`);
  const real = mountPath(probe.realPath);
  const isAbove = (mountPoint: string): boolean =>
    mountPoint === '/' || real === mountPoint || real.startsWith(`${mountPoint}/`);
  const mounts = (await readMountInfo()).filter(({ mountPoint }) => isAbove(mountPoint));
  const depth = Math.max(...mounts.map(({ mountPoint }) => mountPoint.length));
  const mount = mounts.findLast(({ mountPoint }) => mountPoint.length === depth);
  if (mount?.fsType !== 'fuse.curvefs') throw new MountError(1, `${path} is not in a mount of curvefs`);
  const { mds, fsName, subdir } = parseMountSource(Buffer.from(mount.source, 'latin1').toString());
  const rest = `${mount.root}/${real.slice(mount.mountPoint.length)}`;
  return { mds, fsName, path: Buffer.concat([Buffer.from(`/${subdir.join('/')}/`), Buffer.from(rest, 'latin1')]) };
}
