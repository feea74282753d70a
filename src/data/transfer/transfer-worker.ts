import { parentPort, workerData } from 'node:worker_threads';
import { must } from '../../common/assert.js';
import type { Logger } from '../../common/logger.js';
import { yieldPriority } from '../../common/raise-priority.js';
import { errorMessage } from '../../common/fs-error.js';
import { openObjectStore } from '../../object/open-object-store.js';
import { DataError, isDataError } from '../data-error.js';
import { ChunkMover } from './chunk-mover.js';
import type { FromWorker, LogLevel, ToWorker, TransferWorkerData } from './messages.js';
import { MetricsCollector } from './metrics-relay.js';

/* The entry point of a transfer thread: opens the object store and does what the main thread asks. It holds no state that the main thread could not do without. */

/* Hashing and signing give way to the main thread. */
yieldPriority();

const METRICS_INTERVAL_MS = 1000;

const port = must(parentPort ?? undefined, 'the parent port of a transfer thread');
const { storage, storeOptions } = workerData as TransferWorkerData;
const metrics = new MetricsCollector();
const aborts = new Map<number, AbortController>();
const send = (message: FromWorker): void => port.postMessage(message);

const mover = new ChunkMover({
  store: openObjectStore(storage, { logger: logger('object'), metrics }, storeOptions),
  logger: logger('transfer'),
  cacheWritten: (path, bytes) => send({ kind: 'cached', path, bytes }),
});

const timer = setInterval(sendMetrics, METRICS_INTERVAL_MS);

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'put':
    case 'get':
      void run(message);
      return;
    case 'abort':
      aborts.get(message.id)?.abort();
      return;
    case 'close':
      clearInterval(timer);
      void mover
        .close()
        .catch((error: unknown) => logger('transfer').warn('cannot close the store', { error: errorMessage(error) }))
        .then(() => {
          sendMetrics();
          send({ kind: 'closed' });
          port.close();
        });
  }
});

async function run(message: Extract<ToWorker, { kind: 'put' | 'get' }>): Promise<void> {
  const abort = new AbortController();
  aborts.set(message.id, abort);
  try {
    if (message.kind === 'put') {
      await mover.put(message.request, abort.signal);
      send({ kind: 'done', id: message.id, payload: undefined });
    } else {
      const payload = await mover.get(message.request, abort.signal);
      const done: FromWorker = { kind: 'done', id: message.id, payload };
      port.postMessage(done, [payload.buffer as ArrayBuffer]);
    }
  } catch (error) {
    const known = isDataError(error) ? error : new DataError('store', errorMessage(error));
    send({ kind: 'failed', id: message.id, error: known.toPlain() });
  } finally {
    aborts.delete(message.id);
  }
}

function sendMetrics(): void {
  const taken = metrics.take();
  if (taken !== undefined) send({ kind: 'metrics', ...taken });
}

/** Logs through the main thread. */
function logger(module: string): Logger {
  const log = (level: LogLevel) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    // Only plain data crosses: what cannot be cloned would throw inside a log call.
    const plain = Object.fromEntries(
      Object.entries({ module, ...fields }).map(([key, value]) => [
        key,
        typeof value === 'number' || typeof value === 'boolean' ? value : errorMessage(value),
      ]),
    );
    send({ kind: 'log', level, message, fields: plain });
  };
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (name) => logger(`${module}.${name}`),
  };
}
