import type { Clock } from '../../common/clock.js';
import { ERRNO } from '../../common/errno.js';
import { errnoOf, errorMessage, FsError } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { isPromise } from '../../common/maybe-promise.js';
import type { MetricsRegistry } from '../../common/metrics.js';
import { FUSE_IN_HEADER, FUSE_INIT_OUT, FUSE_OUT_HEADER } from '../abi/structs.js';
import { DecodeError } from '../codec/decode-error.js';
import { ReplyWriter } from '../codec/reply-writer.js';
import { opIdOf, RequestReader } from '../codec/request-reader.js';
import type { ForgetOne, InitRequest, InterruptRequest } from '../codec/requests.js';
import type { DeviceEnd, DeviceHandler, FuseDevice } from '../device/fuse-device.js';
import type { FuseOperations } from '../fuse-operations.js';
import { OPCODE_TABLE, type OpcodeRow } from '../opcode-table.js';
import { InFlight } from './in-flight.js';
import { Interrupts } from './interrupts.js';
import type { IsDying } from './is-dying.js';
import { negotiate, negotiated as isNegotiated, type InitConfig, type NegotiatedInit } from './negotiate.js';
import { RequestContext } from './request-context.js';
import { FuseSessionError } from './session-error.js';
import { SessionMetrics } from './session-metrics.js';

export interface FuseSessionDeps {
  readonly device: FuseDevice;
  readonly operations: FuseOperations;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly isDying: IsDying;
}

export interface FuseSessionOptions {
  readonly init: InitConfig;
  /** What a predecessor agreed on with the kernel: this session takes its connection over and expects no INIT. */
  readonly resume?: NegotiatedInit;
  /** `st_blksize`, which tools take as their buffer size. Default 4096. */
  readonly blksizeBytes?: number;
}

/** How a session ended. */
export type SessionEnd =
  | { readonly kind: 'unmounted' }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly error: FuseSessionError };

/**
 * - `waiting`: INIT has not come yet
 * - `serving`: requests go to the handlers
 * - `draining`: nothing new is read; what is in flight finishes
 * - `ended`: the device delivers nothing more
 */
export type SessionState = 'waiting' | 'serving' | 'draining' | 'ended';

/**
 * One kernel connection being served: takes each message from the device, decodes it by the opcode table, calls the handler, and sends
 * its reply exactly once (the handlers have no means to reply: what they return or throw is the reply).
 *
 * A handler that returns a value is answered before the next message is read, without a promise and without entering the in-flight map.
 * One that returns a promise is entered there, so that INTERRUPT reaches it, and the message's buffer stays its own until it settles.
 *
 * Assumes that the process never touches its own mount. Leaves to others: mounting, unmounting, notifications (`notify.ts`).
 */
export class FuseSession {
  /* Dependencies */
  readonly #device: FuseDevice;
  readonly #operations: FuseOperations;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #metrics: SessionMetrics;
  readonly #options: FuseSessionOptions;
  /* Constants */
  /** By opcode: the handler is there. */
  readonly #offered: readonly boolean[];
  readonly #reader = new RequestReader();
  readonly #writer: ReplyWriter;
  readonly #inFlight = new InFlight();
  readonly #interrupts: Interrupts;
  /** Resolves when INIT is agreed on (at once when the connection was taken over); rejects when the session ends before. */
  readonly initialized: Promise<NegotiatedInit>;
  /** Resolves when the session is over; never rejects. */
  readonly ended: Promise<SessionEnd>;
  /* Mutable state */
  #state: SessionState = 'waiting';
  #negotiated: NegotiatedInit | undefined;
  /** Opcodes already reported as unknown: one log line each. INVARIANT: at most 64 entries. */
  readonly #unknown = new Set<number>();
  #resolveInitialized!: (init: NegotiatedInit) => void;
  #rejectInitialized!: (error: Error) => void;
  #resolveEnded!: (end: SessionEnd) => void;

  constructor(deps: FuseSessionDeps, options: FuseSessionOptions) {
    this.#device = deps.device;
    this.#operations = deps.operations;
    this.#logger = deps.logger.child('fuse');
    this.#clock = deps.clock;
    this.#interrupts = new Interrupts({ inFlight: this.#inFlight, isDying: deps.isDying, clock: deps.clock });
    this.#options = options;
    this.#metrics = new SessionMetrics(deps.metrics, () => this.#inFlight.size);
    this.#writer = new ReplyWriter(deps.device.replyBuffer, options.blksizeBytes);
    this.#offered = OPCODE_TABLE.map(
      (row) => row?.method !== undefined && typeof deps.operations[row.method] === 'function',
    );
    this.initialized = new Promise((resolve, reject) => {
      this.#resolveInitialized = resolve;
      this.#rejectInitialized = reject;
    });
    // Whoever does not ask for `initialized` learns of the failure from `ended`.
    this.initialized.catch(() => undefined);
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Requests whose handler has not finished. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** What was agreed on at INIT; undefined before. */
  get negotiated(): NegotiatedInit | undefined {
    return this.#negotiated;
  }

  /** Starts serving. Called once. */
  start(): void {
    if (this.#options.resume !== undefined) this.#serve(this.#options.resume);
    this.#device.start(this.#handler);
  }

  /**
   * Stops reading and waits until every handler has finished. Requests that come meanwhile wait in the kernel, for {@link resume} or for
   * a successor. Rejects with the signal's reason when it is aborted first; the session then still drains.
   */
  async drain(signal?: AbortSignal): Promise<void> {
    if (this.#state === 'serving') {
      this.#state = 'draining';
      this.#device.pause();
    }
    await this.#inFlight.idle(signal);
  }

  /** Goes on reading after {@link drain}. */
  resume(): void {
    if (this.#state !== 'draining') return;
    this.#state = 'serving';
    this.#device.resume();
  }

  /** Closes the device, which ends the mount unless another process holds it, and interrupts what is in flight. Idempotent. */
  async close(): Promise<void> {
    this.#end({ kind: 'closed' });
    await this.#device.close();
  }

  readonly #handler: DeviceHandler = {
    onRequest: (buffer, length) => this.#onMessage(buffer, length),
    onEnd: (end) => {
      this.#onDeviceEnd(end);
    },
    isBusy: () => this.#inFlight.size > 0,
  };

  #onDeviceEnd(end: DeviceEnd): void {
    if (end.kind !== 'failed') {
      this.#end(end);
      return;
    }
    const error = new FuseSessionError('device-failed', `reading /dev/fuse failed: errno ${end.errno}`);
    this.#end({ kind: 'failed', error });
  }

  #end(end: SessionEnd): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#device.pause();
    if (end.kind === 'failed') this.#logger.error('session failed', { error: end.error.message });
    else this.#logger.info('session ended', { reason: end.kind, inFlight: this.#inFlight.size });
    this.#interrupts.stop();
    this.#inFlight.interruptAll(new FsError('EINTR', 'the mount is gone'));
    const early = new FuseSessionError('init-failed', `${end.kind} before INIT`);
    this.#rejectInitialized(end.kind === 'failed' ? end.error : early); // nothing when INIT was agreed on
    this.#resolveEnded(end);
  }

  /** One message. Returns true when its buffer stays with a handler. */
  #onMessage(buffer: Buffer, length: number): boolean {
    const reader = this.#reader;
    let context: RequestContext;
    let row: OpcodeRow | undefined;
    try {
      reader.load(buffer, length);
      row = OPCODE_TABLE[reader.opcode];
      if (row === undefined) {
        this.#refuseUnknown();
        return false;
      }
      reader.need(row.minSize);
      if (row.control !== undefined) {
        this.#control(row, row.decode(reader));
        return false;
      }
      context = new RequestContext(reader, this.#clock.monotonicMs());
    } catch (error) {
      this.#undecodable(error, length, row);
      return false;
    }

    if (this.#offered[reader.opcode] !== true) {
      this.#replyMissing(row, context);
      return false;
    }
    if (this.#inFlight.takeEarlyInterrupt(context.opId)) this.#interrupts.signalled(context);
    let request: unknown;
    let reply: unknown;
    try {
      request = row.decode(reader);
      reply = row.invoke(this.#operations as Required<FuseOperations>, request, context, this.#options.blksizeBytes);
    } catch (error) {
      this.#fail(row, context, error);
      return false;
    }
    if (!isPromise(reply)) {
      this.#succeed(row, context, request, reply);
      return false;
    }
    this.#await(row, context, request, reply, buffer);
    return row.holdsBuffer;
  }

  #await(row: OpcodeRow, context: RequestContext, request: unknown, reply: Promise<unknown>, buffer: Buffer): void {
    if (!this.#inFlight.add(context))
      this.#logger.warn('request came twice', { op: row.name, opId: context.opId, resent: context.resent });
    const settled = (): void => {
      if (row.holdsBuffer) this.#device.recycle(buffer);
      this.#inFlight.delete(context);
    };
    reply.then(
      (value) => {
        this.#succeed(row, context, request, value);
        settled();
      },
      (error: unknown) => {
        this.#fail(row, context, error);
        settled();
      },
    );
  }

  #succeed(row: OpcodeRow, context: RequestContext, request: unknown, reply: unknown): void {
    try {
      row.encode(this.#writer, reply, request);
    } catch (error) {
      row.undo?.(this.#operations, reply, context.nodeid);
      this.#fail(row, context, error);
      return;
    }
    const errno = this.#send(0, context.uniqueHi, context.uniqueLo);
    this.#metrics.duration[row.opcode]?.observe((this.#clock.monotonicMs() - context.startMs) / 1000);
    if (errno === 0) return;
    row.undo?.(this.#operations, reply, context.nodeid);
    this.#notTaken(row, context, errno);
  }

  #fail(row: OpcodeRow, context: RequestContext, error: unknown): void {
    let errno = errnoOf(error);
    // From a handler ENOSYS would switch the operation off for the life of the mount.
    if (errno === ERRNO.ENOSYS) errno = ERRNO.EOPNOTSUPP;
    if (error instanceof DecodeError) this.#logger.error('bad request', { op: row.name, error: error.message });
    else if (!(error instanceof FsError))
      this.#logger.error('handler failed', { op: row.name, opId: context.opId, error });
    this.#metrics.errors[row.opcode]?.inc();
    this.#replyErrno(row, context, errno);
    this.#metrics.duration[row.opcode]?.observe((this.#clock.monotonicMs() - context.startMs) / 1000);
  }

  #replyMissing(row: OpcodeRow, context: RequestContext): void {
    const errno = row.missing === 'success' ? 0 : ERRNO[row.missing];
    this.#replyErrno(row, context, errno);
  }

  #replyErrno(row: OpcodeRow, context: RequestContext, errno: number): void {
    this.#writer.empty();
    const failed = this.#send(errno, context.uniqueHi, context.uniqueLo);
    if (failed === 0 || this.#state === 'ended') return;
    if (failed === ERRNO.ENOENT) this.#metrics.lostReplies.inc();
    else this.#logger.error('error reply not sent', { op: row.name, opId: context.opId, errno: failed });
  }

  /** The kernel did not take a reply. ENOENT: it no longer waits. Anything else would leave the caller waiting: it gets EIO. */
  #notTaken(row: OpcodeRow, context: RequestContext, errno: number): void {
    if (errno === ERRNO.ENOENT) {
      this.#metrics.lostReplies.inc();
      return;
    }
    if (this.#state === 'ended') return;
    this.#logger.error('reply not sent', { op: row.name, opId: context.opId, errno, length: this.#writer.length });
    this.#replyErrno(row, context, ERRNO.EIO);
  }

  #send(errno: number, uniqueHi: number, uniqueLo: number): number {
    const writer = this.#writer;
    writer.header(errno, uniqueHi, uniqueLo);
    return this.#device.reply(writer.length, writer.data);
  }

  #refuseUnknown(): void {
    const { opcode, uniqueHi, uniqueLo } = this.#reader;
    this.#metrics.undecodable.inc();
    if (!this.#unknown.has(opcode) && this.#unknown.size < 64) {
      this.#unknown.add(opcode);
      this.#logger.warn('unknown opcode', { opcode });
    }
    this.#writer.empty();
    this.#send(ERRNO.ENOSYS, uniqueHi, uniqueLo);
  }

  /** Bytes that are not a request. When they have a header, the caller must not be left waiting. */
  #undecodable(error: unknown, length: number, row: OpcodeRow | undefined): void {
    this.#metrics.undecodable.inc();
    this.#logger.error('undecodable request', { op: row?.name, length, error: errorMessage(error) });
    if (length < FUSE_IN_HEADER.size || row?.replies === false) return;
    const { uniqueHi, uniqueLo } = this.#reader;
    this.#writer.empty();
    this.#send(ERRNO.EIO, uniqueHi, uniqueLo);
  }

  /** Messages that the session itself handles. */
  #control(row: OpcodeRow, body: unknown): void {
    const reader = this.#reader;
    switch (row.control) {
      case 'init':
        this.#init(body as InitRequest);
        return;
      case 'forget':
        this.#operations.forget?.(reader.nodeid, body as number);
        return;
      case 'batch-forget':
        for (const item of body as ForgetOne[]) this.#operations.forget?.(item.nodeid, item.nlookup);
        return;
      case 'interrupt': {
        const { uniqueHi, uniqueLo } = body as InterruptRequest;
        this.#metrics.interrupts.inc();
        const context = this.#inFlight.interrupted(opIdOf(uniqueHi, uniqueLo));
        if (context !== undefined) this.#interrupts.signalled(context);
        return;
      }
      case 'destroy':
        this.#writer.empty();
        this.#send(0, reader.uniqueHi, reader.uniqueLo);
        return;
      case 'notify-reply': // the answer to a RETRIEVE, which we never send
      case undefined:
        return;
    }
  }

  #init(request: InitRequest): void {
    const { uniqueHi, uniqueLo } = this.#reader;
    const outcome = negotiate(request, this.#options.init);
    const writer = this.#writer;
    if (outcome.kind === 'refused') {
      writer.empty();
      this.#send(ERRNO.EPROTO, uniqueHi, uniqueLo);
      this.#end({ kind: 'failed', error: new FuseSessionError('unsupported-kernel', outcome.reason) });
      return;
    }
    const at = FUSE_INIT_OUT.offset;
    const body = FUSE_OUT_HEADER.size;
    writer.begin(FUSE_INIT_OUT.size);
    writer.zero(body, FUSE_INIT_OUT.size);
    writer.u32(body + at.major, 7);
    if (outcome.kind === 'agreed') {
      const init = outcome.negotiated;
      writer.u32(body + at.minor, init.minor);
      writer.u32(body + at.max_readahead, init.maxReadahead);
      writer.u32(body + at.flags, init.flags);
      writer.u16(body + at.max_background, init.maxBackground);
      writer.u16(body + at.congestion_threshold, init.congestionThreshold);
      writer.u32(body + at.max_write, init.maxWriteBytes);
      writer.u32(body + at.time_gran, 1);
      writer.u16(body + at.max_pages, init.maxPages);
      writer.u32(body + at.flags2, init.flags2);
    }
    const errno = this.#send(0, uniqueHi, uniqueLo);
    if (errno !== 0) {
      const error = new FuseSessionError('init-failed', `the kernel refused the reply to INIT: errno ${errno}`);
      this.#end({ kind: 'failed', error });
    } else if (outcome.kind === 'agreed') {
      this.#logger.info('connection initialized', {
        kernel: `${request.major}.${request.minor}`,
        ...outcome.negotiated,
      });
      this.#serve(outcome.negotiated);
    }
  }

  #serve(init: NegotiatedInit): void {
    this.#negotiated = init;
    this.#reader.setxattrExt = isNegotiated(init, 'SETXATTR_EXT');
    this.#state = 'serving';
    try {
      this.#operations.init?.(init);
    } catch (cause) {
      const error = new FuseSessionError('init-failed', `the filesystem did not start: ${errorMessage(cause)}`, {
        cause,
      });
      this.#end({ kind: 'failed', error });
      return;
    }
    this.#resolveInitialized(init);
  }
}
