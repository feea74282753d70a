import { Worker } from 'node:worker_threads';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { MetricsRegistry } from '../../common/metrics.js';
import { openObjectStore, type OpenObjectStoreOptions } from '../../object/open-object-store.js';
import type { ReadCached } from '../../object/file-store.js';
import type { ObjectStorageSpec } from '../../object/storage-spec.js';
import { DataError } from '../data-error.js';
import { ChunkMover } from './chunk-mover.js';
import type { CacheWritten, ChunkTransfer, GetNowRequest, GetRequest, PutRequest } from './chunk-transfer.js';
import type { FromWorker, ToWorker, TransferWorkerData } from './messages.js';
import { MetricsReplayer } from './metrics-relay.js';

export interface WorkerTransferDeps {
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly cacheWritten: CacheWritten;
  readonly readCached?: ReadCached | undefined;
}

export interface WorkerTransferOptions {
  readonly storage: ObjectStorageSpec;
  readonly storeOptions: OpenObjectStoreOptions;
  readonly workers: number;
  /** Requests at once, over all threads. */
  readonly concurrency: number;
  /** Frames up to which a get from a `file` store is done in this thread: a small read costs less than two messages. */
  readonly inlineFramesMax?: number;
  /** Most time that `close` waits for the threads. */
  readonly closeMaxMs?: number;
}

interface Pending {
  readonly resolve: (payload: Uint8Array | undefined) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
  readonly exited: Promise<void>;
}

/**
 * {@link ChunkTransfer} in worker threads, so that signing, hashing and copying never stall the session. A request goes to the thread with the fewest;
 * one message each way, payloads are transferred and never copied. A thread that dies fails its requests with `worker` (retryable) and is started again by the next one.
 */
export class WorkerTransfer implements ChunkTransfer {
  readonly concurrency: number;
  readonly #deps: WorkerTransferDeps;
  readonly #opts: WorkerTransferOptions;
  readonly #threads: (Thread | undefined)[];
  readonly #inline: ChunkMover | undefined;
  #nextId = 1;
  #restarts = 0;
  #closed: Promise<void> | undefined;

  constructor(deps: WorkerTransferDeps, opts: WorkerTransferOptions) {
    this.#deps = deps;
    this.#opts = opts;
    this.concurrency = opts.concurrency;
    this.#threads = Array.from({ length: opts.workers }, () => undefined);
    const { logger, metrics, cacheWritten, readCached } = deps;
    if (opts.storage.kind === 'file') {
      const store = openObjectStore(opts.storage, { logger, metrics, readCached }, opts.storeOptions);
      this.#inline = new ChunkMover({ store, logger, cacheWritten });
    }
    deps.metrics.gauge({ name: 'transfer_requests', help: 'Chunk requests that the transfer threads work on' }, () =>
      this.#threads.reduce((sum, thread) => sum + (thread?.pending.size ?? 0), 0),
    );
    deps.metrics.gauge({ name: 'transfer_thread_restarts', help: 'Transfer threads that died' }, () => this.#restarts);
  }

  async put(request: PutRequest, signal?: AbortSignal): Promise<void> {
    await this.#call((id) => ({ kind: 'put', id, request }), request.key, signal);
  }

  getNow(request: GetNowRequest): Uint8Array | undefined {
    return this.#closed === undefined ? this.#inline?.getNow(request) : undefined;
  }

  async get(request: GetRequest, signal?: AbortSignal): Promise<Uint8Array> {
    const small = request.frames <= (this.#opts.inlineFramesMax ?? 0) && request.cacheWrite === undefined;
    if (small && this.#inline !== undefined && this.#closed === undefined) return this.#inline.get(request, signal);
    const payload = await this.#call((id) => ({ kind: 'get', id, request }), request.key, signal);
    if (payload === undefined) throw new DataError('worker', `get ${request.key}: the thread sent no bytes`);
    return payload;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #call(message: (id: number) => ToWorker, key: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    if (this.#closed !== undefined) return Promise.reject(new DataError('closed', `${key}: the mount is closing`));
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    const id = this.#nextId++;
    const thread = this.#leastLoaded();
    return new Promise((resolve, reject) => {
      const abort = (): void => thread.worker.postMessage({ kind: 'abort', id } satisfies ToWorker);
      signal?.addEventListener('abort', abort, { once: true });
      const settle = (): boolean => {
        signal?.removeEventListener('abort', abort);
        return thread.pending.delete(id);
      };
      thread.pending.set(id, {
        resolve: (payload) => settle() && resolve(payload),
        reject: (error) => settle() && reject(error),
      });
      thread.worker.postMessage(message(id));
    });
  }

  #leastLoaded(): Thread {
    let best = 0;
    const load = (index: number): number => this.#threads[index]?.pending.size ?? 0;
    for (let i = 1; i < this.#threads.length; i++) if (load(i) < load(best)) best = i;
    return (this.#threads[best] ??= this.#start(best));
  }

  #start(index: number): Thread {
    const data: TransferWorkerData = { storage: this.#opts.storage, storeOptions: this.#opts.storeOptions };
    const worker = new Worker(new URL('./transfer-worker.js', import.meta.url), {
      workerData: data,
      name: `transfer-${index}`,
    });
    const pending = new Map<number, Pending>();
    const metrics = new MetricsReplayer(this.#deps.metrics);
    let failure = 'it ended';
    const exited = new Promise<void>((resolve) => {
      worker.on('error', (error) => {
        failure = errorMessage(error);
      });
      worker.on('exit', () => {
        this.#threads[index] = undefined;
        if (this.#closed === undefined) {
          this.#restarts++;
          this.#deps.logger.error('a transfer thread died', { thread: index, error: failure });
        }
        for (const request of [...pending.values()])
          request.reject(new DataError('worker', `transfer thread: ${failure}`));
        resolve();
      });
    });
    worker.on('message', (message: FromWorker) => this.#receive(message, pending, metrics));
    return { worker, pending, exited };
  }

  #receive(message: FromWorker, pending: Map<number, Pending>, metrics: MetricsReplayer): void {
    switch (message.kind) {
      case 'done':
        pending.get(message.id)?.resolve(message.payload);
        return;
      case 'failed':
        pending.get(message.id)?.reject(DataError.fromPlain(message.error));
        return;
      case 'cached':
        this.#deps.cacheWritten(message.path, message.bytes);
        return;
      case 'log':
        this.#deps.logger[message.level](message.message, message.fields);
        return;
      case 'metrics':
        metrics.replay(message.declared, message.events);
        return;
      case 'closed':
        return;
    }
  }

  async #close(): Promise<void> {
    const threads = this.#threads.filter((thread) => thread !== undefined);
    for (const { worker } of threads) worker.postMessage({ kind: 'close' } satisfies ToWorker);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, this.#opts.closeMaxMs ?? 5000)));
    await Promise.race([Promise.all(threads.map(({ exited }) => exited)), late]);
    clearTimeout(timer);
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
    await this.#inline?.close();
  }
}
