import { ERRNO } from '../../src/common/errno.js';
import type { Request, Response } from '../../src/gen/curvefs/v1/metaserver.js';
import type { OperationStream } from '../../src/meta/metadata-client.js';
import type { RequestOp } from '../../src/meta/session-call.js';
import type { SessionId } from '../../src/model/ids.js';
import type { OpId } from '../../src/model/operation.js';
import { opIdToProto } from '../../src/wire/op-id.js';
import { executeRequest } from './execute-request.js';
import type { MemoryNamespace } from './memory-namespace.js';

interface Sent {
  readonly request: Request;
  readonly parse: (response: Response) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  response?: Response;
}

/**
 * A session's stream whose every step the test takes: a request is executed, and later its reply delivered, in the order of sending unless the test chooses otherwise.
 * `onExecuted` and `onDelivered` tell about each step.
 */
export class ManualStream implements OperationStream {
  readonly sessionId = 1 as SessionId;
  /** While set nothing is sent: a call never resolves. */
  muted = false;
  /** Operations sent, by name. */
  readonly sent: RequestOp['$case'][] = [];
  onExecuted: (request: Request, response: Response) => void = () => undefined;
  onDelivered: (request: Request, response: Response) => void = () => undefined;
  readonly #namespace: MemoryNamespace;
  readonly #entriesPerPage: number;
  readonly #toExecute: Sent[] = [];
  readonly #toDeliver: Sent[] = [];
  #nextId = 1n;

  constructor(namespace: MemoryNamespace, entriesPerPage = 1000) {
    this.#namespace = namespace;
    this.#entriesPerPage = entriesPerPage;
  }

  now(): { sec: number; nsec: number } {
    return this.#namespace.now();
  }

  release(): void {
    this.sent.push('open');
  }

  call<T>(
    op: RequestOp,
    opId: OpId | undefined,
    _signal: AbortSignal | undefined,
    parse: (response: Response) => T,
  ): Promise<T> {
    if (this.muted) return new Promise(() => undefined);
    this.sent.push(op.$case);
    const request = { requestId: this.#nextId++, opId: opId === undefined ? undefined : opIdToProto(opId), op };
    return new Promise<T>((resolve, reject) => {
      this.#toExecute.push({ request, parse, resolve: resolve, reject });
    });
  }

  /** The server executes the oldest request. */
  execute(): void {
    const sent = this.#toExecute.shift();
    if (sent === undefined) return;
    sent.response = executeRequest(this.#namespace, this.sessionId, sent.request, this.#entriesPerPage);
    this.#toDeliver.push(sent);
    this.onExecuted(sent.request, sent.response);
  }

  /** A reply arrives: the oldest, or a later one before it. */
  deliver(which = 0): void {
    const [sent] = this.#toDeliver.splice(which % Math.max(1, this.#toDeliver.length), 1);
    if (sent?.response === undefined) return;
    const { request, response, parse, resolve, reject } = sent;
    try {
      const value = parse(response);
      this.onDelivered(request, response);
      resolve(value as never);
    } catch (error) {
      this.onDelivered(request, response);
      reject(error);
    }
  }

  /** Everything that was sent is executed and answered. */
  settle(): void {
    while (this.#toExecute.length > 0) this.execute();
    while (this.#toDeliver.length > 0) this.deliver();
  }

  /** As {@link settle}, with what the callers do next, until nothing is sent any more. */
  async drain(): Promise<void> {
    for (let idle = 0; idle < 3; idle++) {
      if (this.#toExecute.length + this.#toDeliver.length > 0) idle = 0;
      this.settle();
      await new Promise(setImmediate);
    }
  }

  /** Loses the session: everything outstanding is answered with ESHUTDOWN. */
  shutDown(): void {
    for (const { parse, reject } of [...this.#toExecute.splice(0), ...this.#toDeliver.splice(0)]) {
      try {
        parse({ requestId: 0n, errno: ERRNO.ESHUTDOWN, message: '', attrs: [], result: undefined });
      } catch (error) {
        reject(error);
      }
    }
  }
}
