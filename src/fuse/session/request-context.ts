import { opIdOf, type RequestReader } from '../codec/request-reader.js';
import type { FuseContext } from '../fuse-operations.js';

/** One request on its way through the session: who asks, the id to reply to, and whether the caller gave up. */
export class RequestContext implements FuseContext {
  readonly opcode: number;
  readonly uniqueHi: number;
  readonly uniqueLo: number;
  readonly opId: number;
  readonly resent: boolean;
  readonly nodeid: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly createSuppGid: number | undefined;
  /** When the handler was called, on the monotonic clock. */
  readonly startMs: number;
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  constructor(reader: RequestReader, startMs: number) {
    this.opcode = reader.opcode;
    this.uniqueHi = reader.uniqueHi;
    this.uniqueLo = reader.uniqueLo;
    this.opId = opIdOf(reader.uniqueHi, reader.uniqueLo);
    this.resent = reader.resent;
    this.nodeid = reader.nodeid;
    this.uid = reader.uid;
    this.gid = reader.gid;
    this.pid = reader.pid;
    this.createSuppGid = reader.hasExtensions ? reader.createSuppGid() : undefined;
    this.startMs = startMs;
  }

  get interrupted(): boolean {
    return this.#reason !== undefined;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Tells the handler, if it listens, that nobody waits for the answer. Idempotent: the first reason stays. */
  interrupt(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
