import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CredentialsFile } from '../../../src/object/credentials.js';
import type { ObjectError } from '../../../src/object/object-error.js';
import { connectS3 } from '../../../src/object/s3-client.js';
import { S3Store } from '../../../src/object/s3-store.js';
import type { S3StorageSpec } from '../../../src/object/storage-spec.js';
import { S3Server, type Fault } from '../../helpers/s3-server/server.js';
import { failure } from '../../conformance/object-store-suite.js';

const pair = { accessKeyId: 'AKIDTEST', secretAccessKey: 'sEcReT/+=' };
let directory: string;
let credentialsPath: string;
let server: S3Server;
let endpoint: string;
let stores: S3Store[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'curvefs-s3-'));
  credentialsPath = join(directory, 'credentials');
  await writeFile(credentialsPath, `${pair.accessKeyId}:${pair.secretAccessKey}\n`, { mode: 0o600 });
  server = new S3Server({ ...pair, region: 'us-east-1', domain: 's3.test', buckets: ['bucket'] });
  endpoint = `http://127.0.0.1:${await server.start()}`;
  stores = [];
});
afterEach(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

function open(spec: Partial<S3StorageSpec> = {}, requestTimeoutMs = 10_000): S3Store {
  const full: S3StorageSpec = {
    kind: 's3',
    bucket: 'bucket',
    prefix: 'pre/fix',
    endpoint,
    region: 'us-east-1',
    pathStyle: true,
    ...spec,
  };
  const store = new S3Store(
    {
      connect: () =>
        connectS3({
          spec: full,
          credentials: new CredentialsFile(credentialsPath),
          connectionsMax: 8,
          connectTimeoutMs: 1000,
          lookup: (_host, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
        }),
    },
    { spec: full, concurrency: 8, requestTimeoutMs },
  );
  stores.push(store);
  return store;
}

async function errorOf(promise: Promise<unknown>): Promise<ObjectError> {
  return promise.then(
    () => {
      throw new Error('no failure');
    },
    (error: unknown) => error as ObjectError,
  );
}

describe('requests', () => {
  test('a put carries the signed payload, its CRC32 and no framing', async () => {
    await open().put('a/b', Buffer.from('hello'));
    const [request] = server.requests;
    expect(request).toMatchObject({ op: 'PutObject', key: 'pre/fix/a/b', status: 200, bytes: 5 });
    expect(request?.headers).toMatchObject({ 'content-length': '5', 'x-amz-checksum-crc32': 'NhCmhg==' });
    expect(request?.headers['x-amz-content-sha256']).toMatch(/^[0-9a-f]{64}$/);
    expect(request?.headers).not.toHaveProperty('expect');
    expect(request?.headers).not.toHaveProperty('content-encoding');
  });

  test('a large put waits for no 100-continue and keeps its connection', async () => {
    const store = open();
    for (let i = 0; i < 5; i++) await store.put(`k${i}`, randomBytes(3 * 1024 * 1024));
    expect(server.requests.every(({ headers }) => headers['expect'] === undefined)).toBe(true);
    expect(new Set(server.requests.map(({ headers }) => headers['connection']))).toEqual(new Set(['keep-alive']));
  });

  test('a whole get asks for the checksum, a range does not', async () => {
    const store = open();
    await store.put('k', Buffer.from('hello'));
    await store.get('k');
    await store.get('k', { offset: 1, length: 2 });
    const gets = server.requests.filter(({ op }) => op === 'GetObject');
    expect(gets.map(({ headers }) => headers['x-amz-checksum-mode'])).toEqual(['ENABLED', undefined]);
    expect(gets.map(({ headers }) => headers['range'])).toEqual([undefined, 'bytes=1-2']);
  });

  test('virtual-host addressing names the bucket in the host', async () => {
    const port = new URL(endpoint).port;
    const store = open({ endpoint: `http://s3.test:${port}`, pathStyle: false });
    await store.put('k', Buffer.from('x'));
    expect(await store.head('k')).toBe(1);
    expect(server.requests[0]?.headers['host']).toBe(`bucket.s3.test:${port}`);
  });

  test('deletes go in batches of 1000 with Content-MD5, a single one alone', async () => {
    const store = open();
    await store.delete(Array.from({ length: 2001 }, (_, i) => `k${i}`));
    expect(server.requests.map(({ op }) => op)).toEqual(['DeleteObjects', 'DeleteObjects', 'DeleteObject']);
    expect(server.requests[0]?.headers['content-md5']).toMatch(/^[A-Za-z0-9+/]{22}==$/);
  });

  test.each([
    [501, 'NotImplemented'],
    [400, 'MissingContentMD5'],
    [405, 'MethodNotAllowed'],
  ])('a server that refuses DeleteObjects with %i %s gets single deletes from then on', async (status, code) => {
    const store = open();
    await store.put('k1', Buffer.from('x'));
    server.faults.add({ op: 'DeleteObjects', status, code, count: -1 });
    await store.delete(['k1', 'k2', 'k3']);
    await store.delete(['k4', 'k5']);
    expect(await store.list('', '', 10)).toEqual([]);
    expect(server.requests.filter(({ op }) => op === 'DeleteObjects')).toHaveLength(1);
    expect(server.requests.filter(({ op }) => op === 'DeleteObject')).toHaveLength(5);
  });

  test('a failing DeleteObjects is an error and not a reason to delete singly', async () => {
    server.faults.add({ op: 'DeleteObjects', status: 503, code: 'SlowDown' });
    expect(await failure(open().delete(['k1', 'k2']))).toBe('throttled');
    expect(server.requests).toHaveLength(1);
  });

  test('a listing goes on over short pages', async () => {
    const store = open();
    for (let i = 0; i < 7; i++) await store.put(`k${i}`, Buffer.from('x'));
    server.requests = [];
    expect((await store.list('k', 'k1', 4)).map(({ key }) => key)).toEqual(['k2', 'k3', 'k4', 'k5']);
    expect(server.requests).toHaveLength(1);
  });

  test('what is outside the prefix is not seen and not touched', async () => {
    await open({ prefix: '' }).put('pre/other', Buffer.from('x'));
    await open({ prefix: '' }).put('pre/fixed', Buffer.from('x'));
    const store = open();
    await store.put('mine', Buffer.from('x'));
    expect(await store.list('', '', 10)).toEqual([{ key: 'mine', size: 1 }]);
    expect(await failure(store.get('other'))).toBe('not-found');
  });
});

describe('answers that are wrong', () => {
  const body = randomBytes(300_000);
  const cases: [string, Fault, string][] = [
    ['a flipped bit', { op: 'GetObject', action: 'corrupt' }, 'corrupt'],
    ['a body that breaks off', { op: 'GetObject', action: 'truncate' }, 'unavailable'],
    ['a cut connection', { op: 'GetObject', action: 'drop' }, 'unavailable'],
    ['503 SlowDown', { op: 'GetObject', status: 503, code: 'SlowDown' }, 'throttled'],
    ['429', { op: 'GetObject', status: 429, code: 'TooManyRequests' }, 'throttled'],
    ['500', { op: 'GetObject', status: 500, code: 'InternalError' }, 'unavailable'],
    ['503', { op: 'GetObject', status: 503, code: 'ServiceUnavailable' }, 'unavailable'],
    ['403', { op: 'GetObject', status: 403, code: 'AccessDenied' }, 'access-denied'],
    ['an expired token', { op: 'GetObject', status: 400, code: 'ExpiredToken' }, 'bad-credentials'],
    ['400 RequestTimeout', { op: 'GetObject', status: 400, code: 'RequestTimeout' }, 'timeout'],
    ['507', { op: 'GetObject', status: 507, code: 'InsufficientStorage' }, 'no-space'],
    ['an unknown 4xx', { op: 'GetObject', status: 418, code: 'Teapot' }, 'invalid'],
  ];
  test.each(cases)('%s', async (_name, fault, code) => {
    const store = open();
    await store.put('k', body);
    server.faults.add(fault);
    expect(await failure(store.get('k'))).toBe(code);
    expect(server.requests.filter(({ op }) => op === 'GetObject')).toHaveLength(1);
    expect(body.equals(await store.get('k'))).toBe(true);
  });

  test('a bit flipped on the way to the server is refused by it, as corrupt', async () => {
    server.faults.add({ op: 'PutObject', status: 400, code: 'BadDigest' });
    expect(await failure(open().put('k', body))).toBe('corrupt');
  });

  test('a HEAD that is refused without a body', async () => {
    server.faults.add({ op: 'HeadObject', status: 403 });
    server.faults.add({ op: 'HeadObject', status: 503 });
    expect(await failure(open().head('k'))).toBe('access-denied');
    expect(await failure(open().head('k'))).toBe('unavailable');
  });

  test('an endpoint that is no S3 server', async () => {
    const web = createServer((_request, response) => response.writeHead(200).end('<html>hello</html>'));
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const store = open({ endpoint: `http://127.0.0.1:${(web.address() as AddressInfo).port}` });
    expect(await failure(store.get('k', { offset: 0, length: 3 }))).not.toBe('no failure');
    expect(await failure(store.list('', '', 1))).not.toBe('not-found');
    web.closeAllConnections();
    web.close();
  });

  test('a range answered with another range is corrupt, and one that was ignored is cut', async () => {
    const headers: Record<string, string> = {};
    let status = 206;
    const web = createServer((_request, response) => {
      response.writeHead(status, { 'content-length': 10, ...headers }).end('0123456789');
    });
    web.listen(0, '127.0.0.1');
    await once(web, 'listening');
    const store = open({ endpoint: `http://127.0.0.1:${(web.address() as AddressInfo).port}` });
    const get = (): Promise<Uint8Array> => store.get('k', { offset: 5, length: 10 });
    for (const wrong of ['bytes 0-9/20', 'bytes 5-13/20', 'bytes 5-14/14', 'nonsense']) {
      headers['content-range'] = wrong;
      expect([wrong, await failure(get())]).toEqual([wrong, 'corrupt']);
    }
    headers['content-range'] = 'bytes 5-14/15';
    expect(Buffer.from(await get()).toString()).toBe('0123456789');
    delete headers['content-range'];
    status = 200;
    expect(Buffer.from(await get()).toString()).toBe('56789');
    web.closeAllConnections();
    web.close();
  });
});

describe('time', () => {
  test('a server that never answers is a timeout', async () => {
    server.faults.add({ action: 'hang', count: -1 });
    const store = open({}, 200);
    const error = await errorOf(store.put('k', Buffer.from('x')));
    expect(error.code).toBe('timeout');
    expect(error.message).toContain('within 200 ms');
  });

  test('requests that timed out give their connections back', async () => {
    server.faults.add({ action: 'hang', count: -1 });
    const store = open({}, 1500);
    const calls = [
      ...Array.from({ length: 5 }, () => failure(store.get('k'))),
      ...Array.from({ length: 5 }, () => failure(store.put('k', Buffer.from('x')))),
    ];
    const results = await Promise.all(calls);
    expect(new Set(results)).toEqual(new Set(['timeout']));
    server.faults.clear();
    expect(await failure(store.list('', '', 1))).toBe('no failure');
  });

  test('a body that stalls is a timeout, and gives its connection back', async () => {
    const store = open({}, 1500);
    await store.put('k', Buffer.alloc(100_000));
    server.faults.add({ op: 'GetObject', action: 'stall', count: 8 });
    const results = await Promise.all(Array.from({ length: 8 }, () => failure(store.get('k'))));
    expect(new Set(results)).toEqual(new Set(['timeout']));
    expect(await store.get('k')).toHaveLength(100_000);
  });

  test('an abort ends a request under way', async () => {
    server.faults.add({ action: 'hang', count: -1 });
    const controller = new AbortController();
    const result = failure(open().get('k', undefined, controller.signal));
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort();
    expect(await result).toBe('aborted');
  });

  test('close ends requests under way, and later ones are refused', async () => {
    server.faults.add({ action: 'hang', count: -1 });
    const store = open();
    const result = failure(store.get('k'));
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await store.close();
    expect(await result).toBe('aborted');
    expect(await failure(store.get('k'))).toBe('aborted');
  });

  test('a clock that is wrong is corrected by the answer', async () => {
    const skewed = new S3Server({ ...pair, buckets: ['bucket'], nowMs: () => Date.now() - 3_600_000 });
    const store = open({ endpoint: `http://127.0.0.1:${await skewed.start()}` });
    const error = await errorOf(store.put('k', Buffer.from('x')));
    expect(error.code).toBe('clock-skew');
    expect(error.retryable).toBe(true);
    expect(error.message).toContain("check this machine's clock");
    await store.put('k', Buffer.from('x'));
    await skewed.close();
  });
});

describe('what the administrator sees', () => {
  test('a missing bucket, by name', async () => {
    const error = await errorOf(open({ bucket: 'nobody' }).put('k', Buffer.from('x')));
    expect(error.code).toBe('no-bucket');
    expect(error.message).toContain('PUT s3://nobody/pre/fix/k at http://127.0.0.1');
    expect(error.message).toContain('create the bucket');
  });

  test('a server that is not there', async () => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const { port } = gone.address() as AddressInfo;
    gone.close();
    await once(gone, 'close');
    const error = await errorOf(open({ endpoint: `http://127.0.0.1:${port}` }).get('k'));
    expect(error.code).toBe('unavailable');
    expect(error.message).toContain('ECONNREFUSED');
  });

  test('a wrong secret, a wrong key id and a wrong region, without the secret in the message', async () => {
    await writeFile(credentialsPath, `${pair.accessKeyId}:wrong-secret\n`);
    const secret = await errorOf(open().get('k'));
    expect(secret.code).toBe('bad-credentials');
    expect(secret.message).toContain('SignatureDoesNotMatch');
    expect(secret.message).not.toContain('wrong-secret');
    await writeFile(credentialsPath, `AKIDOTHER:${pair.secretAccessKey}\n`);
    expect(await failure(open().get('k'))).toBe('bad-credentials');
    await writeFile(credentialsPath, `${pair.accessKeyId}:${pair.secretAccessKey}\n`);
    const region = await errorOf(open({ region: 'eu-west-1' }).get('k'));
    expect(region.code).toBe('invalid');
    expect(region.message).toContain("expecting 'us-east-1'");
  });

  test('a credentials file that others may read is refused at the first request', async () => {
    await rm(credentialsPath);
    await writeFile(credentialsPath, 'a:b', { mode: 0o644 });
    const error = await errorOf(open().get('k'));
    expect(error.code).toBe('bad-credentials');
    expect(error.message).toContain('chmod 600');
    expect(server.requests).toHaveLength(0);
  });

  test('rotated credentials are taken up by a store that is open', async () => {
    const spec: S3StorageSpec = {
      kind: 's3',
      bucket: 'bucket',
      prefix: '',
      endpoint,
      region: 'us-east-1',
      pathStyle: true,
    };
    const credentials = new CredentialsFile(credentialsPath, 0);
    const store = new S3Store(
      { connect: () => connectS3({ spec, credentials, connectionsMax: 8, connectTimeoutMs: 1000 }) },
      { spec, concurrency: 8, requestTimeoutMs: 10_000 },
    );
    stores.push(store);
    await store.put('k', Buffer.from('x'));
    server.setCredentials({ accessKeyId: 'AKIDNEW', secretAccessKey: 'new' });
    expect(await failure(store.get('k'))).toBe('bad-credentials');
    await writeFile(credentialsPath, 'AKIDNEW:new');
    expect(await failure(store.get('k'))).toBe('no failure');
  });

  test('a session token is sent and checked', async () => {
    server.setCredentials({ sessionToken: 'TOKEN' });
    expect(await failure(open().get('k'))).toBe('bad-credentials');
    const lines = [
      '[default]',
      `aws_access_key_id = ${pair.accessKeyId}`,
      `aws_secret_access_key = ${pair.secretAccessKey}`,
    ];
    await writeFile(credentialsPath, [...lines, 'aws_session_token = TOKEN'].join('\n'));
    expect(await failure(open().get('k'))).toBe('not-found');
  });
});
