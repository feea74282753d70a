import { unmountFuse } from '../fuse/mount/unmount-fuse.js';
import { errorMessage } from '../common/fs-error.js';
import { raisePriority } from '../common/raise-priority.js';
import type { DataStatus } from '../data/data-status.js';
import type { MountConfig } from '../config/mount-config.js';
import { Observability } from '../observability/observability.js';
import type { WorkerOrder, WorkerReport } from './messages.js';
import { mountFailure } from './mount-failure.js';
import { Worker } from './worker.js';

const UNMOUNT_TIMEOUT_MS = 20_000;

/**
 * The worker's program: obeys its supervisor's orders until the kernel has let go of the mount. Signals are the supervisor's business (a whole control group gets them);
 * when the supervisor is gone the worker goes on serving, and a signal makes it drain and unmount by itself. Resolves with the exit code.
 */
export function runWorker(): Promise<number> {
  process.chdir('/');
  return new Promise((resolve) => {
    const program = new WorkerProgram(resolve);
    process.on('message', (message) => void program.obey(message as WorkerOrder));
    process.on('disconnect', () => program.orphaned());
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void program.signalled());
  });
}

class WorkerProgram {
  readonly #exit: (code: number) => void;
  readonly #prepare = new AbortController();
  #config: MountConfig | undefined;
  #observability: Observability | undefined;
  #worker: Worker | undefined;
  #serving = false;
  #orphan = false;

  constructor(exit: (code: number) => void) {
    this.#exit = exit;
  }

  async obey(order: WorkerOrder): Promise<void> {
    switch (order.type) {
      case 'prepare':
        return this.#start(order.config);
      case 'serve':
        return this.#serve();
      case 'drain':
        report({ type: 'drained', error: await this.#worker?.drain(order.timeoutMs) });
        return;
      case 'limit-last-drain':
        this.#worker?.limitLastDrain(order.timeoutMs);
        return;
      case 'status':
        report({ type: 'status', data: await this.#status() });
        return;
      case 'stop':
        return this.#stop();
    }
  }

  /** The supervisor has died. Before the mount stands that is the end; afterwards callers must not suffer. */
  orphaned(): void {
    this.#orphan = true;
    if (!this.#serving) void this.#stop();
    else this.#observability?.logger.warn('the supervisor is gone, serving on');
  }

  async signalled(): Promise<void> {
    if (!this.#orphan || this.#config === undefined) return;
    const logger = this.#observability?.logger;
    const error = await this.#worker?.drain(this.#config.drainTimeoutMs);
    if (error !== undefined) logger?.error('not everything is uploaded', { error });
    const method = process.getuid?.() === 0 ? {} : { method: 'fusermount' as const };
    await unmountFuse(this.#config.mountpoint, { lazy: true, timeoutMs: UNMOUNT_TIMEOUT_MS, ...method }).catch(
      (cause: unknown) => logger?.error('cannot unmount', { error: cause }),
    );
  }

  async #status(): Promise<DataStatus | undefined> {
    try {
      return await this.#worker?.status();
    } catch (error) {
      this.#observability?.logger.warn('the status cannot be told', { error: errorMessage(error) });
      return undefined;
    }
  }

  async #start(config: MountConfig): Promise<void> {
    this.#config = config;
    try {
      this.#observability = new Observability({ log: config.log, level: config.logLevel, module: 'worker' });
      raisePriority(this.#observability.logger);
      this.#worker = new Worker({ observability: this.#observability }, config);
      await this.#worker.prepare(this.#prepare.signal);
      report({ type: 'prepared' });
    } catch (error) {
      await this.#fail(error, config);
    }
  }

  async #serve(): Promise<void> {
    const worker = this.#worker!;
    try {
      await worker.serve();
    } catch (error) {
      await worker.close();
      await this.#fail(error, this.#config!);
      return;
    }
    this.#serving = true;
    report({ type: 'serving' });
    const end = await worker.ended();
    this.#observability!.logger.info('the mount has ended', { ...end });
    await this.#observability!.close();
    report({ type: 'ended', ...end }, () => this.#exit(end.error === undefined ? 0 : 1));
  }

  async #fail(error: unknown, config: MountConfig): Promise<void> {
    const failure = mountFailure(error, config.cacheDir);
    this.#observability?.logger.error('cannot serve', { error });
    await this.#observability?.close();
    report({ type: 'failed', message: failure.message, exitCode: failure.exitCode }, () =>
      this.#exit(failure.exitCode),
    );
  }

  async #stop(): Promise<void> {
    this.#prepare.abort(new Error('stopped'));
    try {
      if (!this.#serving) await this.#worker?.close();
    } catch (error) {
      this.#observability?.logger.warn('closing', { error: errorMessage(error) });
    }
    this.#exit(1);
  }
}

/** Tells the supervisor, if there is one. */
function report(message: WorkerReport, then: () => void = () => undefined): void {
  if (process.send === undefined || !process.connected) then();
  else process.send(message, undefined, undefined, then);
}
