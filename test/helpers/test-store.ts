import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import type { ObjectStore } from '../../src/object/object-store.js';
import { openObjectStore } from '../../src/object/open-object-store.js';
import type { ObjectStorageSpec } from '../../src/object/storage-spec.js';
import { startS3Process, type S3Process, type S3ProcessOptions } from './s3-server/s3-process.js';
import { startVersitygw } from './versitygw.js';

/** An object store that tests put filesystems on. */
export interface TestStore {
  /** The storage flags of `fs create` for a filesystem whose objects lie under this prefix of the store. */
  createFlags(prefix: string): string[];
  /** A 0600 file with the credentials, for the service, the tool and the mounts; undefined where none are needed. */
  readonly credentialsFile: string | undefined;
  /** The store itself below a prefix ('' = all of it), to look at objects from outside. The caller closes it. */
  open(prefix: string): ObjectStore;
  stop(): Promise<void>;
}

interface S3Address {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** Put before every prefix: a bucket may hold other things. */
  readonly base?: string;
  readonly credentialsFile: string | undefined;
}

/** A directory, as `file://` store. */
export function fileStore(dir: string): TestStore {
  mkdirSync(dir, { recursive: true });
  return {
    createFlags: (prefix) => ['--storage', `file://${join(dir, prefix)}`],
    credentialsFile: undefined,
    open: (prefix) => open({ kind: 'file', path: join(dir, prefix) }, undefined),
    stop: () => Promise.resolve(),
  };
}

/** The tests' own S3 server, in a process of its own; `server` makes it misbehave. Its credentials file goes into `dir`. */
export async function ownS3Store(
  dir: string,
  opts: S3ProcessOptions = {},
): Promise<TestStore & { readonly server: S3Process }> {
  const server = await startS3Process(opts);
  const credentialsFile = writeCredentials(join(dir, 's3.credentials'), server);
  const { endpoint, bucket } = server;
  const store = s3Store({ endpoint, region: 'us-east-1', bucket, credentialsFile });
  return { ...store, server, stop: () => server.stop() };
}

/** versitygw, an S3 server that is not ours; `program` is what `findVersitygw` found. */
export async function versitygwStore(dir: string, program: string): Promise<TestStore> {
  const server = await startVersitygw(program);
  const credentialsFile = writeCredentials(join(dir, 'versitygw.credentials'), server);
  const { endpoint, bucket } = server;
  return { ...s3Store({ endpoint, region: 'us-east-1', bucket, credentialsFile }), stop: () => server.stop() };
}

/** Whether CURVEFS_TEST_S3_ENDPOINT and CURVEFS_TEST_S3_BUCKET name a store to test on. */
export function environmentNamesStore(): boolean {
  return process.env['CURVEFS_TEST_S3_ENDPOINT'] !== undefined && process.env['CURVEFS_TEST_S3_BUCKET'] !== undefined;
}

/**
 * The store that the environment names: CURVEFS_TEST_S3_ENDPOINT, CURVEFS_TEST_S3_BUCKET, CURVEFS_TEST_S3_REGION, and credentials by the AWS SDK's own chain
 * (AWS_ACCESS_KEY_ID and the like). Everything lies under one prefix of this run.
 */
export function environmentStore(): TestStore {
  return s3Store({
    endpoint: process.env['CURVEFS_TEST_S3_ENDPOINT']!,
    region: process.env['CURVEFS_TEST_S3_REGION'] ?? 'us-east-1',
    bucket: process.env['CURVEFS_TEST_S3_BUCKET']!,
    base: `curvefs-test-${Date.now()}-${process.pid}`,
    credentialsFile: undefined,
  });
}

function s3Store({ endpoint, region, bucket, base, credentialsFile }: S3Address): TestStore {
  const full = (prefix: string): string => [base ?? '', prefix].filter((part) => part !== '').join('/');
  return {
    createFlags: (prefix) => [
      ...['--storage', `s3://${bucket}${full(prefix) === '' ? '' : '/'}${full(prefix)}`],
      ...['--endpoint', endpoint, '--region', region, '--path-style'],
    ],
    credentialsFile,
    open: (prefix) =>
      open({ kind: 's3', bucket, prefix: full(prefix), endpoint, region, pathStyle: true }, credentialsFile),
    stop: () => Promise.resolve(),
  };
}

function open(spec: ObjectStorageSpec, credentialsFile: string | undefined): ObjectStore {
  return openObjectStore(spec, { logger: silentLogger, metrics: noMetrics }, { credentialsFile, createRoot: true });
}

/** Writes a credentials file as the product wants it, and returns its path. */
export function writeCredentials(
  path: string,
  keys: { readonly accessKeyId: string; readonly secretAccessKey: string },
): string {
  writeFileSync(
    path,
    `[default]\naws_access_key_id = ${keys.accessKeyId}\naws_secret_access_key = ${keys.secretAccessKey}\n`,
    {
      mode: 0o600,
    },
  );
  return path;
}
