import { LightSignal } from '../../common/light-signal.js';
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
  #signal: LightSignal | undefined;
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
    if (this.#signal === undefined) {
      this.#signal = new LightSignal();
      if (this.#reason !== undefined) this.#signal.abort(this.#reason);
    }
    return this.#signal;
  }

  /** Tells the handler, if it listens, that nobody waits for the answer. Idempotent: the first reason stays. */
  interrupt(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#signal?.abort(reason);
  }
}
