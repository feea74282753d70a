import { rm } from 'node:fs/promises';
import { errorMessage } from '../../common/fs-error.js';
import { findMount, readMountInfo } from '../../fuse/mount/mountinfo.js';
import { MountError as FuseMountError } from '../../fuse/mount/mount-error.js';
import { unmountFuse } from '../../fuse/mount/unmount-fuse.js';
import { askSupervisor, NoDaemonError } from './control-client.js';
import { controlPath, type MountStatus, runDir } from './control-protocol.js';
import { MountError } from './mount-error.js';
import { detachIfDead, FS_TYPE } from './prepare-mountpoint.js';
import { probePath } from './probe-path.js';

export interface UnmountRequest {
  /** Absolute path, as given. */
  readonly mountpoint: string;
  /** Detach even when files are open: they go on until they are closed. */
  readonly lazy?: boolean;
  /** How long to wait for the uploads; undefined = as the mount was told. What is left stays in the journal for the next mount. */
  readonly drainTimeoutMs?: number | undefined;
  readonly progress?: (message: string) => void;
}

export interface UnmountResult {
  /** What was left behind, for the user; undefined = nothing. */
  readonly warning: string | undefined;
}

const PROBE_TIMEOUT_MS = 3000;
/** The supervisor reports at least so often while it works. */
const SILENCE_MS = 30_000;
const UNMOUNT_TIMEOUT_MS = 10_000;
const STATUS_TIMEOUT_MS = 3000;

/**
 * Unmounts: the mount's supervisor uploads what is not uploaded, unmounts and ends; resolves when it has. Where no supervisor is left the mount is
 * detached, and its journal waits for the next mount with the same cache directory. Throws a {@link MountError}.
 */
export async function unmount(request: UnmountRequest): Promise<UnmountResult> {
  const mountpoint = await canonical(request.mountpoint);
  const uid = process.getuid?.() ?? 0;
  const socket = controlPath(runDir(process.env, uid), mountpoint);
  try {
    const reply = await askSupervisor(
      socket,
      { op: 'umount', lazy: request.lazy ?? false, drainTimeoutMs: request.drainTimeoutMs },
      { silenceMs: SILENCE_MS, ...(request.progress === undefined ? {} : { progress: request.progress }) },
    );
    if (reply.type !== 'result') throw new MountError(2, 'the daemon gave an unexpected answer');
    if (!reply.unmounted) throw new MountError(32, reply.message ?? `cannot unmount ${mountpoint}`);
    return { warning: reply.message };
  } catch (error) {
    if (!(error instanceof NoDaemonError)) throw error;
  }
  return unmountWithoutDaemon(mountpoint, uid, socket, request.lazy ?? false);
}

/** The state of the mount at a path; undefined when no daemon serves it. */
export async function mountStatus(mountpoint: string): Promise<MountStatus | undefined> {
  const path = controlPath(runDir(process.env, process.getuid?.() ?? 0), await canonical(mountpoint));
  try {
    const reply = await askSupervisor(path, { op: 'status' }, { silenceMs: STATUS_TIMEOUT_MS });
    return reply.type === 'status' ? reply.status : undefined;
  } catch (error) {
    if (error instanceof NoDaemonError) return undefined;
    throw error;
  }
}

async function unmountWithoutDaemon(
  mountpoint: string,
  uid: number,
  socket: string,
  lazy: boolean,
): Promise<UnmountResult> {
  const mounted = findMount(await readMountInfo(), mountpoint);
  if (mounted === undefined) throw new MountError(32, `${mountpoint} is not mounted`);
  if (mounted.fsType !== FS_TYPE)
    throw new MountError(32, `${mountpoint} is not a curvefs mount but ${mounted.fsType}`);
  if (await detachIfDead(mountpoint, uid)) {
    await rm(socket, { force: true }); // a killed daemon could not
    const warning =
      'the daemon was gone: what it had not uploaded is in its cache_dir, the next mount there uploads it';
    return { warning };
  }
  try {
    const method = uid === 0 ? {} : { method: 'fusermount' as const };
    await unmountFuse(mountpoint, { lazy, timeoutMs: UNMOUNT_TIMEOUT_MS, ...method });
  } catch (error) {
    const hint =
      error instanceof FuseMountError && error.code === 'busy' ? ' (files are open there; --lazy detaches it)' : '';
    throw new MountError(32, `${errorMessage(error)}${hint}`, { cause: error });
  }
  return { warning: 'no supervisor was there: the worker uploads what is left and ends by itself' };
}

/** The path that the table of mounts knows. A dead or hung mount cannot be resolved: then it is taken as given. */
async function canonical(path: string): Promise<string> {
  if (findMount(await readMountInfo(), path) !== undefined) return path;
  const probe = await probePath(path, PROBE_TIMEOUT_MS);
  if (probe.kind === 'found') return probe.realPath;
  if (probe.kind === 'failed' && probe.code === 'ENOENT') throw new MountError(32, `${path} does not exist`);
  return path;
}
