import { systemClock, type Clock } from '../common/clock.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import { CredentialsFile } from './credentials.js';
import { FileStore, type ReadCached } from './file-store.js';
import { LimitStore } from './limit-store.js';
import { MetricsStore } from './metrics-store.js';
import type { ObjectStore } from './object-store.js';
import { RetryStore } from './retry-store.js';
import { connectS3 } from './s3-client.js';
import { S3Store } from './s3-store.js';
import type { ObjectStorageSpec, S3StorageSpec } from './storage-spec.js';

export interface OpenObjectStoreDeps {
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly clock?: Clock;
  /** Lets a store on a directory answer from the page cache at once. */
  readonly readCached?: ReadCached | undefined;
}

/** Plain data, so that it can be sent to a worker thread together with the spec. All have defaults. */
export interface OpenObjectStoreOptions {
  /** A 0600 file with S3 credentials; absent = the SDK's own chain (environment, ~/.aws, instance role). */
  readonly credentialsFile?: string | undefined;
  /** Requests at once; also the connections to S3. */
  readonly concurrency?: number | undefined;
  /** Time of one attempt. */
  readonly requestTimeoutMs?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Attempts of one call in all, and the time after which none begins; 1 attempt = no retries. */
  readonly attemptsMax?: number | undefined;
  readonly deadlineMs?: number | undefined;
  /** Makes the directory of a file store when it is missing (`fs create`). */
  readonly createRoot?: boolean | undefined;
}

const DEFAULTS = {
  s3Concurrency: 32,
  // 4 MiB in a minute is 70 KB/s: slower than that is not a working store.
  requestTimeoutMs: 60_000,
  connectTimeoutMs: 5_000,
  attemptsMax: 6,
  deadlineMs: 120_000,
  queueMax: 10_000,
} as const;
const BACKOFF = { firstMs: 50, maxMs: 5_000 };

/**
 * Opens the store that a spec names, with every decorator in its place: retry, then limit, then metrics, then the store.
 * Nothing is contacted before the first request, so this cannot fail for a store that is away.
 */
export function openObjectStore(
  spec: ObjectStorageSpec,
  deps: OpenObjectStoreDeps,
  opts: OpenObjectStoreOptions = {},
): ObjectStore {
  const clock = deps.clock ?? systemClock;
  const base = openBase(spec, deps, opts);
  const measured = new MetricsStore({ inner: base, metrics: deps.metrics, clock });
  const limited = new LimitStore(
    { inner: measured, metrics: deps.metrics },
    { concurrency: opts.concurrency ?? base.properties.concurrency, queueMax: DEFAULTS.queueMax },
  );
  return new RetryStore(
    { inner: limited, clock, metrics: deps.metrics, logger: deps.logger.child('object') },
    {
      attemptsMax: opts.attemptsMax ?? DEFAULTS.attemptsMax,
      deadlineMs: opts.deadlineMs ?? DEFAULTS.deadlineMs,
      backoff: BACKOFF,
    },
  );
}

function openBase(
  spec: ObjectStorageSpec,
  { readCached }: OpenObjectStoreDeps,
  opts: OpenObjectStoreOptions,
): ObjectStore {
  switch (spec.kind) {
    case 'file':
      return new FileStore({ path: spec.path, createRoot: opts.createRoot, readCached });
    case 's3':
      return openS3(spec, opts);
  }
}

function openS3(spec: S3StorageSpec, opts: OpenObjectStoreOptions): ObjectStore {
  const concurrency = opts.concurrency ?? DEFAULTS.s3Concurrency;
  const credentials = opts.credentialsFile === undefined ? undefined : new CredentialsFile(opts.credentialsFile);
  const connectTimeoutMs = opts.connectTimeoutMs ?? DEFAULTS.connectTimeoutMs;
  return new S3Store(
    { connect: () => connectS3({ spec, credentials, connectionsMax: concurrency, connectTimeoutMs }) },
    { spec, concurrency, requestTimeoutMs: opts.requestTimeoutMs ?? DEFAULTS.requestTimeoutMs },
  );
}
