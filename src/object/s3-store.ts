import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import { crc32Base64 } from './crc32-base64.js';
import { mapS3Error, s3ErrorName, s3Status } from './map-s3-error.js';
import { isObjectError, ObjectError } from './object-error.js';
import { checkKey, checkList, checkRange } from './object-key.js';
import type { ByteRange, ObjectInfo, ObjectStore, ObjectStoreProperties, PutCondition } from './object-store.js';
import { readAnswer } from './read-answer.js';
import type { S3Connection, S3Sdk } from './s3-client.js';
import type { S3StorageSpec } from './storage-spec.js';

/** S3's own limit of a DeleteObjects request. */
const DELETE_BATCH_MAX = 1000;
/** Single deletes at once, where the server has no DeleteObjects. */
const DELETE_PARALLEL = 8;
/** How a server without (our form of) DeleteObjects says so. */
const BATCH_REFUSED = new Set([
  'NotImplemented',
  'MethodNotAllowed',
  'InvalidRequest',
  'MalformedXML',
  'MissingContentMD5',
]);

/** What a request is made with; `send` is the client's, with the request's signal. */
interface BoundConnection {
  readonly sdk: S3Sdk;
  readonly send: S3Client['send'];
}

export interface S3StoreDeps {
  /** Loads the SDK and connects, at the first request; a failure is not remembered. */
  readonly connect: () => Promise<S3Connection>;
}

export interface S3StoreOptions {
  readonly spec: S3StorageSpec;
  readonly concurrency: number;
  /** A request without its complete answer after this fails as 'timeout'. */
  readonly requestTimeoutMs: number;
}

/**
 * Objects in an S3 bucket, through AWS's SDK with its retries off (the retry decorator knows the deadline, the SDK does not).
 *
 * A PUT carries the CRC32 of its body, which the server checks; the answer to a whole GET is checked against the CRC32
 * it carries, that of a range against its length and position. What a chunk's frames say of its bytes is above this layer.
 * S3 keeps an object atomic and durable once PUT has answered.
 */
export class S3Store implements ObjectStore {
  readonly properties: ObjectStoreProperties;
  readonly #deps: S3StoreDeps;
  readonly #opts: S3StoreOptions;
  readonly #prefix: string;
  /** Requests under way, so that close ends them. */
  readonly #running = new Set<AbortController>();
  #connection: Promise<S3Connection> | undefined;
  #batchDelete = true;
  #closed = false;

  constructor(deps: S3StoreDeps, opts: S3StoreOptions) {
    const { spec } = opts;
    const prefix = spec.prefix === '' ? '' : `${spec.prefix}/`;
    this.properties = {
      name: `s3://${spec.bucket}${prefix === '' ? '' : `/${spec.prefix}`}`,
      concurrency: opts.concurrency,
    };
    this.#deps = deps;
    this.#opts = opts;
    this.#prefix = prefix;
  }

  async put(key: string, body: Uint8Array, signal?: AbortSignal, condition?: PutCondition): Promise<void> {
    checkKey(key);
    const buffer = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const checksum = crc32Base64(buffer);
    await this.#request('PUT', key, signal, ({ sdk, send }) =>
      send(
        new sdk.PutObjectCommand({
          ...this.#object(key),
          Body: buffer,
          ContentLength: buffer.length,
          ...(condition === 'absent' ? { IfNoneMatch: '*' } : {}),
          // Node before 20.15 has no native CRC32; the SDK then computes its own.
          ...(checksum === undefined ? { ChecksumAlgorithm: 'CRC32' } : { ChecksumCRC32: checksum }),
        }),
      ),
    );
  }

  async get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    checkKey(key);
    if (range !== undefined) checkRange(range.offset, range.length);
    if (range?.length === 0) {
      // HTTP has no empty range; what is left of the question is whether the object exists.
      await this.head(key, signal);
      return Buffer.alloc(0);
    }
    const last = range === undefined ? 0 : Math.min(range.offset + range.length - 1, Number.MAX_SAFE_INTEGER);
    return this.#request('GET', key, signal, async ({ sdk, send }) => {
      let output: GetObjectCommandOutput;
      try {
        const input = {
          ...this.#object(key),
          ...(range === undefined ? {} : { Range: `bytes=${range.offset}-${last}` }),
        };
        output = await send(new sdk.GetObjectCommand(input));
      } catch (error) {
        // The range begins at or past the end.
        if (range !== undefined && (s3ErrorName(error) === 'InvalidRange' || s3Status(error) === 416))
          return Buffer.alloc(0);
        throw error;
      }
      return readAnswer(output, range, `GET s3://${this.#opts.spec.bucket}/${this.#prefix}${key}`);
    });
  }

  async head(key: string, signal?: AbortSignal): Promise<number> {
    checkKey(key);
    const output = await this.#request('HEAD', key, signal, ({ sdk, send }) =>
      send(new sdk.HeadObjectCommand(this.#object(key))),
    );
    if (output.ContentLength === undefined)
      throw new ObjectError('invalid', `HEAD ${key}: the server did not say its size`);
    return output.ContentLength;
  }

  async delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    keys.forEach(checkKey);
    for (let i = 0; i < keys.length; i += DELETE_BATCH_MAX) {
      const batch = keys.slice(i, i + DELETE_BATCH_MAX);
      if (batch.length > 1 && this.#batchDelete && (await this.#deleteBatch(batch, signal))) continue;
      await this.#deleteSingly(batch, signal);
    }
  }

  async list(prefix: string, after: string, limit: number, signal?: AbortSignal): Promise<readonly ObjectInfo[]> {
    checkList(prefix, after, limit);
    const found: ObjectInfo[] = [];
    let token: string | undefined;
    // A page may hold less than was asked for, even nothing.
    do {
      const page = await this.#request('LIST', prefix, signal, ({ sdk, send }) =>
        send(
          new sdk.ListObjectsV2Command({
            Bucket: this.#opts.spec.bucket,
            Prefix: this.#prefix + prefix,
            MaxKeys: limit - found.length,
            ...(after === '' ? {} : { StartAfter: this.#prefix + after }),
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        ),
      );
      for (const { Key, Size } of page.Contents ?? []) {
        if (Key === undefined || Size === undefined || !Key.startsWith(this.#prefix)) continue;
        const key = Key.slice(this.#prefix.length);
        if (key > after && key.startsWith(prefix)) found.push({ key, size: Size });
      }
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (next !== undefined && next === token) {
        throw new ObjectError('invalid', `LIST ${this.properties.name}/${prefix}: the server repeats a page`);
      }
      token = next;
    } while (token !== undefined && found.length < limit);
    return found.slice(0, limit);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const controller of this.#running) controller.abort();
    const connection = this.#connection;
    this.#connection = undefined;
    (await connection?.catch(() => undefined))?.close();
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#opts.spec.bucket, Key: this.#prefix + key };
  }

  /** False when the server has no batch delete. */
  async #deleteBatch(keys: readonly string[], signal: AbortSignal | undefined): Promise<boolean> {
    const objects = keys.map((key) => ({ Key: this.#prefix + key }));
    try {
      const output = await this.#request('DELETE', keys[0] ?? '', signal, ({ sdk, send }) =>
        send(
          new sdk.DeleteObjectsCommand({ Bucket: this.#opts.spec.bucket, Delete: { Objects: objects, Quiet: true } }),
        ),
      );
      const failed = output.Errors?.find(({ Code }) => Code !== 'NoSuchKey');
      if (failed !== undefined) {
        const error = Object.assign(new Error(failed.Message), { name: failed.Code ?? 'unknown error' });
        throw this.#map(error, 'DELETE', failed.Key?.slice(this.#prefix.length) ?? '');
      }
      return true;
    } catch (error) {
      const name = isObjectError(error) ? s3ErrorName(error.cause) : '';
      const status = isObjectError(error) ? s3Status(error.cause) : 0;
      if (!BATCH_REFUSED.has(name) && status !== 501 && status !== 405) throw error;
      this.#batchDelete = false;
      return false;
    }
  }

  async #deleteSingly(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    for (let i = 0; i < keys.length; i += DELETE_PARALLEL) {
      await Promise.all(keys.slice(i, i + DELETE_PARALLEL).map((key) => this.#deleteOne(key, signal)));
    }
  }

  async #deleteOne(key: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#request('DELETE', key, signal, ({ sdk, send }) =>
        send(new sdk.DeleteObjectCommand(this.#object(key))),
      );
    } catch (error) {
      // Some servers answer 404 where S3 answers 204.
      if (!isObjectError(error, 'not-found')) throw error;
    }
  }

  /** One request: connects, bounds it in time, and converts what goes wrong. */
  async #request<T>(
    op: string,
    key: string,
    signal: AbortSignal | undefined,
    perform: (connection: BoundConnection) => Promise<T>,
  ): Promise<T> {
    const { requestTimeoutMs } = this.#opts;
    const controller = new AbortController();
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      controller.abort();
    }, requestTimeoutMs);
    const onAbort = (): void => controller.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#running.add(controller);
    try {
      if (this.#closed || signal?.aborted === true) throw new ObjectError('aborted', 'aborted before it was sent');
      // Raced, because credentials may hang before there is a request that the signal could end.
      return await Promise.race([this.#perform(perform, controller.signal), rejectWhenAborted(controller.signal)]);
    } catch (error) {
      if (timedOut) throw this.#failed('timeout', op, key, `no complete answer within ${requestTimeoutMs} ms`, error);
      if (controller.signal.aborted || this.#closed) throw this.#failed('aborted', op, key, 'aborted', error);
      throw this.#map(error, op, key);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      this.#running.delete(controller);
    }
  }

  async #perform<T>(perform: (connection: BoundConnection) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { sdk, client, bind } = await this.#connect();
    return perform({
      sdk,
      send: ((command: { input: object }) => client.send(bind(command, signal) as never)) as S3Client['send'],
    });
  }

  #connect(): Promise<S3Connection> {
    if (this.#connection === undefined) {
      const connection = this.#deps.connect();
      this.#connection = connection;
      connection.catch(() => {
        if (this.#connection === connection) this.#connection = undefined;
      });
    }
    return this.#connection;
  }

  #map(error: unknown, op: string, key: string): ObjectError {
    const { bucket } = this.#opts.spec;
    return mapS3Error(error, { op, key: this.#prefix + key, bucket, endpoint: this.#endpoint() });
  }

  #failed(code: 'timeout' | 'aborted', op: string, key: string, why: string, cause: unknown): ObjectError {
    const place = `s3://${this.#opts.spec.bucket}/${this.#prefix}${key} at ${this.#endpoint()}`;
    return new ObjectError(code, `${op} ${place}: ${why}`, { cause });
  }

  #endpoint(): string {
    const { endpoint, region } = this.#opts.spec;
    return endpoint === '' ? `AWS ${region}` : endpoint;
  }
}

function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
  });
}
