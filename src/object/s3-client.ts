import { createHash } from 'node:crypto';
import type * as Sdk from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import type { CredentialsFile } from './credentials.js';
import { S3HttpHandler, type S3HttpHandlerOptions } from './s3-http-handler.js';
import type { S3StorageSpec } from './storage-spec.js';

/** The SDK's module, loaded at the first request: it takes about 0.3 s, which a `file://` mount should not pay. */
export type S3Sdk = typeof Sdk;

export interface S3Connection {
  readonly sdk: S3Sdk;
  readonly client: S3Client;
  /** Gives a command the signal that ends its request, and returns it. */
  readonly bind: <C extends { readonly input: object }>(command: C, signal: AbortSignal) => C;
  readonly close: () => void;
}

export interface S3ClientOptions extends S3HttpHandlerOptions {
  readonly spec: S3StorageSpec;
  /** Undefined = the SDK's own chain. */
  readonly credentials?: CredentialsFile | undefined;
}

/**
 * Loads the SDK and makes its client as a {@link S3Store} needs it: no retries of its own, no `Expect: 100-continue` (a
 * round trip more for each large PUT), one pool of kept-alive connections, checksums as `s3-store.ts` sets them.
 */
export async function connectS3(opts: S3ClientOptions): Promise<S3Connection> {
  const sdk = await loadSdk();
  const { spec, credentials } = opts;
  const handler = new S3HttpHandler(opts);
  const client = new sdk.S3Client({
    ...(spec.endpoint === '' ? {} : { endpoint: spec.endpoint }),
    ...(spec.region === '' ? {} : { region: spec.region }),
    ...(credentials === undefined ? {} : { credentials: credentials.provide }),
    forcePathStyle: spec.pathStyle,
    maxAttempts: 1,
    expectContinueHeader: false,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A third of a small request's CPU went into putting the middleware together (works without per-call options only).
    cacheMiddleware: true,
    requestHandler: handler,
  });
  addHeaders(client);
  passSignals(client, handler);
  return {
    sdk,
    client,
    bind: (command, signal) => {
      (command.input as SignalCarrier)[SIGNAL] = signal;
      return command;
    },
    close: () => {
      client.destroy();
      handler.destroy();
    },
  };
}

async function loadSdk(): Promise<S3Sdk> {
  // It would print a warning about Node 20 on stderr, which is the administrator's terminal.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  return import('@aws-sdk/client-s3');
}

interface HttpRequestLike {
  readonly protocol: string;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

/** Headers that the SDK's options do not cover. */
function addHeaders(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const request = args.request as HttpRequestLike;
      switch (context.commandName ?? '') {
        case 'PutObjectCommand':
          // TLS protects the bytes and CRC32 checks them: SHA-256 for the signature would double the cost of a PUT.
          if (request.protocol === 'https:') request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
          break;
        case 'GetObjectCommand':
          // Only of a whole object does the server send the checksum of what it sends; the store verifies it.
          if (request.headers['range'] === undefined) request.headers['x-amz-checksum-mode'] = 'ENABLED';
          break;
        case 'DeleteObjectsCommand':
          // What servers without the newer checksums require.
          if (typeof request.body === 'string' || request.body instanceof Uint8Array) {
            request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64');
          }
          break;
      }
      return next(args);
    },
    { step: 'build', name: 'curvefsHeaders', priority: 'low' },
  );
}

/** A command's input carries the signal under a symbol: middleware that copies the input copies it, the serializer does not see it. */
const SIGNAL = Symbol('signal');
interface SignalCarrier {
  [SIGNAL]?: AbortSignal;
}

/** From the command's input to the signed HTTP request, which is a copy of a copy, right before it is sent. */
function passSignals(client: S3Client, handler: S3HttpHandler): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const signal = (args.input as SignalCarrier)[SIGNAL];
      if (signal !== undefined) handler.bind(args.request as object, signal);
      return next(args);
    },
    { step: 'deserialize', name: 'curvefsSignal', priority: 'low' },
  );
}
