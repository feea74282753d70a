import type { StoredReply } from '../records/reply-group-record.js';

/** Operations of a session whose replies are not acknowledged; with more the client waits (EAGAIN). */
export const OUTSTANDING_MAX = 4096;

/** Takes an encoded reply. */
export type Responder = (body: Uint8Array) => void;

/** A mutating operation of a session, from its arrival until the client acknowledges the reply. */
export interface OutstandingOp {
  readonly opKey: string;
  /** The newest incarnation that sent it. */
  incarnation: number;
  /** Who waits for the reply; undefined once it is there. */
  waiters: Responder[] | undefined;
  body: Uint8Array | undefined;
  /** Its changes are applied (and durable, once the body is there). */
  executed: boolean;
  /** The stored row that holds its reply. */
  group: StoredGroup | undefined;
}

/** A stored row of replies: it goes when all of them are acknowledged. */
export interface StoredGroup {
  readonly number: number;
  unacked: number;
}

/**
 * What a live session's mutating operations answered: a resent operation joins the one in progress or gets the stored reply, and is never executed twice. Executed
 * ones are stored in the batch that holds their changes (one row per batch); failed ones changed nothing and are kept in memory only.
 */
export class ReplyCache {
  readonly #ops = new Map<string, OutstandingOp>();
  /** Executed in the batch that is being built. */
  #gathered: OutstandingOp[] = [];
  #bodies: StoredReply[] = [];
  #nextGroup = 1;

  get size(): number {
    return this.#ops.size;
  }

  get(opKey: string): OutstandingOp | undefined {
    return this.#ops.get(opKey);
  }

  /** Notes an operation that arrived; undefined when there are too many. */
  begin(opKey: string, incarnation: number, waiter: Responder): OutstandingOp | undefined {
    if (this.#ops.size >= OUTSTANDING_MAX) return undefined;
    const op = { opKey, incarnation, waiters: [waiter], body: undefined, executed: false, group: undefined };
    this.#ops.set(opKey, op);
    return op;
  }

  /** The operation's changes are applied; with `stored`, its reply goes into the same batch. */
  applied(op: OutstandingOp, body: Uint8Array, stored: boolean): void {
    op.executed = true;
    if (!stored) return;
    this.#gathered.push(op);
    this.#bodies.push({ opKey: op.opKey, body });
  }

  /** The reply is final: everybody who waits gets it. */
  finish(op: OutstandingOp, body: Uint8Array): void {
    const waiters = op.waiters ?? [];
    op.waiters = undefined;
    op.body = body;
    for (const waiter of waiters) waiter(body);
  }

  /** The operation's batch failed: it was not executed, and may be sent again. */
  forget(op: OutstandingOp, body: Uint8Array): void {
    this.#ops.delete(op.opKey);
    this.finish(op, body);
  }

  /** What has gathered for the batch that is about to be committed, as the row to store; undefined = nothing. */
  takeGroup(): { readonly number: number; readonly replies: readonly StoredReply[] } | undefined {
    if (this.#gathered.length === 0) return undefined;
    const group = { number: this.#nextGroup++, unacked: this.#gathered.length };
    for (const op of this.#gathered) op.group = group;
    const replies = this.#bodies;
    this.#gathered = [];
    this.#bodies = [];
    return { number: group.number, replies };
  }

  /** The batch being built is discarded. */
  discardGathered(): void {
    for (const op of this.#gathered) op.executed = false;
    this.#gathered = [];
    this.#bodies = [];
  }

  /** A stored row, read at start. */
  restore(number: number, replies: readonly StoredReply[]): void {
    const group = { number, unacked: replies.length };
    for (const { opKey, body } of replies) {
      this.#ops.set(opKey, { opKey, incarnation: 0, waiters: undefined, body, executed: true, group });
    }
    this.#nextGroup = Math.max(this.#nextGroup, number + 1);
  }

  /** The client has the reply; the number of the stored row that is needed no more, if that was its last. */
  acknowledge(opKey: string): number | undefined {
    const op = this.#ops.get(opKey);
    // an acknowledgement of what is not answered is nonsense, and harmless when ignored
    if (op === undefined || op.waiters !== undefined) return undefined;
    this.#ops.delete(opKey);
    const group = op.group;
    if (group === undefined) return undefined;
    group.unacked--;
    return group.unacked === 0 ? group.number : undefined;
  }
}
