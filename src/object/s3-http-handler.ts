import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';

/** The part of the SDK's request that is sent. */
export interface SdkHttpRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface SdkHttpResponse {
  readonly response: {
    readonly statusCode: number;
    readonly reason: string | undefined;
    readonly headers: Record<string, string>;
    readonly body: IncomingMessage;
  };
}

export interface S3HttpHandlerOptions {
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
  /** Name resolution; tests of virtual-host addressing set it. */
  readonly lookup?: LookupFunction | undefined;
}

/** Idle connections are dropped before common servers and load balancers drop theirs (60 s), so that few requests meet a closed one. */
const IDLE_MS = 45_000;

/**
 * Sends the SDK's requests over kept-alive connections. The SDK's own handler takes five timers for each request and its
 * abort signal per call, which turns its cache of middleware off; with both gone a small request costs half the CPU.
 * Bodies are buffers. The deadline is the signal's; only connecting has a time of its own.
 */
export class S3HttpHandler {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #opts: S3HttpHandlerOptions;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;
  /** The signals of requests, from `bind` to `handle`. */
  readonly #signals = new WeakMap<object, AbortSignal>();

  constructor(opts: S3HttpHandlerOptions) {
    this.#opts = opts;
    const agentOptions = {
      keepAlive: true,
      noDelay: true,
      maxSockets: opts.connectionsMax,
      maxFreeSockets: opts.connectionsMax,
      timeout: IDLE_MS,
      // The connection used last is the least likely to have been closed by the server.
      scheduling: 'lifo' as const,
      ...(opts.lookup === undefined ? {} : { lookup: opts.lookup }),
    };
    this.#http = new HttpAgent(agentOptions);
    this.#https = new HttpsAgent(agentOptions);
  }

  /** Gives a request, which the SDK is about to hand to `handle`, the signal that ends it. */
  bind(request: object, signal: AbortSignal): void {
    this.#signals.set(request, signal);
  }

  handle(request: SdkHttpRequest): Promise<SdkHttpResponse> {
    const signal = this.#signals.get(request);
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(abortError());
      const secure = request.protocol === 'https:';
      const req = (secure ? httpsRequest : httpRequest)({
        host: request.hostname,
        port: request.port,
        method: request.method,
        path: request.path + queryString(request.query),
        headers: request.headers,
        agent: secure ? this.#https : this.#http,
      });
      // Also ends a body that is being read: the response is then destroyed with its request.
      const onAbort = (): void => void req.destroy(abortError());
      signal?.addEventListener('abort', onAbort, { once: true });
      req.once('close', () => signal?.removeEventListener('abort', onAbort));
      req.once('response', (response) => {
        resolve({
          response: {
            statusCode: response.statusCode ?? 0,
            reason: response.statusMessage,
            headers: flatHeaders(response),
            body: response,
          },
        });
      });
      // Stays: an error after the answer belongs to the body's reader, and must not be an uncaught one here.
      req.on('error', reject);
      this.#boundConnecting(req);
      req.end(request.body as Buffer | string | undefined);
    });
  }

  destroy(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  /** The SDK's way to change a handler's options; these are fixed. */
  updateHttpClientConfig(): void {
    // Nothing can be changed.
  }

  httpHandlerConfigs(): object {
    return {};
  }

  #boundConnecting(req: ClientRequest): void {
    req.once('socket', (socket) => {
      if (!socket.connecting) return;
      const ms = this.#opts.connectTimeoutMs;
      const timer = setTimeout(() => {
        const error = new Error(`no connection within ${ms} ms`);
        req.destroy(Object.assign(error, { name: 'TimeoutError', code: 'ETIMEDOUT' }));
      }, ms);
      const stop = (): void => clearTimeout(timer);
      socket.once('connect', stop);
      req.once('close', stop);
    });
  }
}

function abortError(): Error {
  return Object.assign(new Error('aborted'), { name: 'AbortError' });
}

function flatHeaders(response: IncomingMessage): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

/** Escaped as the signature was computed: RFC 3986, sorted. */
function queryString(query: SdkHttpRequest['query']): string {
  if (query === undefined) return '';
  const parts: string[] = [];
  for (const name of Object.keys(query).sort()) {
    const value = query[name];
    const key = escapeQuery(name);
    if (typeof value === 'object' && value !== null)
      for (const each of value) parts.push(`${key}=${escapeQuery(each)}`);
    else parts.push(value === null || value === undefined || value === '' ? key : `${key}=${escapeQuery(value)}`);
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

function escapeQuery(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
