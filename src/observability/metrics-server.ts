import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Closable } from '../common/closable.js';
import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import { formatHostPort, type HostPort } from '../config/host-port.js';

/** Whether the program does its work, and if not, why. */
export interface Health {
  readonly ok: boolean;
  /** One line. */
  readonly detail: string;
}

export interface MetricsServerDeps {
  readonly logger: Logger;
  readonly metrics: { readonly contentType: string; exposition(): Promise<string> };
  health(): Health;
}

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 32;

/**
 * A small HTTP server for people and Prometheus: `GET /metrics`, and `GET /healthz` (200 or 503 with one line). It has no access control:
 * listen on a loopback address or a private network.
 */
export class MetricsServer implements Closable {
  readonly #deps: MetricsServerDeps;
  readonly #server: Server;

  private constructor(deps: MetricsServerDeps) {
    this.#deps = deps;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.requestTimeout = REQUEST_TIMEOUT_MS;
    this.#server.headersTimeout = REQUEST_TIMEOUT_MS;
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Resolves when it serves; rejects with the reason, naming the address. */
  static async start(deps: MetricsServerDeps, opts: { readonly address: HostPort }): Promise<MetricsServer> {
    const server = new MetricsServer(deps);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', (error) =>
        reject(
          new Error(`metrics cannot be served on ${formatHostPort(opts.address)}: ${reasonOf(error)}`, {
            cause: error,
          }),
        ),
      );
      server.#server.listen(opts.address.port, opts.address.host, resolve);
    });
    server.#server.on('error', (error) => deps.logger.warn('metrics server', { error }));
    return server;
  }

  /** Where it listens in fact (port 0 has become one). */
  get address(): HostPort {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end('method not allowed\n');
    } else if (path === '/metrics') {
      await this.#answerMetrics(response);
    } else if (path === '/healthz') {
      const health = this.#deps.health();
      response.writeHead(health.ok ? 200 : 503, { 'content-type': 'text/plain' }).end(`${health.detail}\n`);
    } else {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('try /metrics or /healthz\n');
    }
  }

  async #answerMetrics(response: ServerResponse): Promise<void> {
    try {
      const text = await this.#deps.metrics.exposition();
      response.writeHead(200, { 'content-type': this.#deps.metrics.contentType }).end(text);
    } catch (error) {
      this.#deps.logger.error('metrics cannot be read', { error });
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`${errorMessage(error)}\n`);
    }
  }
}

function reasonOf(error: Error): string {
  switch (nodeErrorCode(error)) {
    case 'EADDRINUSE':
      return 'another program listens there';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine has no such address';
    case 'EACCES':
      return 'the port needs privileges';
    default:
      return error.message;
  }
}
