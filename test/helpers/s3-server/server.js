import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { checkBody } from './checksums.js';
import { FaultPlan } from './fault-plan.js';
import { S3Error } from './s3-error.js';
import { MemoryStorage } from './storage.js';
import { verifySignature } from './verify-signature.js';
import { elementTexts, toXml } from './xml.js';

const BODY_MAX_BYTES = 64 * 1024 * 1024;
const REQUESTS_KEPT_MAX = 10_000;

/**
 * A small S3 server for tests, strict where clients go wrong: it verifies signatures, dates, checksums and payload hashes,
 * and refuses what it does not implement. `faults` makes it misbehave; `requests` is what it was asked, oldest first.
 * Addressing is path style, and virtual host below `domain`.
 */
export class S3Server {
  faults = new FaultPlan();
  /** MD5 by body, computed once. */
  #etags = new WeakMap();
  /** @type {{ op: string, bucket: string, key: string, status: number, headers: Record<string, string>, bytes: number }[]} */
  requests = [];
  #opts;
  /** Keys of conditional puts under way. */
  #conditional = new Set();
  #storage;
  #server;

  /**
   * @param {object} opts
   * @param {string} opts.accessKeyId
   * @param {string} opts.secretAccessKey
   * @param {string} [opts.sessionToken]
   * @param {string} [opts.region]   refuse signatures of another region
   * @param {string} [opts.domain]   bucket.<domain> names a bucket
   * @param {readonly string[]} [opts.buckets]  made at the start
   * @param {object} [opts.storage]
   * @param {() => number} [opts.nowMs]
   */
  constructor(opts) {
    this.#opts = opts;
    this.#storage = opts.storage ?? new MemoryStorage();
    this.#server = http.createServer((request, response) => void this.#handle(request, response));
    this.#server.keepAliveTimeout = 60_000;
  }

  get storage() {
    return this.#storage;
  }

  /** Changes the accepted credentials: a rotation. */
  setCredentials(credentials) {
    this.#opts = { ...this.#opts, ...credentials };
  }

  /** @returns {Promise<number>} the port */
  async start(port = 0, host = '127.0.0.1') {
    for (const bucket of this.#opts.buckets ?? []) await this.#storage.createBucket(bucket);
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address().port;
  }

  async close() {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  async #handle(request, response) {
    const record = { op: 'unknown', bucket: '', key: '', status: 0, headers: flat(request.headers), bytes: 0 };
    this.requests.push(record);
    if (this.requests.length > REQUESTS_KEPT_MAX) this.requests.shift();
    response.on('error', () => undefined);
    let answer;
    let fault;
    try {
      const call = await this.#read(request, record);
      fault = this.faults.take(call.op, call.key);
      if (fault?.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      if (fault?.action === 'hang') return;
      if (fault?.action === 'drop') return void request.socket.destroy();
      if (fault?.status !== undefined) {
        throw new S3Error(fault.code ?? 'InternalError', fault.status, 'This error was asked for by the test.');
      }
      answer = await this.#perform(call);
      if (fault?.action === 'drop-after') return void request.socket.destroy();
    } catch (error) {
      // The client went away in the middle of its request.
      if (request.destroyed && !request.complete) return;
      answer = errorAnswer(error, request.method);
    }
    record.status = answer.status;
    // The client learns the server's clock from it.
    answer.headers.date = new Date(this.#nowMs()).toUTCString();
    send(response, answer, fault?.action);
  }

  /** Reads and verifies a request, and tells which operation it is. */
  async #read(request, record) {
    const headers = record.headers;
    const url = new URL(request.url ?? '/', `http://${headers['host']}`);
    const { bucket, key } = this.#address(url);
    const op = operationOf(request.method ?? '', url, bucket, key);
    Object.assign(record, { op, bucket, key });
    const body = await readAll(request);
    record.bytes = body.length;
    await verifySignature({ method: request.method, url, headers }, this.#opts, this.#nowMs());
    const checksums = checkBody(headers, body);
    return { op, bucket, key, url, headers, body, checksums };
  }

  #etagOf(body) {
    let etag = this.#etags.get(body);
    if (etag === undefined) {
      etag = `"${createHash('md5').update(body).digest('hex')}"`;
      this.#etags.set(body, etag);
    }
    return etag;
  }

  #nowMs() {
    return (this.#opts.nowMs ?? Date.now)();
  }

  #address(url) {
    const path = decodeURIComponent(url.pathname).slice(1);
    const { domain } = this.#opts;
    if (domain !== undefined && url.hostname.endsWith(`.${domain}`)) {
      return { bucket: url.hostname.slice(0, -domain.length - 1), key: path };
    }
    const slash = path.indexOf('/');
    return slash < 0 ? { bucket: path, key: '' } : { bucket: path.slice(0, slash), key: path.slice(slash + 1) };
  }

  async #perform(call) {
    const { op, bucket, key } = call;
    if (op !== 'CreateBucket' && !(await this.#storage.hasBucket(bucket))) {
      throw new S3Error('NoSuchBucket', 404, 'The specified bucket does not exist');
    }
    switch (op) {
      case 'CreateBucket':
        await this.#storage.createBucket(bucket);
        return { status: 200, headers: { location: `/${bucket}` } };
      case 'HeadBucket':
        return { status: 200, headers: {} };
      case 'PutObject':
        if (call.headers['content-length'] === undefined)
          throw new S3Error('MissingContentLength', 411, 'You must provide Content-Length.');
        await this.#put(call);
        return { status: 200, headers: { etag: this.#etagOf(call.body), ...call.checksums } };
      case 'GetObject':
      case 'HeadObject':
        return this.#getObject(call);
      case 'DeleteObject':
        await this.#storage.delete(bucket, key);
        return { status: 204, headers: {} };
      case 'DeleteObjects':
        return this.#deleteObjects(call);
      case 'ListObjectsV2':
        return this.#listObjects(call);
      default:
        throw new S3Error('NotImplemented', 501, `${op} is not implemented.`);
    }
  }

  async #put({ bucket, key, body, checksums, headers }) {
    if (headers['if-none-match'] !== '*') return this.#storage.put(bucket, key, body, checksums);
    const id = `${bucket}/${key}`;
    const refusal = new S3Error(
      'PreconditionFailed',
      412,
      'At least one of the pre-conditions you specified did not hold',
    );
    if (this.#conditional.has(id)) throw refusal;
    this.#conditional.add(id);
    try {
      if ((await this.#storage.get(bucket, key)) !== undefined) throw refusal;
      await this.#storage.put(bucket, key, body, checksums);
    } finally {
      this.#conditional.delete(id);
    }
  }

  async #getObject({ op, bucket, key, headers }) {
    const object = await this.#storage.get(bucket, key);
    if (object === undefined) throw new S3Error('NoSuchKey', 404, 'The specified key does not exist.');
    const { body } = object;
    const common = { etag: this.#etagOf(body), 'accept-ranges': 'bytes', 'content-type': 'application/octet-stream' };
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers['range'] ?? '');
    if (range === null) {
      const checksums = headers['x-amz-checksum-mode'] === 'ENABLED' ? object.checksums : {};
      return { status: 200, headers: { ...common, ...checksums }, body, bodyless: op === 'HeadObject' };
    }
    const first = Number(range[1]);
    const last = Math.min(range[2] === '' ? Infinity : Number(range[2]), body.length - 1);
    if (first >= body.length || last < first)
      throw new S3Error('InvalidRange', 416, 'The requested range is not satisfiable');
    return {
      status: 206,
      headers: { ...common, 'content-range': `bytes ${first}-${last}/${body.length}` },
      body: body.subarray(first, last + 1),
      bodyless: op === 'HeadObject',
    };
  }

  async #deleteObjects({ bucket, headers, body }) {
    const checked = headers['content-md5'] ?? Object.keys(headers).find((name) => name.startsWith('x-amz-checksum-'));
    if (checked === undefined)
      throw new S3Error('InvalidRequest', 400, 'Missing required header for this request: Content-MD5');
    const text = body.toString('utf8');
    const keys = elementTexts(text, 'Key');
    if (keys.length === 0 || keys.length > 1000)
      throw new S3Error('MalformedXML', 400, 'The XML you provided was not well-formed');
    for (const key of keys) await this.#storage.delete(bucket, key);
    const quiet = elementTexts(text, 'Quiet')[0] === 'true';
    return xmlAnswer('DeleteResult', quiet ? {} : { Deleted: keys.map((Key) => ({ Key })) });
  }

  async #listObjects({ bucket, url }) {
    const prefix = url.searchParams.get('prefix') ?? '';
    const maxKeys = Math.min(Number(url.searchParams.get('max-keys') ?? 1000), 1000);
    const token = url.searchParams.get('continuation-token');
    const after =
      token === null ? (url.searchParams.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString();
    const all = (await this.#storage.list(bucket, prefix)).filter(({ key }) => key > after);
    const page = all.slice(0, maxKeys);
    const truncated = all.length > page.length;
    return xmlAnswer('ListBucketResult', {
      Name: bucket,
      Prefix: prefix,
      KeyCount: page.length,
      MaxKeys: maxKeys,
      IsTruncated: truncated,
      NextContinuationToken: truncated ? Buffer.from(page.at(-1)?.key ?? after).toString('base64url') : undefined,
      Contents: page.map(({ key, size }) => ({ Key: key, Size: size, LastModified: '2026-01-01T00:00:00.000Z' })),
    });
  }
}

function operationOf(method, url, bucket, key) {
  if (bucket === '') return 'ListBuckets';
  if (key !== '') {
    // Sub-resources (?uploads, ?acl …) would be mistaken for objects; x-id is the SDK's mark.
    const extra = [...url.searchParams.keys()].filter((name) => name !== 'x-id');
    if (extra.length > 0) return `${method} with ?${extra.join('&')}`;
    return { PUT: 'PutObject', GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }[method] ?? method;
  }
  if (method === 'POST' && url.searchParams.has('delete')) return 'DeleteObjects';
  if (method === 'GET' && url.searchParams.get('list-type') === '2') return 'ListObjectsV2';
  return { PUT: 'CreateBucket', HEAD: 'HeadBucket' }[method] ?? `${method} bucket`;
}

function flat(headers) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : (value ?? '')]),
  );
}

async function readAll(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_MAX_BYTES)
      throw new S3Error('EntityTooLarge', 400, 'Your proposed upload exceeds the maximum size.');
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length);
}

function xmlAnswer(root, content) {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: Buffer.from(toXml(root, content)) };
}

function errorAnswer(error, method) {
  const known = error instanceof S3Error ? error : new S3Error('InternalError', 500, String(error?.message ?? error));
  const body = Buffer.from(toXml('Error', { Code: known.code, Message: known.message }));
  return { status: known.status, headers: { 'content-type': 'application/xml' }, body, bodyless: method === 'HEAD' };
}

function send(response, answer, action) {
  let body = answer.body ?? Buffer.alloc(0);
  if (action === 'corrupt' && body.length > 0) {
    body = Buffer.from(body);
    body[body.length >> 1] ^= 1;
  }
  const id = randomBytes(8).toString('hex').toUpperCase();
  const headers = { ...answer.headers, 'x-amz-request-id': id, server: 'curvefs-test-s3' };
  // 204 has no length.
  if (answer.status !== 204) headers['content-length'] = body.length;
  response.writeHead(answer.status, headers);
  if (answer.bodyless) return void response.end();
  if (action !== 'truncate' && action !== 'stall') return void response.end(body);
  response.write(body.subarray(0, body.length >> 1), () => {
    if (action === 'truncate') response.socket?.destroy();
  });
}
