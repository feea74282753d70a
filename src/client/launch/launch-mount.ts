import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { errorMessage } from '../../common/fs-error.js';
import type { MountConfig } from '../../config/mount-config.js';
import { probeMount } from '../../fuse/mount/probe-mount.js';
import { findMount, readMountInfo } from '../../fuse/mount/mountinfo.js';
import { unmountFuse } from '../../fuse/mount/unmount-fuse.js';
import type { MountOrder, SupervisorReport } from '../messages.js';
import { MountError } from './mount-error.js';
import { prepareCacheDir } from './prepare-cache-dir.js';
import { FS_TYPE, prepareMountpoint } from './prepare-mountpoint.js';
import { childEnv, SUPERVISOR_PROGRAM } from './program.js';

export interface LaunchOptions {
  /** The mount lives as long as the caller: its log goes to stderr, and {@link LaunchedMount.ended} resolves at its end. */
  readonly foreground: boolean;
}

export interface LaunchedMount {
  readonly supervisorPid: number;
  /** Exit code of the supervisor; never resolves for a mount in the background. */
  readonly ended: Promise<number>;
  /** Asks the supervisor to drain, unmount and exit. */
  stop(): void;
}

const STATFS_TIMEOUT_MS = 5000;
const CLEAN_UP_MS = 8000;
const DETACH_TIMEOUT_MS = 3000;

/**
 * Mounts: checks the mountpoint and the cache directory, starts the supervisor in a session of its own, waits until it serves, and
 * asks the mount for one statfs(2). When anything fails, what was started is ended and a {@link MountError} says why.
 */
export async function launchMount(given: MountConfig, options: LaunchOptions): Promise<LaunchedMount> {
  const mountpoint = await prepareMountpoint(given.mountpoint, process.getuid?.() ?? 0);
  const config: MountConfig = Object.freeze({ ...given, mountpoint });
  await prepareCacheDir(config);
  const child = startSupervisor(config, options.foreground);
  const ended = new Promise<number>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
  });
  try {
    const supervisorPid = await becomeReady(child, config);
    await checkServed(config);
    if (!options.foreground) {
      child.disconnect();
      child.unref();
    }
    return { supervisorPid, ended, stop: () => void child.kill('SIGTERM') };
  } catch (error) {
    await cleanUp(child, ended, config);
    throw error;
  }
}

function startSupervisor(config: MountConfig, foreground: boolean): ChildProcess {
  // Only what breaks outside of the logger lands here: it belongs into the log too.
  const stderr = foreground ? 2 : config.log === undefined ? 'ignore' : openLog(config.log);
  try {
    const child = spawn(process.execPath, ['--enable-source-maps', SUPERVISOR_PROGRAM], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'ignore', stderr, 'ipc'],
      env: childEnv(process.env),
    });
    const order: MountOrder = { type: 'mount', config, foreground };
    child.on('error', () => undefined); // `exit` follows, or `becomeReady` times out
    child.send(order, () => undefined);
    return child;
  } finally {
    if (typeof stderr === 'number' && stderr !== 2) closeSync(stderr);
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o640);
  } catch (error) {
    throw new MountError(2, `log ${path}: ${errorMessage(error)}`, { cause: error });
  }
}

function becomeReady(child: ChildProcess, config: MountConfig): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const seconds = config.mountTimeoutMs / 1000;
      reject(new MountError(32, `mounting ${config.source.text} took longer than ${seconds} s (mount_timeout)`));
    }, config.mountTimeoutMs);
    const settle = (done: () => void): void => {
      clearTimeout(timer);
      done();
    };
    child.on('message', (message) => {
      const report = message as SupervisorReport;
      if (report.type === 'ready') settle(() => resolve(report.supervisorPid));
      else settle(() => reject(new MountError(report.exitCode, report.message)));
    });
    child.once('exit', (code, signal) => {
      const log = config.log === undefined ? '' : `, see ${config.log}`;
      settle(() => reject(new MountError(32, `the mount's supervisor ended with ${signal ?? `code ${code}`}${log}`)));
    });
  });
}

/** The round trip that makes "mounted" true for whoever waits for us. */
async function checkServed(config: MountConfig): Promise<void> {
  const mounted = findMount(await readMountInfo(), config.mountpoint);
  if (mounted?.fsType !== FS_TYPE) throw new MountError(32, `the mount at ${config.mountpoint} is not there`);
  const probe = await probeMount(config.mountpoint, STATFS_TIMEOUT_MS);
  if (probe !== 'live') throw new MountError(32, `the mount at ${config.mountpoint} does not answer (${probe})`);
}

/** Leaves nothing behind: the supervisor is asked to end, then made to; a mount that is still there is detached. */
async function cleanUp(child: ChildProcess, ended: Promise<number>, config: MountConfig): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    child.kill('SIGTERM');
    if (!(await within(ended, CLEAN_UP_MS))) {
      // The supervisor leads a process group of its own: its worker goes with it.
      killGroup(child.pid);
      await within(ended, 1000);
    }
  }
  if (findMount(await readMountInfo(), config.mountpoint)?.fsType !== FS_TYPE) return;
  const method = process.getuid?.() === 0 ? {} : { method: 'fusermount' as const };
  await unmountFuse(config.mountpoint, { lazy: true, timeoutMs: DETACH_TIMEOUT_MS, ...method }).catch(() => undefined);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended just now: that is what was wanted.
  }
}

async function within(wait: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([wait.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}
