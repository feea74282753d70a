import { findMount, readMountInfo } from './mountinfo.js';
import { runCommand } from './run-command.js';

/**
 * What is at a path:
 * - `none`: no mount
 * - `live`: a mount whose server answers
 * - `dead`: a mount whose server is gone (ENOTCONN)
 * - `hung`: a mount whose server did not answer in time
 */
export type MountProbe = 'none' | 'live' | 'dead' | 'hung';

const PROBE_TIMEOUT_MS = 3000;

/**
 * Looks at a mountpoint without the risk of hanging: the question that may hang is asked by a child. `stat -f` is statfs(2), which the
 * kernel never answers from a cache.
 */
export async function probeMount(path: string, timeoutMs = PROBE_TIMEOUT_MS): Promise<MountProbe> {
  if (findMount(await readMountInfo(), path) === undefined) return 'none';
  const result = await runCommand('stat', ['-f', '-c', '%b', '--', path], {
    timeoutMs,
    env: { ...process.env, LC_ALL: 'C' },
  });
  if (result.timedOut) return 'hung';
  if (result.status === 0) return 'live';
  return /Transport endpoint is not connected|Software caused connection abort/.test(result.message) ? 'dead' : 'live';
}
