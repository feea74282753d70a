import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { DataStatus } from '../../data/data-status.js';

/* The control socket of a mount: JSON lines, one request per connection, any number of progress lines, one result. */

export const CONTROL_VERSION = 1;
/** Longest line either side accepts. */
export const CONTROL_LINE_MAX = 64 * 1024;

export type ControlRequest = {
  readonly version: number;
} & ({ readonly op: 'status' } | ({ readonly op: 'umount' } & UmountOrder));

export interface UmountOrder {
  /** Detach even when files are open. */
  readonly lazy: boolean;
  /** How long to wait for the uploads; undefined = as the mount was told. */
  readonly drainTimeoutMs: number | undefined;
}

export type ControlReply =
  | { readonly type: 'progress'; readonly message: string }
  | { readonly type: 'status'; readonly status: MountStatus }
  /** `unmounted`: the kernel has let go. `message`: what went wrong, or what was left behind. */
  | { readonly type: 'result'; readonly unmounted: boolean; readonly message: string | undefined };

/** A mount as its supervisor describes it. */
export interface MountStatus {
  readonly version: number;
  readonly source: string;
  readonly mountpoint: string;
  readonly cacheDir: string;
  readonly state: string;
  readonly supervisorPid: number;
  readonly workerPid: number | undefined;
  readonly startedMs: number;
  /** Undefined when the worker does not answer. */
  readonly data: DataStatus | undefined;
}

/** Where control sockets are: `$CURVEFS_RUN_DIR`, else by user. */
export function runDir(env: NodeJS.ProcessEnv, uid: number): string {
  const given = env['CURVEFS_RUN_DIR'];
  if (given !== undefined && given !== '') return given;
  if (uid === 0) return '/run/curvefs';
  return join(env['XDG_RUNTIME_DIR'] ?? `/tmp/curvefs-${uid}`, 'curvefs');
}

/** The control socket of the mount at a (canonical) mountpoint. */
export function controlPath(dir: string, mountpoint: string): string {
  return join(dir, `${createHash('sha256').update(mountpoint).digest('hex').slice(0, 16)}.sock`);
}
