import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Closable } from '../common/closable.js';
import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import { makeDirectories } from '../common/make-directories.js';
import { findMount, readMountInfo } from '../fuse/mount/mountinfo.js';
import { askSupervisor, NoDaemonError } from './launch/control-client.js';
import {
  CONTROL_LINE_MAX,
  CONTROL_VERSION,
  type ControlReply,
  type ControlRequest,
  type MountStatus,
  type UmountOrder,
} from './launch/control-protocol.js';
import { MountError } from './launch/mount-error.js';

export interface ControlServerDeps {
  readonly logger: Logger;
  status(): Promise<MountStatus>;
  /** Unmounts; reports how it goes on, and resolves with the result. */
  umount(order: UmountOrder, progress: (message: string) => void): Promise<Extract<ControlReply, { type: 'result' }>>;
}

const CONNECTIONS_MAX = 16;
const REQUEST_TIMEOUT_MS = 5000;
const PROBE_TIMEOUT_MS = 2000;
const TIMEOUT_MAX_MS = 86_400_000;

/**
 * The control socket of a mount: one request per connection, answered with JSON lines. Only its owner may connect (mode 0600). The socket is also the claim on
 * the mountpoint: a live one is not taken over.
 */
export class ControlServer implements Closable {
  readonly #deps: ControlServerDeps;
  readonly #path: string;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  /** Requests that are being answered. */
  readonly #answers = new Set<Promise<void>>();

  private constructor(deps: ControlServerDeps, path: string) {
    this.#deps = deps;
    this.#path = path;
    this.#server = createServer((socket) => this.#serve(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Listens; throws a {@link MountError} when another supervisor answers there. */
  static async listen(deps: ControlServerDeps, path: string): Promise<ControlServer> {
    const server = new ControlServer(deps, path);
    try {
      makeDirectories(dirname(path), 0o755);
      await server.#refuseLiveOwner();
      await rm(path, { force: true });
      await server.#listen();
    } catch (error) {
      if (error instanceof MountError) throw error;
      throw new MountError(2, `control socket ${path}: ${errorMessage(error)}`, { cause: error });
    }
    return server;
  }

  /** Stops listening after what is being answered has been sent. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#answers);
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#connections) socket.destroySoon();
    });
    await rm(this.#path, { force: true });
  }

  async #refuseLiveOwner(): Promise<void> {
    try {
      const reply = await askSupervisor(this.#path, { op: 'status' }, { silenceMs: PROBE_TIMEOUT_MS });
      throw new MountError(32, await alreadyServed(reply));
    } catch (error) {
      if (!(error instanceof NoDaemonError)) throw error;
    }
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#server.on('error', (error) => this.#deps.logger.warn('control socket', { error }));
    await chmod(this.#path, 0o600);
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket);
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('error', (error) => {
      // A client that has gone is not our trouble; what it asked for goes on.
      if (nodeErrorCode(error) !== 'EPIPE') this.#deps.logger.debug('control connection', { error });
    });
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy());
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      text += part;
      const end = text.indexOf('\n');
      if (end < 0 && text.length <= CONTROL_LINE_MAX) return;
      socket.removeAllListeners('data');
      socket.setTimeout(0);
      const line = end < 0 ? '' : text.slice(0, end);
      const answer = this.#reply(socket, line).finally(() => this.#answers.delete(answer));
      this.#answers.add(answer);
    });
  }

  async #reply(socket: Socket, line: string): Promise<void> {
    const write = (reply: ControlReply): void => void socket.write(`${JSON.stringify(reply)}\n`);
    try {
      write(await this.#answer(line, write));
    } catch (error) {
      write({ type: 'result', unmounted: false, message: errorMessage(error) });
    }
    socket.end();
  }

  async #answer(line: string, send: (reply: ControlReply) => void): Promise<ControlReply> {
    const request = parseRequest(line);
    switch (request.op) {
      case 'status':
        return { type: 'status', status: await this.#deps.status() };
      case 'umount':
        return this.#deps.umount(request, (message) => send({ type: 'progress', message }));
    }
  }
}

/** Who answers on the socket has a mount there, or had one: that it is gone from the table says that it was detached with files open. */
async function alreadyServed(reply: ControlReply): Promise<string> {
  if (reply.type !== 'status') return 'already mounted: another daemon serves this mountpoint';
  const { mountpoint, supervisorPid, state } = reply.status;
  if (state === 'starting')
    return `already being mounted: another daemon (pid ${supervisorPid}) is about to serve this mountpoint`;
  if (findMount(await readMountInfo(), mountpoint) === undefined) {
    return `the mount that was at ${mountpoint} before is detached, and its daemon (pid ${supervisorPid}) waits until the files that are open there are closed`;
  }
  return `already mounted: another daemon (pid ${supervisorPid}) serves this mountpoint`;
}

function parseRequest(line: string): ControlRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new Error('the request is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || !('version' in value) || !('op' in value)) {
    throw new Error('the request lacks version or op');
  }
  if (value.version !== CONTROL_VERSION) {
    throw new Error(`control protocol version ${String(value.version)}, this daemon speaks ${CONTROL_VERSION}`);
  }
  switch (value.op) {
    case 'status':
      return { version: CONTROL_VERSION, op: 'status' };
    case 'umount':
      return {
        version: CONTROL_VERSION,
        op: 'umount',
        lazy: 'lazy' in value && value.lazy === true,
        drainTimeoutMs: 'drainTimeoutMs' in value ? requireTimeout(value.drainTimeoutMs) : undefined,
      };
    default:
      throw new Error(`unknown request ${JSON.stringify(value.op)}`);
  }
}

function requireTimeout(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= TIMEOUT_MAX_MS) return value;
  throw new Error('drainTimeoutMs is not a number of milliseconds');
}
