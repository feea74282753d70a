import { errorMessage, FsError } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { OpId } from '../../gen/curvefs/v1/common.js';
import type { Release, Request } from '../../gen/curvefs/v1/metaserver.js';
import type { Fh, SessionId } from '../../model/ids.js';
import { ReplyWriter } from '../../wire/reply-writer.js';
import { safeNumber } from '../../wire/safe-number.js';
import { WireError } from '../../wire/wire-error.js';
import type { Executor } from '../executor.js';
import type { Locks } from '../locks/locks.js';
import type { PendingLock } from '../locks/pending-lock.js';
import { isMutation, needsWriting, runOperation, type Operation } from '../operations/operation-table.js';
import { releaseOpen } from '../operations/open.js';
import { OpTransaction } from '../operations/op-transaction.js';
import { encodeError, encodeReply, type OpReply } from '../operations/reply.js';
import type { SlotServices } from '../slot-services.js';
import type { Transaction } from '../store/transaction.js';
import { adoptCheck, adoptEnd, queryOps } from './adoption.js';
import { opKeyOf } from './op-key.js';
import { OUTSTANDING_MAX, type OutstandingOp, type Responder } from './reply-cache.js';
import type { SessionConnection } from './session-connection.js';
import type { Session } from './session.js';
import type { Sessions } from './sessions.js';

export interface RequestsDeps {
  readonly slot: SlotServices;
  readonly executor: Executor;
  readonly sessions: Sessions;
  readonly locks: Locks;
  readonly logger: Logger;
}

/**
 * The requests of a slot's streams: each is executed in turn, mutations exactly once however often they are sent, and answered when what it saw and changed is durable. Acknowledgements
 * and releases are not answered.
 */
export class Requests {
  readonly #deps: RequestsDeps;
  readonly #writer = new ReplyWriter();

  constructor(deps: RequestsDeps) {
    this.#deps = deps;
  }

  handle(connection: SessionConnection, session: Session, request: Request): void {
    const { slot } = this.#deps;
    const { requestId, op: operation } = request;
    const respond: Responder = (body) => connection.respond(requestId, body);
    if (operation === undefined) {
      respond(encodeError(new FsError('EOPNOTSUPP', 'an unknown operation')));
    } else if (isMutation(operation)) {
      this.#mutate(connection, session, operation, request.opId, respond);
    } else if (operation.$case === 'barrier') {
      this.#deps.executor.barrier().then(
        () => respond(encodeReply({ attrs: [] }, this.#writer)),
        (error: unknown) => respond(encodeError(asError(error))),
      );
    } else {
      this.#deps.executor.submit<Uint8Array>({
        run: (tx) => {
          this.#fence(session, connection.incarnation);
          return this.#run(new OpTransaction(slot, tx, session.id), operation).then((reply) =>
            encodeReply(reply, this.#writer),
          );
        },
        done: (error, body) => respond(error === undefined ? body! : this.#errorBody(operation, error)),
      });
    }
  }

  acknowledge(session: Session, opIds: readonly OpId[]): void {
    const { slot } = this.#deps;
    const groups: number[] = [];
    for (const opId of opIds) {
      const group = session.replies.acknowledge(opKeyOf(opId));
      if (group !== undefined) groups.push(group);
    }
    if (groups.length === 0) return;
    slot.inBackground((op) => {
      // those of an ended session are kept until it is adopted
      if (session.ended) return Promise.resolve();
      for (const group of groups) op.tx.delete(slot.tables.replies, slot.keys.replies(session.id, group));
      return Promise.resolve();
    });
  }

  release(connection: SessionConnection, session: Session, releases: readonly Release[]): void {
    const { slot } = this.#deps;
    const handles = releases.map(({ fh }) => safeNumber(fh, 'release.fh') as Fh);
    for (const fh of handles) {
      slot.inBackground(async (op) => {
        if (!session.ended && connection.incarnation >= session.incarnation) await releaseOpen(op, session.id, fh);
      });
    }
  }

  #mutate(
    connection: SessionConnection,
    session: Session,
    operation: Operation,
    opId: OpId | undefined,
    respond: Responder,
  ): void {
    if (opId === undefined) {
      respond(encodeError(new FsError('EINVAL', `${operation.$case} needs an op id`)));
      return;
    }
    const opKey = opKeyOf(opId);
    const known = session.replies.get(opKey);
    if (known !== undefined) {
      known.incarnation = Math.max(known.incarnation, connection.incarnation);
      if (known.body !== undefined) respond(known.body);
      else {
        known.waiters?.push(respond);
        this.#deps.locks.rejoined(session.id, opKey);
      }
      return;
    }
    const outstanding = session.replies.begin(opKey, connection.incarnation, respond);
    if (outstanding === undefined) {
      respond(encodeError(new FsError('EAGAIN', `${OUTSTANDING_MAX} replies are not acknowledged`)));
      return;
    }
    if (operation.$case === 'setLock') this.#lock(session, operation, outstanding);
    else this.#submit(session, operation, outstanding, (op) => this.#run(op, operation));
  }

  /** A request for a lock may have to wait: then it is not answered, and tried again when the lock is free. */
  #lock(session: Session, operation: Operation & { readonly $case: 'setLock' }, outstanding: OutstandingOp): void {
    const { locks } = this.#deps;
    const attempt = (): void =>
      this.#submit(
        session,
        operation,
        outstanding,
        (op) => locks.setLock(op, operation.value, pending),
        () => locks.forget(pending),
      );
    const pending: PendingLock = {
      session: session.id,
      opKey: outstanding.opKey,
      isCurrent: () => outstanding.incarnation >= session.incarnation,
      retry: attempt,
      wait: undefined,
      cancelled: false,
    };
    attempt();
  }

  /** Executes a mutation in turn and answers it, unless `run` says (undefined) that it is not over. */
  #submit(
    session: Session,
    operation: Operation,
    outstanding: OutstandingOp,
    run: (op: OpTransaction) => Promise<OpReply | undefined>,
    failed?: () => void,
  ): void {
    const { replies } = session;
    let failure: unknown;
    this.#deps.executor.submit<Uint8Array | undefined>({
      run: async (tx) => {
        try {
          return await this.#runMutation(tx, session, operation, outstanding, run);
        } catch (error) {
          failure = error;
          throw error;
        }
      },
      done: (error, body) => {
        if (error !== undefined) {
          failed?.();
          const reply = this.#errorBody(operation, error);
          if (error === failure) replies.finish(outstanding, reply);
          else replies.forget(outstanding, reply);
        } else if (body !== undefined) replies.finish(outstanding, body);
      },
    });
  }

  async #runMutation(
    tx: Transaction,
    session: Session,
    operation: Operation,
    outstanding: OutstandingOp,
    run: (op: OpTransaction) => Promise<OpReply | undefined>,
  ): Promise<Uint8Array | undefined> {
    this.#fence(session, outstanding.incarnation);
    if (session.record.readOnly && needsWriting(operation)) throw new FsError('EROFS', 'a read-only mount');
    const reply = await run(new OpTransaction(this.#deps.slot, tx, session.id));
    if (reply === undefined) return undefined;
    const body = encodeReply(reply, this.#writer);
    // an open that is lost with its batch may be executed again
    const stored = !tx.soft;
    tx.onApply(() => session.replies.applied(outstanding, body, stored));
    return body;
  }

  #run(op: OpTransaction, operation: Operation): Promise<OpReply> {
    switch (operation.$case) {
      case 'ping':
      case 'barrier':
        return Promise.resolve({ attrs: [] });
      case 'queryOps': {
        // what was applied counts, and must be durable before anyone hears of it
        op.tx.sawSeq = this.#deps.executor.pendingSeq;
        const id = safeNumber(operation.value.sessionId, 'queryOps.sessionId') as SessionId;
        return queryOps(op, operation.value, this.#deps.sessions.get(id));
      }
      case 'adoptCheck':
        return adoptCheck(op, operation.value);
      case 'adoptEnd':
        return adoptEnd(op, operation.value);
      case 'getLock':
        return Promise.resolve(this.#deps.locks.getLock(op, operation.value));
      case 'cancelLock':
        return Promise.resolve(this.#deps.locks.cancelLock(op, operation.value));
      case 'setLock':
        throw new FsError('EINVAL', 'a lock needs an op id');
      default:
        return runOperation(op, operation);
    }
  }

  /** ESHUTDOWN when the session is over or a newer worker has attached. */
  #fence(session: Session, incarnation: number): void {
    if (session.ended) throw new FsError('ESHUTDOWN', 'the session is over');
    if (incarnation < session.incarnation) throw new FsError('ESHUTDOWN', 'a newer worker has attached');
  }

  #errorBody(operation: Operation, error: Error): Uint8Array {
    if (!(error instanceof FsError) && !(error instanceof WireError)) {
      this.#deps.logger.error('an operation failed', { operation: operation.$case, error: error.message });
    }
    return encodeError(error);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorMessage(error));
}
