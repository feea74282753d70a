import { closeSync } from 'node:fs';
import type { Clock } from '../common/clock.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { MountConfig } from '../config/mount-config.js';
import type { DataStatus } from '../data/data-status.js';
import { openFuseDevice } from '../fuse/device/open-fuse-device.js';
import { MountError as FuseMountError } from '../fuse/mount/mount-error.js';
import { mountFuse, mountWithFusermount } from '../fuse/mount/mount-fuse.js';
import { findMount, readMountInfo } from '../fuse/mount/mountinfo.js';
import { unmountFuse } from '../fuse/mount/unmount-fuse.js';
import { tuneReadAhead } from '../fuse/mount/tune-mount.js';
import { ControlServer } from './control-server.js';
import {
  controlPath,
  CONTROL_VERSION,
  type ControlReply,
  type MountStatus,
  type UmountOrder,
} from './launch/control-protocol.js';
import { MountError } from './launch/mount-error.js';
import { kernelMountOptions, MOUNT_SUBTYPE } from './mount-flags.js';
import { WorkerGoneError, WorkerProcess, type WorkerExit } from './worker-process.js';

export interface SupervisorDeps {
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface SupervisorOptions {
  readonly config: MountConfig;
  /** Directory of control sockets. */
  readonly runDir: string;
  readonly uid: number;
}

/**
 * - `starting`: the worker gets ready, nothing is mounted
 * - `serving`: mounted
 * - `draining`: mounted; the worker uploads what it has
 * - `unmounting`: the kernel lets go
 * - `ending`: not mounted any more; the worker finishes
 * - `ended`
 */
export type SupervisorState = 'starting' | 'serving' | 'draining' | 'unmounting' | 'ending' | 'ended';

type Result = Extract<ControlReply, { type: 'result' }>;

const UNMOUNT_TIMEOUT_MS = 20_000;
const PROGRESS_MS = 5000;
/** Beyond the time for uploads, for closing connections and files. */
const WORKER_EXIT_MARGIN_MS = 15_000;
/** From the worker's last word to its end. */
const EXIT_MAX_MS = 5000;
const READ_AHEAD_BYTES = 1 << 20;
/** Less than those wait who ask the supervisor. */
const STATUS_TIMEOUT_MS = 1500;
const UNDO_MS = 3000;

/**
 * The process that owns a mount: it holds the kernel connection, mounts and unmounts, answers on the control socket, and watches over the worker that serves. It does nothing else.
 *
 * A worker that dies unasked ends the mount: the last descriptor of the connection is closed, so that callers get ENOTCONN and never hang; the dead
 * mount stays visible (writing into the bare directory instead would be worse) until it is unmounted or mounted anew.
 * Never touches the mount, so it may wait for the kernel.
 */
export class Supervisor {
  // Dependencies
  readonly #deps: SupervisorDeps;
  readonly #opts: SupervisorOptions;
  readonly #startedMs: number;
  // Mutable state
  #state: SupervisorState = 'starting';
  /** INVARIANT: our descriptor of the kernel connection; undefined once it is closed. */
  #fuseFd: number | undefined;
  #worker: WorkerProcess | undefined;
  #control: ControlServer | undefined;
  /** The unmount under way, shared by all who ask for one. */
  #unmounting: Promise<Result> | undefined;
  /** What the worker said at its end. */
  #leftBehind: string | undefined;
  #resolveEnded!: (code: number) => void;
  /** Resolves with the exit code when the mount is over and everything is closed. */
  readonly ended = new Promise<number>((resolve) => (this.#resolveEnded = resolve));

  constructor(deps: SupervisorDeps, opts: SupervisorOptions) {
    this.#deps = deps;
    this.#opts = opts;
    this.#startedMs = Number(deps.clock.nowNs() / 1_000_000n);
  }

  get workerPid(): number | undefined {
    return this.#worker?.pid;
  }

  /** Resolves when the mount is there and served; on failure nothing is left and a {@link MountError} is thrown. */
  async start(signal: AbortSignal): Promise<void> {
    const { config, runDir } = this.#opts;
    try {
      this.#control = await ControlServer.listen(
        { logger: this.#deps.logger, status: () => this.#status(), umount: (order, tell) => this.umount(order, tell) },
        controlPath(runDir, config.mountpoint),
      );
      if (config.driver === 'fuse-native') await serve(await this.#startWorker(undefined, signal), signal);
      else if (this.#opts.uid === 0) await this.#mountDirectly(signal);
      else await this.#mountByHelper(signal);
      this.#state = 'serving';
      if (this.#opts.uid === 0) {
        await tuneReadAhead({ logger: this.#deps.logger }, config.mountpoint, READ_AHEAD_BYTES);
      }
      this.#deps.logger.info('mounted', { source: config.source.text, mountpoint: config.mountpoint });
    } catch (error) {
      await this.#undo();
      throw asMountError(error);
    }
  }

  /** Uploads, unmounts, and ends. A second call joins the first. */
  umount(order: UmountOrder, progress: (message: string) => void): Promise<Result> {
    this.#unmounting ??= this.#umount(order, progress).finally(() => (this.#unmounting = undefined));
    return this.#unmounting;
  }

  /** The worker gets ready before anything is mounted, so that a filesystem that cannot be reached never shows. */
  async #mountDirectly(signal: AbortSignal): Promise<void> {
    const { config } = this.#opts;
    this.#fuseFd = openFuseDevice();
    const worker = await this.#startWorker(this.#fuseFd, signal);
    await mountFuse({
      fd: this.#fuseFd,
      source: config.source.text,
      target: config.mountpoint,
      subtype: MOUNT_SUBTYPE,
      options: kernelMountOptions(config),
    });
    await serve(worker, signal);
  }

  /** fusermount3 opens the device itself: here the mount comes first. */
  async #mountByHelper(signal: AbortSignal): Promise<void> {
    const { config } = this.#opts;
    this.#fuseFd = await mountWithFusermount({
      source: config.source.text,
      target: config.mountpoint,
      subtype: MOUNT_SUBTYPE,
      options: kernelMountOptions(config),
    });
    await serve(await this.#startWorker(this.#fuseFd, signal), signal);
  }

  async #startWorker(fd: number | undefined, signal: AbortSignal): Promise<WorkerProcess> {
    const worker = new WorkerProcess(fd);
    this.#worker = worker;
    worker.on('exit', (exit) => this.#onWorkerExit(exit));
    worker.on('report', (report) => {
      if (report.type !== 'ended') return;
      this.#leftBehind = report.error;
      // A thread of the worker that is blocked in the kernel gets free when nobody holds the connection any more.
      this.#closeFuse();
      void exitsWithin(worker, EXIT_MAX_MS).then((exited) => {
        if (!exited) worker.kill('SIGKILL');
      });
      if (this.#state === 'serving' || this.#state === 'draining') this.#state = 'ending';
    });
    worker.send({ type: 'prepare', config: this.#opts.config });
    const report = await worker.next(['prepared', 'failed'], signal);
    if (report.type === 'failed') throw new MountError(report.exitCode, report.message);
    return worker;
  }

  async #umount(order: UmountOrder, progress: (message: string) => void): Promise<Result> {
    const { config } = this.#opts;
    const worker = this.#worker;
    if (worker === undefined || this.#state === 'starting') return refusal('the mount is not up yet');
    const drainTimeoutMs = order.drainTimeoutMs ?? config.drainTimeoutMs;
    const drainUntilMs = this.#deps.clock.monotonicMs() + drainTimeoutMs;
    const drainLeftMs = (): number => Math.max(0, Math.ceil(drainUntilMs - this.#deps.clock.monotonicMs()));
    let warning: string | undefined;
    if (this.#state === 'serving' && drainTimeoutMs > 0) {
      this.#state = 'draining';
      warning = await this.#drain(worker, drainTimeoutMs, progress);
      if (this.#state === 'draining') this.#state = 'serving';
    }
    if (this.#state === 'serving') {
      this.#state = 'unmounting';
      worker.send({ type: 'limit-last-drain', timeoutMs: drainLeftMs() });
      try {
        await this.#detach(order.lazy);
        this.#state = 'ending';
      } catch (error) {
        this.#state = 'serving';
        worker.send({ type: 'limit-last-drain', timeoutMs: undefined });
        const hint = error instanceof FuseMountError && error.code === 'busy' ? ': files are open there' : '';
        return refusal(`${errorMessage(error)}${hint}`);
      }
    }
    // Detached lazily, the worker serves what is open until it is closed.
    if (order.lazy && !(await exitsWithin(worker, PROGRESS_MS))) {
      return { type: 'result', unmounted: true, message: 'detached; files that are open go on until they are closed' };
    }
    const exited = await this.#awaitWorker(worker, drainLeftMs() + WORKER_EXIT_MARGIN_MS, progress);
    if (!exited) worker.kill('SIGKILL');
    return { type: 'result', unmounted: true, message: this.#leftBehind ?? (exited ? undefined : warning) };
  }

  /** Returns what could not be uploaded, in words. */
  async #drain(
    worker: WorkerProcess,
    timeoutMs: number,
    progress: (message: string) => void,
  ): Promise<string | undefined> {
    const timer = setInterval(() => progress('uploading'), PROGRESS_MS);
    try {
      progress('uploading what is not uploaded yet');
      const answer = worker.next(['drained']);
      worker.send({ type: 'drain', timeoutMs });
      return (await answer).error;
    } catch (error) {
      return errorMessage(error);
    } finally {
      clearInterval(timer);
    }
  }

  async #awaitWorker(worker: WorkerProcess, timeoutMs: number, progress: (message: string) => void): Promise<boolean> {
    const timer = setInterval(() => progress('waiting for the worker to finish'), PROGRESS_MS);
    try {
      return await exitsWithin(worker, timeoutMs);
    } finally {
      clearInterval(timer);
    }
  }

  /** Unmounts if what is mounted there is ours: after an unmount by somebody else it could be another's. */
  async #detach(lazy: boolean): Promise<void> {
    const { config, uid } = this.#opts;
    const mounted = findMount(await readMountInfo(), config.mountpoint);
    if (mounted?.source !== Buffer.from(config.source.text).toString('latin1')) return;
    const method = uid === 0 ? {} : { method: 'fusermount' as const };
    await unmountFuse(config.mountpoint, { lazy, timeoutMs: UNMOUNT_TIMEOUT_MS, ...method });
  }

  #onWorkerExit(exit: WorkerExit): void {
    const state = this.#state;
    this.#closeFuse();
    if (state === 'starting' || state === 'ended') return; // start() hears of it and cleans up
    const asked = state === 'ending' || state === 'unmounting';
    const clean = asked && exit.code === 0;
    if (!asked || (exit.code !== 0 && this.#leftBehind === undefined)) {
      this.#deps.logger.error('the worker ended unasked: the mount is dead until it is mounted again', {
        ...exit,
        state,
      });
    }
    void this.#end(clean && this.#leftBehind === undefined ? 0 : 1);
  }

  async #end(code: number): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    // Whoever asked for the unmount hears its result before the socket closes.
    await this.#unmounting?.catch(() => undefined);
    await this.#control?.close().catch((error: unknown) => this.#deps.logger.warn('control socket', { error }));
    this.#deps.logger.info('ended', { code });
    this.#resolveEnded(code);
  }

  /** Takes back what a failed start has done. */
  async #undo(): Promise<void> {
    this.#state = 'ended';
    const worker = this.#worker;
    try {
      await this.#detach(true);
    } catch (error) {
      this.#deps.logger.warn('the mount could not be taken back', { error });
    }
    worker?.send({ type: 'stop' });
    this.#closeFuse();
    if (worker !== undefined && !(await exitsWithin(worker, UNDO_MS))) worker.kill('SIGKILL');
    await this.#control?.close();
    this.#resolveEnded(1);
  }

  #closeFuse(): void {
    if (this.#fuseFd === undefined) return;
    closeSync(this.#fuseFd);
    this.#fuseFd = undefined;
  }

  async #status(): Promise<MountStatus> {
    const { config } = this.#opts;
    const data = await this.#dataStatus();
    return {
      version: CONTROL_VERSION,
      source: config.source.text,
      mountpoint: config.mountpoint,
      cacheDir: config.cacheDir,
      state: this.#state,
      supervisorPid: process.pid,
      workerPid: this.#worker?.pid,
      startedMs: this.#startedMs,
      data,
    };
  }

  /** Undefined when the worker does not answer in time: it may be starting, ending or stuck. */
  async #dataStatus(): Promise<DataStatus | undefined> {
    const worker = this.#worker;
    if (worker?.alive !== true || this.#state === 'starting') return undefined;
    const answer = worker.next(['status'], AbortSignal.timeout(STATUS_TIMEOUT_MS));
    worker.send({ type: 'status' });
    return answer.then(
      ({ data }) => data,
      () => undefined,
    );
  }
}

async function serve(worker: WorkerProcess, signal: AbortSignal): Promise<void> {
  const serving = worker.next(['serving', 'failed'], signal);
  worker.send({ type: 'serve' });
  const report = await serving;
  if (report.type === 'failed') throw new MountError(report.exitCode, report.message);
}

async function exitsWithin(worker: WorkerProcess, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([worker.exited.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}

function refusal(message: string): Result {
  return { type: 'result', unmounted: false, message };
}

/** Any failure of the start as the launcher reports it. */
export function asMountError(error: unknown): MountError {
  if (error instanceof MountError) return error;
  if (error instanceof FuseMountError) {
    return new MountError(error.code === 'not-permitted' ? 1 : error.code === 'no-fuse' ? 2 : 32, error.message);
  }
  if (error instanceof WorkerGoneError) return new MountError(2, `${error.message}: see the log`);
  return new MountError(2, errorMessage(error), { cause: error });
}
