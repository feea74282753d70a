import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { childEnv, WORKER_PROGRAM } from './launch/program.js';
import { FUSE_FD, type WorkerOrder, type WorkerReport } from './messages.js';

/** How a worker's process ended. */
export interface WorkerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Events {
  report: [WorkerReport];
  exit: [WorkerExit];
}

/**
 * What the worker's runtime needs and reads at its start only; the caller's environment wins.
 * - libuv's pool: syncs of uploads may occupy as many threads as there are uploads, and the fallback device holds two.
 * - glibc's malloc: block buffers come and go in several threads; freed ones go back to the system at once instead of staying in per-thread arenas.
 */
const WORKER_ENV = {
  UV_THREADPOOL_SIZE: '16',
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
} as const;

/**
 * The caches of metadata are bounded (about 200 MiB), but what a walk puts through them is garbage of the old generation, and with its default maximum of several GiB V8 lets the heap grow to
 * four times what lives before it collects: 820 MiB resident after two walks of 840 000 files. With this maximum it collects at about 1.6 times: 425 MiB after three. File data is outside the heap.
 */
const WORKER_HEAP = ['--max-old-space-size=1024'];

/** The worker as its supervisor sees it: a child process with the kernel connection as descriptor 3, orders in, reports out. */
export class WorkerProcess extends EventEmitter<Events> {
  readonly #child: ChildProcess;
  #exit: WorkerExit | undefined;
  readonly exited: Promise<WorkerExit>;

  /** Starts it. `fuseFd` is duplicated into the child; undefined = the worker's driver mounts by itself. */
  constructor(fuseFd: number | undefined) {
    super();
    this.#child = spawn(process.execPath, ['--enable-source-maps', ...WORKER_HEAP, WORKER_PROGRAM], {
      cwd: '/',
      // 0 1 2, then FUSE_FD, then the channel.
      stdio: ['ignore', 'ignore', 'inherit', fuseFd ?? 'ignore', 'ipc'],
      env: { ...WORKER_ENV, ...childEnv(process.env) },
      serialization: 'json',
    });
    if (FUSE_FD !== 3) throw new Error('the worker expects the kernel connection elsewhere');
    this.#child.on('message', (message) => this.emit('report', message as WorkerReport));
    this.exited = new Promise((resolve) => {
      const end = (exit: WorkerExit): void => {
        if (this.#exit !== undefined) return;
        this.#exit = exit;
        this.emit('exit', exit);
        resolve(exit);
      };
      this.#child.once('exit', (code, signal) => end({ code, signal }));
      this.#child.once('error', () => {
        if (this.#child.pid === undefined) end({ code: 1, signal: null }); // it never started
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#exit === undefined;
  }

  send(order: WorkerOrder): void {
    // A worker that has gone is reported by its exit.
    if (this.#child.connected) this.#child.send(order, () => undefined);
  }

  /** The next report of one of the types; rejects when the worker fails or ends first, or when the signal is aborted. */
  next<T extends WorkerReport['type']>(
    types: readonly T[],
    signal?: AbortSignal,
  ): Promise<Extract<WorkerReport, { type: T }>> {
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): void => {
        this.off('report', onReport);
        this.off('exit', onExit);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const onReport = (report: WorkerReport): void => {
        if ((types as readonly string[]).includes(report.type)) {
          done(() => resolve(report as Extract<WorkerReport, { type: T }>));
        }
      };
      const onExit = (exit: WorkerExit): void => done(() => reject(new WorkerGoneError(exit)));
      const onAbort = (): void => done(() => reject(signal?.reason as Error));
      if (this.#exit !== undefined) {
        reject(new WorkerGoneError(this.#exit));
        return;
      }
      this.on('report', onReport);
      this.on('exit', onExit);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

/** The worker ended without an answer. */
export class WorkerGoneError extends Error {
  override readonly name = 'WorkerGoneError';

  constructor(exit: WorkerExit) {
    super(`the worker ended with ${exit.signal ?? `code ${exit.code ?? 1}`}`);
  }
}
