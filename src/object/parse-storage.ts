import { normalize } from 'node:path';
import { checkKey } from './object-key.js';
import { isObjectError, ObjectError } from './object-error.js';
import type { ObjectStorageSpec, S3StorageSpec } from './storage-spec.js';

/** The flags beside `--storage`, as given. */
export interface StorageFlags {
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly pathStyle?: boolean | undefined;
}

/** What servers that do not know regions expect in a signature. */
const REGION_OF_ENDPOINTS = 'us-east-1';
/** Keys need room behind it: see object-key.ts. */
const PREFIX_LENGTH_MAX = 200;

/**
 * Reads `--storage file:///abs/dir` or `--storage s3://BUCKET[/PREFIX]` with its flags.
 * Throws an ObjectError 'invalid' whose message names the flag and the fault.
 */
export function parseStorage(storage: string, flags: StorageFlags = {}): ObjectStorageSpec {
  if (storage.startsWith('file:')) return parseFile(storage, flags);
  if (storage.startsWith('s3:')) return parseS3(storage, flags);
  throw invalid(`--storage ${quote(storage)}: must be file:///ABSOLUTE/DIR or s3://BUCKET[/PREFIX]`);
}

/** The spec as `--storage` has it. */
export function formatStorage(spec: ObjectStorageSpec): string {
  switch (spec.kind) {
    case 'file':
      return `file://${spec.path}`;
    case 's3':
      return `s3://${spec.bucket}${spec.prefix === '' ? '' : `/${spec.prefix}`}`;
  }
}

function parseFile(storage: string, flags: StorageFlags): ObjectStorageSpec {
  for (const [flag, value] of [
    ['--endpoint', flags.endpoint],
    ['--region', flags.region],
    ['--path-style', flags.pathStyle === true ? 'true' : undefined],
  ]) {
    if (value !== undefined) throw invalid(`${flag} is for s3:// storage, not for ${quote(storage)}`);
  }
  const path = storage.slice('file://'.length);
  if (!storage.startsWith('file:///')) {
    throw invalid(`--storage ${quote(storage)}: needs an absolute path with three slashes, as in file:///srv/curvefs`);
  }
  if (path.includes('\0')) throw invalid(`--storage ${quote(storage)}: the path has a NUL character`);
  if (path.split('/').includes('..')) throw invalid(`--storage ${quote(storage)}: the path must not have '..'`);
  const clean = normalize(path).replace(/\/+$/, '');
  if (clean === '') throw invalid(`--storage ${quote(storage)}: the root directory cannot be an object store`);
  return { kind: 'file', path: clean };
}

function parseS3(storage: string, flags: StorageFlags): S3StorageSpec {
  const match = /^s3:\/\/([^/]*)\/?(.*)$/s.exec(storage);
  if (match === null) throw invalid(`--storage ${quote(storage)}: must be s3://BUCKET[/PREFIX]`);
  const bucket = match[1] ?? '';
  const prefix = (match[2] ?? '').replace(/\/+$/, '');
  checkBucket(storage, bucket);
  if (prefix !== '') checkPrefix(storage, prefix);
  const endpoint = parseEndpoint(flags.endpoint);
  const region = flags.region ?? (endpoint === '' ? '' : REGION_OF_ENDPOINTS);
  if (region === '')
    throw invalid(`--storage ${quote(storage)}: give --region, or --endpoint for a server that is not AWS`);
  if (!/^[a-z0-9-]{1,64}$/.test(region))
    throw invalid(`--region ${quote(region)}: must be lower-case letters, digits and '-'`);
  return { kind: 's3', bucket, prefix, endpoint, region, pathStyle: flags.pathStyle ?? false };
}

/** The rules of S3 for new buckets, and underscores and capitals not: virtual hosts need DNS names. */
function checkBucket(storage: string, bucket: string): void {
  if (bucket === '') throw invalid(`--storage ${quote(storage)}: the bucket's name is missing`);
  const good =
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) && !bucket.includes('..') && !/^\d+(\.\d+){3}$/.test(bucket);
  if (!good) {
    throw invalid(
      `--storage ${quote(storage)}: ${quote(bucket)} is not a bucket name: 3 to 63 lower-case letters, digits, '.' and '-', beginning and ending with a letter or digit, and not an IP address`,
    );
  }
}

function checkPrefix(storage: string, prefix: string): void {
  if (prefix.length > PREFIX_LENGTH_MAX) {
    throw invalid(`--storage ${quote(storage)}: the prefix is longer than ${PREFIX_LENGTH_MAX} characters`);
  }
  try {
    checkKey(prefix);
  } catch (error) {
    if (!isObjectError(error)) throw error;
    throw invalid(
      `--storage ${quote(storage)}: the prefix must be parts of letters, digits, '.', '_' and '-' between single slashes, without '.' and '..' as a part`,
    );
  }
}

function parseEndpoint(endpoint: string | undefined): string {
  if (endpoint === undefined || endpoint === '') return '';
  let url: URL;
  try {
    url = new URL(endpoint);
  } catch {
    throw invalid(`--endpoint ${quote(endpoint)}: must be http://HOST[:PORT] or https://HOST[:PORT]`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalid(`--endpoint ${quote(endpoint)}: must be http://HOST[:PORT] or https://HOST[:PORT]`);
  }
  // The value is not quoted: it holds a secret.
  if (url.username !== '' || url.password !== '')
    throw invalid('--endpoint: must not have credentials in it; use --credentials FILE');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw invalid(`--endpoint ${quote(endpoint)}: must not have anything behind the host and port`);
  }
  return url.origin;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function invalid(message: string): ObjectError {
  return new ObjectError('invalid', message);
}
