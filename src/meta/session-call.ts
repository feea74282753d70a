import type { Request, Response } from '../gen/curvefs/v1/metaserver.js';
import type { Fh } from '../model/ids.js';

/** The operation of a request, as the proto spells it. */
export type RequestOp = NonNullable<Request['op']>;

/**
 * One operation of the session from the caller's call to the server's reply. It outlives its caller: when that one is gone (`settled`) the reply is still consumed.
 * INVARIANT: `parse` runs exactly once for each call: with the reply, or with one made here when there will be none.
 */
export interface SessionCall {
  readonly request: Request;
  /** The handle that the operation opens. */
  readonly opens: Fh | undefined;
  readonly parse: (response: Response) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly signal: AbortSignal | undefined;
  readonly startedMs: number;
  /** Set while waiting for the signal. */
  onAbort: (() => void) | undefined;
  /** The caller has its answer, or has stopped waiting. */
  settled: boolean;
}

/**
 * True for an operation that its sender sends again under the same op id when it got no answer. The server forgets a reply with its ack and would execute the second
 * request: the reply is acknowledged only when the caller has it.
 */
export function isSentAgain(op: RequestOp): boolean {
  return op.$case === 'commitExtents';
}

/** True for a request that may wait at the server for as long as somebody holds a lock: it takes no room from other operations. */
export function mayPark(op: RequestOp): boolean {
  return op.$case === 'setLock' && op.value.wait;
}

/** The handle that an operation registers, if any. */
export function opensOf(op: RequestOp): Fh | undefined {
  if (op.$case === 'open') return Number(op.value.spec?.fh) as Fh;
  if (op.$case === 'create' && op.value.open !== undefined) return Number(op.value.open.fh) as Fh;
  return undefined;
}
