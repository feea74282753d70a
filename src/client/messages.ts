import type { DataStatus } from '../data/data-status.js';
import type { MountConfig } from '../config/mount-config.js';
import type { MountExitCode } from './launch/mount-error.js';

/* What the processes of a mount tell each other over their IPC channels: plain JSON, both ends being the same program. */

/** Launcher to supervisor: the first and only message. */
export interface MountOrder {
  readonly type: 'mount';
  readonly config: MountConfig;
  /** The launcher stays, and its end is the mount's. */
  readonly foreground: boolean;
}

/** Supervisor to launcher. */
export type SupervisorReport =
  { readonly type: 'ready'; readonly supervisorPid: number; readonly workerPid: number } | Failure;

/** The mount cannot be made, or the worker cannot go on: why, in one line. */
export interface Failure {
  readonly type: 'failed';
  readonly message: string;
  readonly exitCode: MountExitCode;
}

/** Supervisor to worker. */
export type WorkerOrder =
  /** The first message: get ready for the kernel connection on descriptor {@link FUSE_FD}. */
  | { readonly type: 'prepare'; readonly config: MountConfig }
  /** The descriptor is mounted: serve it. */
  | { readonly type: 'serve' }
  /** Upload what the journal holds while going on serving; answered by `drained`. */
  | { readonly type: 'drain'; readonly timeoutMs: number }
  /** The unmount comes now: its end waits so long for uploads; undefined = as the mount was told. */
  | { readonly type: 'limit-last-drain'; readonly timeoutMs: number | undefined }
  /** Answered by `status`. */
  | { readonly type: 'status' }
  /** There will be no mount: close everything. */
  | { readonly type: 'stop' };

/** Worker to supervisor. */
export type WorkerReport =
  | { readonly type: 'prepared' }
  | { readonly type: 'serving' }
  | { readonly type: 'drained'; readonly error: string | undefined }
  | { readonly type: 'status'; readonly data: DataStatus | undefined }
  /** The kernel has let go; the worker is about to exit. `error` = what could not be uploaded and stays in the journal. */
  | { readonly type: 'ended'; readonly reason: string; readonly error: string | undefined }
  | Failure;

/** The descriptor of `/dev/fuse` in the worker. */
export const FUSE_FD = 3;
