import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import type { SessionEnd_Reason } from '../../src/gen/curvefs/v1/metaserver.js';
import {
  MetaserverService,
  type Attach,
  type ClientFrame,
  type Request,
  type Response,
  type ServerFrame,
} from '../../src/gen/curvefs/v1/metaserver.js';
import type { SessionId } from '../../src/model/ids.js';
import { CHANNEL_OPTIONS } from '../../src/wire/channel-options.js';
import { executeRelease, executeRequest } from './execute-request.js';
import { MemoryNamespace } from './memory-namespace.js';

type Stream = ServerDuplexStream<ClientFrame, ServerFrame>;

export interface FakeMetaserverOptions {
  /** False: hold the reply back until {@link FakeMetaserver.answerHeld}. */
  readonly answers?: (request: Request) => boolean;
  readonly ttlMs?: number;
  readonly serverTimeNs?: () => bigint;
}

/** A metaserver of one namespace in memory behind real gRPC, with stored replies and faults on demand, that keeps a record of all it was told. */
export class FakeMetaserver {
  readonly namespace = new MemoryNamespace();
  /** As they arrived, those sent twice included. */
  readonly requests: Request[] = [];
  readonly attaches: Attach[] = [];
  readonly acks: string[] = [];
  readonly releases: bigint[] = [];
  /** Mutations executed, each once. */
  executed = 0;
  refuse: { reason: SessionEnd_Reason; message: string } | undefined;
  answers: (request: Request) => boolean;
  readonly #options: FakeMetaserverOptions;
  readonly #stored = new Map<string, Response>();
  readonly #held: Response[] = [];
  #server: Server | undefined;
  #stream: Stream | undefined;
  #port = 0;
  #changed: (() => void)[] = [];

  constructor(options: FakeMetaserverOptions = {}) {
    this.#options = options;
    this.answers = options.answers ?? (() => true);
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Replies that the server keeps until they are acknowledged. */
  get stored(): number {
    return this.#stored.size;
  }

  /** Listens; after {@link stop} again on the same port. */
  async start(): Promise<void> {
    const server = new Server(CHANNEL_OPTIONS);
    server.addService(MetaserverService, {
      session: (stream: Stream) => this.#serve(stream),
    });
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.address, ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    this.#server = server;
  }

  stop(): void {
    this.#stream = undefined;
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** Breaks the stream; what the client sends before it notices is not read. */
  breakStream(): void {
    const stream = this.#stream!;
    this.#stream = undefined;
    stream.emit('error', { code: status.UNAVAILABLE, details: 'broken' });
  }

  end(reason: SessionEnd_Reason, message = ''): void {
    this.#write({ end: { reason, message } });
    this.#stream?.end();
  }

  /** Sends the replies held back. */
  answerHeld(): void {
    this.#write({ responses: this.#held.splice(0) });
  }

  /** Resolves once `condition` holds; looked at after every frame. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  #serve(stream: Stream): void {
    this.#stream = stream;
    stream.on('error', () => undefined);
    stream.on('data', (frame: ClientFrame) => {
      if (stream !== this.#stream) return;
      this.#received(frame);
      this.#changed.splice(0).forEach((fn) => fn());
    });
    stream.on('end', () => stream.end());
  }

  #received({ attach, requests, acks, releases }: ClientFrame): void {
    if (attach !== undefined) {
      this.attaches.push(attach);
      if (this.refuse !== undefined) {
        this.end(this.refuse.reason, this.refuse.message);
        return;
      }
      this.#write({ attached: { ttlMs: this.#options.ttlMs ?? 20_000, fs: undefined } });
    }
    for (const ack of acks) {
      this.acks.push(keyOf(ack));
      this.#stored.delete(keyOf(ack));
    }
    for (const release of releases) {
      this.releases.push(release.fh);
      executeRelease(this.namespace, 1 as SessionId, release);
    }
    const responses: Response[] = [];
    for (const request of requests) {
      this.requests.push(request);
      const response = this.#execute(request);
      (this.answers(request) ? responses : this.#held).push(response);
    }
    if (responses.length > 0) this.#write({ responses });
  }

  #execute(request: Request): Response {
    const key = request.opId === undefined ? undefined : keyOf(request.opId);
    const stored = key === undefined ? undefined : this.#stored.get(key);
    if (stored !== undefined) return { ...stored, requestId: request.requestId };
    const response = executeRequest(this.namespace, 1 as SessionId, request);
    if (key !== undefined) {
      this.executed++;
      this.#stored.set(key, response);
    }
    return response;
  }

  #write(part: Partial<ServerFrame>): void {
    const serverTimeNs = this.#options.serverTimeNs?.() ?? BigInt(Date.now()) * 1_000_000n;
    this.#stream?.write({ attached: undefined, responses: [], end: undefined, ...part, serverTimeNs });
  }
}

const keyOf = ({ kind, number, step }: { kind: number; number: bigint; step: number }): string =>
  `${kind}/${number}/${step}`;
