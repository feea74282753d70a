import { EventEmitter } from 'node:events';
import { credentials, type ClientDuplexStream } from '@grpc/grpc-js';
import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import { ERRNO, errnoCode, type ErrnoCode } from '../common/errno.js';
import { FsError, isFsError } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import {
  MetaserverClient as MetaserverStub,
  SessionEnd_Reason,
  type ClientFrame,
  type Request,
  type Response,
  type ServerFrame,
  type SessionEnd,
} from '../gen/curvefs/v1/metaserver.js';
import type { Fh, FsId, Ino, SessionId } from '../model/ids.js';
import { timespecOfNs, type Timespec } from '../model/inode.js';
import type { OpId } from '../model/operation.js';
import { CHANNEL_OPTIONS } from '../wire/channel-options.js';
import { FrameBatcher } from '../wire/frame-batcher.js';
import { requestBytes } from '../wire/frame-bytes.js';
import { rpcErrorOf } from '../wire/grpc-error.js';
import { opIdToProto } from '../wire/op-id.js';
import { DeliveryLog } from './delivery-log.js';
import { RpcMetrics } from './rpc-metrics.js';
import { ServerClock } from './server-clock.js';
import { isSentAgain, mayPark, opensOf, type RequestOp, type SessionCall } from './session-call.js';

export interface MetaserverSessionDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: MetricsRegistry;
}

export interface MetaserverSessionOptions {
  /** `host:port` of the filesystem's metaserver. */
  readonly address: string;
  readonly fsId: FsId;
  /** Of `openSession`; a session outlives its workers. */
  readonly sessionId: SessionId;
  /** Which worker of the session this is: grows, and fences the ones before. */
  readonly incarnation: number;
  /** Before the first attach tells what the server thinks. */
  readonly ttlMs: number;
  /** This worker follows another one: the server knows of handles that it does not. */
  readonly resumed?: boolean;
  /** Most operations sent and not answered; further ones wait here. */
  readonly outstandingMax?: number;
  /** Most operations that wait; further ones fail with EAGAIN. */
  readonly waitingMax?: number;
  /**
   * An operation that is not answered in this time fails with ETIMEDOUT (it may be executed still); undefined = callers wait as long as the session lives, as those of
   * operations that would be sent again, and of locks, which may be held then, always do.
   */
  readonly opDeadlineMs?: number | undefined;
}

interface Events {
  attached: [];
  /** The stream broke; it is being made again. */
  lost: [];
  /** The session is over, for this reason. Emitted once. */
  ended: [FsError];
}

const ATTACH_DEADLINE_MS = 5000;
const RECONNECT_BACKOFF = { firstMs: 20, maxMs: 1000 };
/** Releases wait this long for a frame to travel with. */
const LAZY_FLUSH_MS = 5;
/** So many acks and releases get a frame of their own. */
const LAZY_FLUSH_COUNT = 256;
/** What was written last gets this long to leave when the session is closed. */
const CLOSE_DEADLINE_MS = 1000;
/** How often deadlines are looked at. */
const EXPIRE_MS = 500;

/**
 * A mount's session at its metaserver: one bidirectional stream that carries all its operations, and survives the loss of that stream and restarts of the server.
 *
 * After a loss it attaches again with the same incarnation and sends every unanswered request once more, in the order of the first time and under the same op ids: the server
 * executes each once. Replies are consumed even when the caller is gone (aborted: EINTR; deadline: ETIMEDOUT), acknowledged unless the caller may send the operation again, and a
 * handle that such a reply opened is released.
 * When the server says that the session is over, all operations fail with ESHUTDOWN, now and later, and `ended` is emitted.
 *
 * `parse` runs in the order of the replies, synchronously: caches that it fills see the order of the server.
 */
export class MetaserverSession extends EventEmitter<Events> implements Closable {
  readonly #deps: MetaserverSessionDeps;
  readonly #options: MetaserverSessionOptions;
  readonly #outstandingMax: number;
  readonly #waitingMax: number;
  readonly #stub: MetaserverStub;
  readonly #serverClock: ServerClock;
  readonly #metrics: RpcMetrics;
  readonly #delivery = new DeliveryLog();

  /** Sent and not answered, by request id, in the order of sending. */
  readonly #calls = new Map<bigint, SessionCall>();
  /** Of #calls, those that may wait for a lock at the server. */
  #parked = 0;
  /** Not sent yet, first come first; waits for an attached stream and for room among the outstanding ones. */
  readonly #waiting = new Set<SessionCall>();
  /** Handles that this worker has open, and their inodes. */
  readonly #opens = new Map<Fh, Ino>();
  #nextRequestId = 1n;
  #stream: ClientDuplexStream<ClientFrame, ServerFrame> | undefined;
  #batcher: FrameBatcher<Request, ClientFrame> | undefined;
  #attached = false;
  #attempts = 0;
  #ttlMs: number;
  #lastSentMs = 0;
  #lastReceivedMs = 0;
  #ended: FsError | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  readonly #expiry: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attachDeadline: NodeJS.Timeout | undefined;
  #lazyFlush: NodeJS.Timeout | undefined;

  constructor(deps: MetaserverSessionDeps, options: MetaserverSessionOptions) {
    super();
    this.#deps = deps;
    this.#options = options;
    this.#outstandingMax = options.outstandingMax ?? 1024;
    this.#waitingMax = options.waitingMax ?? 65_536;
    this.#ttlMs = options.ttlMs;
    this.#stub = new MetaserverStub(options.address, credentials.createInsecure(), CHANNEL_OPTIONS);
    this.#serverClock = new ServerClock(deps.clock);
    this.#metrics = new RpcMetrics(deps.metrics);
    deps.metrics.gauge(
      { name: 'meta_outstanding', help: 'Metadata operations sent and not answered' },
      () => this.#calls.size,
    );
    deps.metrics.gauge(
      { name: 'meta_waiting', help: 'Metadata operations that wait to be sent' },
      () => this.#waiting.size,
    );
    const { opDeadlineMs } = options;
    if (opDeadlineMs !== undefined) {
      const everyMs = Math.min(EXPIRE_MS, opDeadlineMs / 2);
      this.#expiry = setInterval(() => this.#expire(opDeadlineMs), everyMs).unref();
    }
    deps.metrics.gauge({ name: 'meta_attached', help: '1 while the session stream stands' }, () =>
      this.#attached ? 1 : 0,
    );
  }

  get sessionId(): SessionId {
    return this.#options.sessionId;
  }

  get fsId(): FsId {
    return this.#options.fsId;
  }

  get attached(): boolean {
    return this.#attached;
  }

  /** Why the session is over; undefined while it lives. */
  get endReason(): FsError | undefined {
    return this.#ended;
  }

  /** The metaserver's clock. */
  now(): Timespec {
    return timespecOfNs(this.#serverClock.nowNs());
  }

  /** Attaches; resolves when the server has accepted, rejects with ESHUTDOWN when it refuses for good and with the signal's reason when that comes first. */
  async start(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const attached = new Promise<void>((resolve, reject) => {
      this.once('attached', resolve);
      this.once('ended', reject);
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    this.#connect();
    await attached;
  }

  /**
   * Sends an operation (mutating when it has an op id) and resolves with what `parse` makes of its reply; `parse` gets error replies as well and throws the error.
   * A call that gets no reply (aborted before it was sent, session over) gets one made here, with EINTR or ESHUTDOWN.
   */
  call<T>(
    op: RequestOp,
    opId: OpId | undefined,
    signal: AbortSignal | undefined,
    parse: (response: Response) => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call: SessionCall = {
        request: { requestId: 0n, opId: opId === undefined ? undefined : opIdToProto(opId), op },
        opens: opensOf(op),
        parse,
        resolve: resolve,
        reject,
        signal,
        startedMs: this.#deps.clock.monotonicMs(),
        onAbort: undefined,
        settled: false,
      };
      if (this.#ended !== undefined) this.#drop(call, 'ESHUTDOWN', this.#ended.message);
      else if (signal?.aborted === true) this.#drop(call, 'EINTR');
      else if (this.#attached && this.#waiting.size === 0 && this.#hasRoom) this.#send(call);
      else if (this.#waiting.size >= this.#waitingMax) this.#drop(call, 'EAGAIN', 'too many metadata operations wait');
      else this.#waiting.add(call);
      if (signal !== undefined && !call.settled) {
        call.onAbort = () => this.#aborted(call);
        signal.addEventListener('abort', call.onAbort, { once: true });
      }
    });
  }

  /** Ends an open; travels with the next frame. */
  release(ino: Ino, fh: Fh): void {
    this.#opens.delete(fh);
    if (this.#ended !== undefined) return;
    this.#delivery.release({ ino: BigInt(ino), fh: BigInt(fh) });
    this.#flushSoon();
  }

  /** A handle that another worker of this session opened and this one has taken over. */
  adoptOpen(ino: Ino, fh: Fh): void {
    this.#opens.set(fh, ino);
  }

  /** Stops: what is outstanding fails with ESHUTDOWN. Acks and releases are sent when the stream stands. The session itself lives on. */
  async close(): Promise<void> {
    if (this.#attached && this.#delivery.unsent > 0) {
      this.#batcher!.touch();
      this.#batcher!.flush();
    }
    const stream = this.#stream;
    this.#finish(new FsError('ESHUTDOWN', 'the metadata session is closed'), stream);
    if (stream === undefined) return;
    stream.end();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      stream.once('end', resolve).once('error', () => resolve());
      timer = setTimeout(resolve, CLOSE_DEADLINE_MS).unref();
    });
    clearTimeout(timer);
    stream.cancel();
  }

  #connect(): void {
    const { address, fsId, sessionId, incarnation } = this.#options;
    const stream = this.#stub.session();
    this.#stream = stream;
    stream.on('data', (frame: ServerFrame) => {
      if (stream === this.#stream) this.#received(frame);
    });
    stream.on('error', (error: unknown) => this.#lost(stream, error));
    stream.on('end', () => this.#lost(stream, undefined));
    this.#batcher = new FrameBatcher<Request, ClientFrame>(stream, {
      bytesOf: requestBytes,
      frameOf: (requests) => {
        this.#lastSentMs = this.#deps.clock.monotonicMs();
        const { acks, releases } = this.#delivery.take(requests[0]?.requestId ?? this.#nextRequestId);
        return { attach: undefined, requests, acks, releases };
      },
    });
    const opens = [...this.#opens].map(([fh, ino]) => ({ ino: BigInt(ino), fh: BigInt(fh) }));
    // An open in flight may be executed already: the server must not take it for a forgotten one.
    const opening = [...this.#calls.values()].some((call) => call.opens !== undefined);
    const opensComplete = this.#options.resumed !== true && !opening;
    const attach = { fsId, sessionId: BigInt(sessionId), incarnation, opens, opensComplete };
    stream.write({ attach, requests: [], acks: [], releases: [] });
    this.#attachDeadline = setTimeout(() => {
      this.#lost(stream, new FsError('ETIMEDOUT', `the metaserver at ${address} did not answer the attach`));
    }, ATTACH_DEADLINE_MS).unref();
  }

  #received(frame: ServerFrame): void {
    this.#lastReceivedMs = this.#deps.clock.monotonicMs();
    this.#serverClock.sample(frame.serverTimeNs);
    if (frame.attached !== undefined) this.#onAttached(frame.attached.ttlMs);
    for (const response of frame.responses) this.#replied(response);
    if (frame.end !== undefined) this.#onEnd(frame.end);
    else if (this.#waiting.size > 0) this.#sendWaiting();
  }

  #onAttached(ttlMs: number): void {
    if (ttlMs > 0) this.#ttlMs = ttlMs;
    this.#attached = true;
    this.#attempts = 0;
    clearTimeout(this.#attachDeadline);
    const unanswered = [...this.#calls.values()];
    this.#calls.clear();
    this.#parked = 0;
    for (const call of unanswered) {
      // A read whose caller is gone matters to nobody.
      if (call.settled && call.request.opId === undefined) this.#drop(call, 'EINTR');
      else this.#send(call);
    }
    if (this.#delivery.unsent > 0) this.#batcher!.touch();
    this.#sendWaiting();
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => this.#beat(), this.#ttlMs / 4).unref();
    this.emit('attached');
  }

  #onEnd(end: SessionEnd): void {
    if (end.reason === SessionEnd_Reason.REASON_SERVER_STOPPING) {
      this.#lost(this.#stream, new FsError('ECONNABORTED', 'the metaserver is stopping'));
      return;
    }
    const reason = SessionEnd_Reason[end.reason].replace('REASON_', '').toLowerCase().replaceAll('_', ' ');
    const detail = end.message === '' ? '' : `: ${end.message}`;
    this.#finish(new FsError('ESHUTDOWN', `the metadata session has ended (${reason})${detail}`));
  }

  #lost(stream: ClientDuplexStream<ClientFrame, ServerFrame> | undefined, error: unknown): void {
    if (stream === undefined || stream !== this.#stream || this.#ended !== undefined) return;
    const wasAttached = this.#attached;
    this.#dropStream();
    this.#delivery.restart();
    const waitMs = backoffMs(this.#attempts, RECONNECT_BACKOFF);
    const peer = `the metaserver at ${this.#options.address}`;
    const why =
      error === undefined ? 'it closed the stream' : isFsError(error) ? error.message : rpcErrorOf(error, peer).message;
    if (wasAttached || this.#attempts === 0) this.#deps.log.warn('metadata session lost its stream', { peer, why });
    this.#attempts++;
    this.#retry = setTimeout(() => this.#connect(), waitMs).unref();
    if (wasAttached) this.emit('lost');
  }

  #dropStream(keep?: ClientDuplexStream<ClientFrame, ServerFrame>): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#attached = false;
    this.#batcher?.close();
    clearTimeout(this.#attachDeadline);
    clearInterval(this.#heartbeat);
    // After `cancel` the stream reports an error once more: the listener stays, and ignores it.
    if (stream !== keep) stream?.cancel();
  }

  #send(call: SessionCall): void {
    const requestId = this.#nextRequestId++;
    call.request.requestId = requestId;
    this.#calls.set(requestId, call);
    if (mayPark(call.request.op!)) this.#parked++;
    this.#batcher!.add(call.request);
  }

  /** Requests that wait for locks are bounded by the server (ENOLCK) and do not count. */
  get #hasRoom(): boolean {
    return this.#calls.size - this.#parked < this.#outstandingMax;
  }

  #sendWaiting(): void {
    if (!this.#attached) return;
    for (const call of this.#waiting) {
      if (!this.#hasRoom) return;
      this.#waiting.delete(call);
      this.#send(call);
    }
  }

  #replied(response: Response): void {
    const call = this.#calls.get(response.requestId);
    if (call === undefined) {
      this.#deps.log.warn('metaserver answered a request that was not asked', { requestId: response.requestId });
      return;
    }
    this.#calls.delete(response.requestId);
    if (mayPark(call.request.op!)) this.#parked--;
    this.#delivery.confirm(response.requestId);
    const { opId, op } = call.request;
    if (opId !== undefined && !(call.settled && isSentAgain(op!))) {
      this.#delivery.ack(opId);
      if (this.#delivery.unsent >= LAZY_FLUSH_COUNT) this.#batcher!.touch();
    }
    this.#metrics.observe(op!.$case, this.#deps.clock.monotonicMs() - call.startedMs);
    if (call.opens !== undefined && response.errno === 0) {
      const ino = Number(response.attrs[0]?.ino ?? 0n) as Ino;
      if (call.settled) this.release(ino, call.opens);
      else this.#opens.set(call.opens, ino);
    }
    this.#settle(call, response);
  }

  /** Gives a call its answer. */
  #settle(call: SessionCall, response: Response): void {
    const silent = call.settled;
    call.settled = true;
    if (call.onAbort !== undefined) call.signal?.removeEventListener('abort', call.onAbort);
    try {
      const value = call.parse(response);
      if (!silent) call.resolve(value as never);
    } catch (error) {
      if (!silent) call.reject(isFsError(error) ? error : protocolError(error));
      else if (!isFsError(error)) this.#deps.log.error('bad reply of the metaserver', { error });
    }
  }

  /** Answers a call for which no reply will come. */
  #drop(call: SessionCall, code: ErrnoCode, message = ''): void {
    this.#settle(call, { requestId: 0n, errno: ERRNO[code], message, attrs: [], result: undefined });
  }

  #aborted(call: SessionCall): void {
    if (call.settled) return;
    if (this.#waiting.delete(call)) this.#drop(call, 'EINTR');
    else this.#abandon(call, new FsError('EINTR'));
  }

  /** Lets the caller go; the reply will be consumed all the same. */
  #abandon(call: SessionCall, error: FsError): void {
    call.settled = true;
    if (call.onAbort !== undefined) call.signal?.removeEventListener('abort', call.onAbort);
    call.reject(error);
  }

  #beat(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#calls.size > 0 && nowMs - Math.max(this.#lastReceivedMs, this.#oldestSentMs()) > this.#ttlMs / 2) {
      this.#lost(this.#stream, new FsError('ETIMEDOUT', 'the metaserver has fallen silent'));
      return;
    }
    if (this.#attached && nowMs - this.#lastSentMs >= this.#ttlMs / 4 - 1) this.#ping();
  }

  /** A parked operation may take long: what counts is that nothing at all arrives while a ping is out. */
  #oldestSentMs(): number {
    for (const call of this.#calls.values()) return call.startedMs;
    return 0;
  }

  #ping(): void {
    this.call({ $case: 'ping', value: {} }, undefined, undefined, () => undefined).catch((error: unknown) => {
      this.#deps.log.debug('ping failed', { error });
    });
  }

  #expire(opDeadlineMs: number): void {
    const { address } = this.#options;
    const nowMs = this.#deps.clock.monotonicMs();
    const late = (call: SessionCall): boolean =>
      !call.settled &&
      !isSentAgain(call.request.op!) &&
      call.request.op!.$case !== 'setLock' &&
      nowMs - call.startedMs > opDeadlineMs;
    const error = (): FsError => new FsError('ETIMEDOUT', `the metaserver at ${address} did not answer in time`);
    for (const call of this.#waiting) {
      if (!late(call)) continue;
      this.#waiting.delete(call);
      this.#drop(call, 'ETIMEDOUT', error().message);
    }
    for (const call of this.#calls.values()) if (late(call)) this.#abandon(call, error());
  }

  #flushSoon(): void {
    if (this.#delivery.unsent >= LAZY_FLUSH_COUNT) this.#batcher?.touch();
    this.#lazyFlush ??= setTimeout(() => {
      this.#lazyFlush = undefined;
      if (this.#attached && this.#delivery.unsent > 0) this.#batcher!.touch();
    }, LAZY_FLUSH_MS).unref();
  }

  #finish(reason: FsError, keep?: ClientDuplexStream<ClientFrame, ServerFrame>): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    this.#dropStream(keep);
    clearInterval(this.#expiry);
    clearTimeout(this.#retry);
    clearTimeout(this.#lazyFlush);
    this.#stub.close();
    const calls = [...this.#calls.values(), ...this.#waiting];
    this.#calls.clear();
    this.#waiting.clear();
    for (const call of calls) this.#drop(call, 'ESHUTDOWN', reason.message);
    this.emit('ended', reason);
  }
}

/** Throws the error that a reply carries, if any. */
export function checkErrno(response: Response): void {
  if (response.errno === 0) return;
  const code = errnoCode(response.errno);
  // The other side's error begins with its code, and ours will.
  const text = response.message.startsWith(code) ? response.message.slice(code.length + 2) : response.message;
  throw new FsError(code, text === '' ? undefined : text);
}

function protocolError(error: unknown): FsError {
  return new FsError('EIO', 'the metaserver sent a reply that makes no sense', { cause: error });
}
