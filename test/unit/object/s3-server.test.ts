import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { SignatureV4 } from '@smithy/signature-v4';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import { openObjectStore } from '../../../src/object/open-object-store.js';
import { failure } from '../../conformance/object-store-suite.js';
import { startS3Process, type S3Process } from '../../helpers/s3-server/s3-process.js';
import { S3Server } from '../../helpers/s3-server/server.js';

// The server judges our client in other tests; here it is judged itself, by requests that a correct client never sends.

class Sha256 {
  readonly #hash;
  constructor(secret?: unknown) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array);
  }
  update(data: Uint8Array): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hash.digest());
  }
  reset(): void {
    throw new Error('not used');
  }
}

const credentials = { accessKeyId: 'AKID', secretAccessKey: 'secret' };
let server: S3Server;
let port: number;

beforeEach(async () => {
  server = new S3Server({ ...credentials, buckets: ['bucket'] });
  port = await server.start();
});
afterEach(() => server.close());

interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly secretAccessKey?: string;
  readonly date?: Date;
  /** Changes the request after it was signed. */
  readonly tamper?: (request: { headers: Record<string, string>; path: string; body: string }) => void;
}

async function send(call: Call): Promise<string> {
  const body = call.body ?? '';
  const signer = new SignatureV4({
    credentials: { ...credentials, secretAccessKey: call.secretAccessKey ?? credentials.secretAccessKey },
    region: 'us-east-1',
    service: 's3',
    sha256: Sha256,
    uriEscapePath: false,
  });
  const signed = await signer.sign(
    {
      method: call.method ?? 'PUT',
      protocol: 'http:',
      hostname: '127.0.0.1',
      path: call.path ?? '/bucket/key',
      headers: {
        host: `127.0.0.1:${port}`,
        'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
        ...call.headers,
      },
      body,
    },
    call.date === undefined ? {} : { signingDate: call.date },
  );
  const request = { headers: { ...signed.headers }, path: signed.path, body };
  call.tamper?.(request);
  const { host: _host, ...headers } = request.headers;
  const method = call.method ?? 'PUT';
  const response = await fetch(`http://127.0.0.1:${port}${request.path}`, {
    method,
    headers,
    ...(method === 'PUT' || method === 'POST' ? { body: request.body } : {}),
  });
  const text = await response.text();
  return `${response.status} ${/<Code>(\w+)/.exec(text)?.[1] ?? ''}`.trim();
}

const cases: [string, Call, string][] = [
  ['a correct request', { body: 'x' }, '200'],
  ['a wrong secret', { secretAccessKey: 'other' }, '403 SignatureDoesNotMatch'],
  ['another key', { tamper: (r) => (r.path = '/bucket/other') }, '403 SignatureDoesNotMatch'],
  [
    'a changed header',
    { headers: { 'x-amz-meta-a': '1' }, tamper: (r) => (r.headers['x-amz-meta-a'] = '2') },
    '403 SignatureDoesNotMatch',
  ],
  ['an unsigned x-amz header', { tamper: (r) => (r.headers['x-amz-meta-a'] = '2') }, '403 AccessDenied'],
  ['a changed body', { body: 'one', tamper: (r) => (r.body = 'two') }, '400 XAmzContentSHA256Mismatch'],
  ['no authorization', { tamper: (r) => delete r.headers['authorization'] }, '403 AccessDenied'],
  [
    'a malformed authorization',
    { tamper: (r) => (r.headers['authorization'] = 'AWS4 x') },
    '400 AuthorizationHeaderMalformed',
  ],
  [
    'an unknown key id',
    { tamper: (r) => (r.headers['authorization'] = r.headers['authorization']?.replace('AKID', 'AKIX') ?? '') },
    '403 InvalidAccessKeyId',
  ],
  ['an old date', { date: new Date(Date.now() - 16 * 60_000) }, '403 RequestTimeTooSkewed'],
  ['a future date', { date: new Date(Date.now() + 16 * 60_000) }, '403 RequestTimeTooSkewed'],
  ['a wrong CRC32', { body: 'x', headers: { 'x-amz-checksum-crc32': 'AAAAAA==' } }, '400 BadDigest'],
  ['a right CRC32C', { body: '123456789', headers: { 'x-amz-checksum-crc32c': '4waSgw==' } }, '200'],
  ['a wrong CRC32C', { body: '123456780', headers: { 'x-amz-checksum-crc32c': '4waSgw==' } }, '400 BadDigest'],
  ['a wrong MD5', { body: 'x', headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' } }, '400 BadDigest'],
  ['an unknown checksum', { headers: { 'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=' } }, '501 NotImplemented'],
  [
    'aws-chunked framing',
    { headers: { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' } },
    '501 NotImplemented',
  ],
  ['a missing bucket', { path: '/nobody/key' }, '404 NoSuchBucket'],
  ['a missing key', { method: 'GET', path: '/bucket/none' }, '404 NoSuchKey'],
];
test.each(cases)('%s', async (_name, call, expected) => {
  expect(await send(call)).toBe(expected);
});

test('as a process: takes faults over the control port, and keeps a directory over a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'curvefs-s3-server-'));
  const open = (child: S3Process) =>
    openObjectStore(
      { kind: 's3', bucket: child.bucket, prefix: '', endpoint: child.endpoint, region: 'us-east-1', pathStyle: true },
      { logger: silentLogger, metrics: noMetrics },
      { credentialsFile: join(directory, 'credentials'), attemptsMax: 1 },
    );
  const first = await startS3Process({ directory: join(directory, 'data') });
  await writeFile(join(directory, 'credentials'), `${first.accessKeyId}:${first.secretAccessKey}`, { mode: 0o600 });
  const store = open(first);
  await first.addFault({ op: 'PutObject', status: 503, code: 'SlowDown' });
  expect(await failure(store.put('a/k', Buffer.from('x')))).toBe('throttled');
  await store.put('a/k', Buffer.from('x'));
  expect((await first.requests()).map(({ status }) => status)).toEqual([503, 200]);
  await store.close();
  await first.stop();
  const second = await startS3Process({
    directory: join(directory, 'data'),
    port: Number(new URL(first.endpoint).port),
  });
  const again = open(second);
  expect(await again.list('', '', 10)).toEqual([{ key: 'a/k', size: 1 }]);
  await again.close();
  await second.stop();
  await rm(directory, { recursive: true });
});
