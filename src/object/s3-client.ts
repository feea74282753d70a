import { createHash } from 'node:crypto';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type * as Sdk from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import type { CredentialsFile } from './credentials.js';
import type { S3StorageSpec } from './storage-spec.js';

/** The SDK's module, loaded at the first request: it takes about 0.3 s, which a `file://` mount should not pay. */
export type S3Sdk = typeof Sdk;

export interface S3Connection {
  readonly sdk: S3Sdk;
  readonly client: S3Client;
  readonly close: () => void;
}

export interface S3ClientOptions {
  readonly spec: S3StorageSpec;
  /** Undefined = the SDK's own chain. */
  readonly credentials?: CredentialsFile | undefined;
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
  /** Name resolution; tests of virtual-host addressing set it. */
  readonly lookup?: LookupFunction | undefined;
}

/** Idle connections are dropped before common servers and load balancers drop theirs (60 s), so that few requests meet a closed one. */
const IDLE_MS = 45_000;

/**
 * Loads the SDK and makes its client as a {@link S3Store} needs it: no retries of its own, no `Expect: 100-continue` (a
 * round trip more for each large PUT), one pool of kept-alive connections, checksums as `s3-store.ts` sets them.
 */
export async function connectS3(opts: S3ClientOptions): Promise<S3Connection> {
  const sdk = await loadSdk();
  const agentOptions = {
    keepAlive: true,
    noDelay: true,
    maxSockets: opts.connectionsMax,
    maxFreeSockets: opts.connectionsMax,
    // The connection used last is the least likely to have been closed by the server.
    scheduling: 'lifo' as const,
    ...(opts.lookup === undefined ? {} : { lookup: opts.lookup }),
  };
  const agents = [new HttpAgent(agentOptions), new HttpsAgent(agentOptions)] as const;
  for (const agent of agents)
    agent.on('free', (socket: { setTimeout(ms: number): void }) => socket.setTimeout(IDLE_MS));
  const { spec, credentials } = opts;
  const client = new sdk.S3Client({
    ...(spec.endpoint === '' ? {} : { endpoint: spec.endpoint }),
    ...(spec.region === '' ? {} : { region: spec.region }),
    ...(credentials === undefined ? {} : { credentials: credentials.provide }),
    forcePathStyle: spec.pathStyle,
    maxAttempts: 1,
    expectContinueHeader: false,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      httpAgent: agents[0],
      httpsAgent: agents[1],
      connectionTimeout: opts.connectTimeoutMs,
      // The deadline of a request is the store's; waiting for a connection is normal under load.
      requestTimeout: 0,
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    },
  });
  addHeaders(client);
  return {
    sdk,
    client,
    close: () => {
      client.destroy();
      for (const agent of agents) agent.destroy();
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
