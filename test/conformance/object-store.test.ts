import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { systemClock } from '../../src/common/clock.js';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import { FaultStore } from '../../src/object/fault-store.js';
import { FileStore } from '../../src/object/file-store.js';
import { LimitStore } from '../../src/object/limit-store.js';
import { MemoryStore } from '../../src/object/memory-store.js';
import { MetricsStore } from '../../src/object/metrics-store.js';
import { openObjectStore } from '../../src/object/open-object-store.js';
import { RetryStore } from '../../src/object/retry-store.js';
import type { ObjectStorageSpec } from '../../src/object/storage-spec.js';
import { S3Server } from '../helpers/s3-server/server.js';
import { DirectoryStorage } from '../helpers/s3-server/storage.js';
import { findVersitygw, startVersitygw, type Versitygw } from '../helpers/versitygw.js';
import { objectStoreSuite, type StoreUnderTest } from './object-store-suite.js';

const deps = { logger: silentLogger, metrics: noMetrics };
const clock = systemClock;
const retryOptions = { attemptsMax: 5, deadlineMs: 10_000, backoff: { firstMs: 1, maxMs: 5 } };
const limitOptions = { concurrency: 3, queueMax: 100 };

objectStoreSuite('memory', async () => ({ store: new MemoryStore() }));
objectStoreSuite('memory, retry', async () => ({
  store: new RetryStore({ inner: new MemoryStore(), clock, ...deps }, retryOptions),
}));
objectStoreSuite('memory, limit', async () => ({
  store: new LimitStore({ inner: new MemoryStore(), ...deps }, limitOptions),
}));
objectStoreSuite('memory, metrics', async () => ({
  store: new MetricsStore({ inner: new MemoryStore(), clock, ...deps }),
}));
objectStoreSuite('memory, faults without a rule', async () => ({ store: new FaultStore(new MemoryStore()) }));
objectStoreSuite('memory, each call failing once below retry', async () => {
  const faults = new FaultStore(new MemoryStore());
  for (const op of ['put', 'get', 'head', 'delete', 'list'] as const) {
    // Every second call fails, half of them after they were performed.
    for (let i = 0; i < 200; i++)
      faults.add(op, { kind: i % 2 === 0 ? 'fail' : 'fail-after', code: 'unavailable' }, { skip: 1 });
  }
  // Concurrent calls share the rules: one of them may meet many.
  return { store: new RetryStore({ inner: faults, clock, ...deps }, { ...retryOptions, attemptsMax: 100 }) };
});

async function withDirectory(open: (directory: string) => Promise<StoreUnderTest>): Promise<StoreUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'curvefs-object-'));
  const under = await open(directory);
  return {
    store: under.store,
    dispose: async () => {
      await under.dispose?.();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

objectStoreSuite('file', () => withDirectory(async (directory) => ({ store: new FileStore({ path: directory }) })));
objectStoreSuite('file, all decorators', () =>
  withDirectory(async (directory) => ({ store: openObjectStore({ kind: 'file', path: directory }, deps) })),
);

const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret/with+signs=' };

async function openS3(
  endpoint: string,
  spec: Partial<ObjectStorageSpec & { kind: 's3' }>,
  pair = credentials,
): Promise<StoreUnderTest> {
  return withDirectory(async (directory) => {
    const credentialsFile = join(directory, 'credentials');
    await writeFile(credentialsFile, `${pair.accessKeyId}:${pair.secretAccessKey}\n`, { mode: 0o600 });
    const storage = {
      kind: 's3',
      bucket: 'test-bucket',
      prefix: '',
      endpoint,
      region: 'us-east-1',
      pathStyle: true,
      ...spec,
    } as const;
    return { store: openObjectStore(storage, deps, { credentialsFile }) };
  });
}

async function withServer(directory: string | undefined, prefix: string): Promise<StoreUnderTest> {
  const storage = directory === undefined ? {} : { storage: new DirectoryStorage(directory) };
  const server = new S3Server({ ...credentials, region: 'us-east-1', buckets: ['test-bucket'], ...storage });
  const port = await server.start();
  const under = await openS3(`http://127.0.0.1:${port}`, { prefix });
  return {
    store: under.store,
    dispose: async () => {
      await under.dispose?.();
      await server.close();
    },
  };
}

objectStoreSuite('s3, own server', () => withServer(undefined, ''));
objectStoreSuite('s3, own server on a directory, with a prefix', () =>
  withDirectory((directory) => withServer(directory, 'some/prefix')),
);

const versitygw = await findVersitygw();
if (versitygw !== undefined) {
  describe('versitygw', () => {
    let gateway: Versitygw;
    let serial = 0;
    beforeAll(async () => {
      gateway = await startVersitygw(versitygw);
    }, 30_000);
    afterAll(() => gateway.stop());
    objectStoreSuite('s3, versitygw', () =>
      openS3(gateway.endpoint, { bucket: gateway.bucket, prefix: `run${serial++}` }, gateway),
    );
  });
} else if (process.env['CURVEFS_REQUIRE_ALL'] === '1') {
  test('versitygw is there', () => {
    throw new Error('CURVEFS_REQUIRE_ALL=1 and neither versitygw nor Go to install it was found');
  });
} else {
  test.skip('s3, versitygw: not installed', () => undefined);
}
