import type { ServerDuplexStream } from '@grpc/grpc-js';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { ServerFrame, SessionEnd_Reason, type ClientFrame } from '../../gen/curvefs/v1/metaserver.js';
import type { FsId } from '../../model/ids.js';
import { fsInfoToProto } from '../../wire/filesystem.js';
import { FrameBatcher } from '../../wire/frame-batcher.js';
import type { SessionConnection } from '../sessions/session-connection.js';
import type { Session } from '../sessions/session.js';
import type { Slot } from '../slot.js';
import { encodeFrame, outgoingBytes, type OutgoingResponse } from './frame-writer.js';

export interface SessionStreamDeps {
  readonly slotOf: (fsId: FsId) => Slot | undefined;
  readonly nowNs: () => bigint;
  readonly logger: Logger;
}

const NOTHING = Buffer.alloc(0);
/** Requests of one stream that are executed at once; with more it is read no further until half of them are answered. */
const REQUESTS_MAX = 4096;

/**
 * One stream of a session: frames in, frames out. The first frame attaches; every frame counts as a heartbeat. Responses leave once per event-loop tick in frames of at most 256 KiB.
 * Back-pressure both ways: a client that does not read, or has too many requests under way, is not read from.
 */
export class SessionStream implements SessionConnection {
  readonly #call: ServerDuplexStream<ClientFrame, Buffer>;
  readonly #deps: SessionStreamDeps;
  readonly #batcher: FrameBatcher<OutgoingResponse, Buffer>;
  #incarnation = 0;
  #slot: Slot | undefined;
  #session: Session | undefined;
  /** Encoded rest of the next frame. */
  #head: Uint8Array = NOTHING;
  /** INVARIANT: requests handed to the slot less responses taken from it. */
  #requests = 0;
  #paused = false;
  #writeBlocked = false;
  #ended = false;

  constructor(call: ServerDuplexStream<ClientFrame, Buffer>, deps: SessionStreamDeps) {
    this.#call = call;
    this.#deps = deps;
    this.#batcher = new FrameBatcher<OutgoingResponse, Buffer>(
      {
        write: (frame) => this.#write(frame),
        once: (event, listener) => call.once(event, listener),
      },
      { bytesOf: outgoingBytes, frameOf: (responses) => this.#frame(responses) },
    );
    call.on('data', (frame: ClientFrame) => this.#receive(frame));
    call.on('end', () => this.#close());
    call.on('cancelled', () => this.#close());
    call.on('error', (error: Error) => {
      this.#deps.logger.debug('a session stream failed', { error: error.message });
      this.#close();
    });
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  respond(requestId: bigint, body: Uint8Array): void {
    this.#requests--;
    if (this.#ended) return;
    this.#batcher.add({ requestId, body });
    if (this.#paused) this.#resume();
  }

  attached(ttlMs: number): void {
    if (this.#ended || this.#slot === undefined) return;
    this.#send({ attached: { ttlMs, fs: fsInfoToProto(this.#slot.info) }, end: undefined });
  }

  end(reason: SessionEnd_Reason, message: string): void {
    if (this.#ended) return;
    this.#send({ attached: undefined, end: { reason, message } });
    this.#batcher.flush();
    this.#close();
  }

  #receive(frame: ClientFrame): void {
    if (this.#ended) return;
    try {
      this.#take(frame);
    } catch (error) {
      this.#deps.logger.warn('a client breaks the protocol', { error: errorMessage(error) });
      this.end(SessionEnd_Reason.REASON_UNSPECIFIED, `bad frame: ${errorMessage(error)}`);
    }
  }

  #take(frame: ClientFrame): void {
    if (frame.attach !== undefined && this.#session === undefined) {
      this.#incarnation = frame.attach.incarnation;
      this.#slot = this.#deps.slotOf(frame.attach.fsId as FsId);
      if (this.#slot === undefined) {
        this.end(SessionEnd_Reason.REASON_FS_DELETED, `filesystem ${frame.attach.fsId} is not here`);
        return;
      }
      this.#session = this.#slot.sessions.attach(this, frame.attach);
    }
    const slot = this.#slot;
    const session = this.#session;
    if (slot === undefined || session === undefined) {
      this.end(SessionEnd_Reason.REASON_UNKNOWN_SESSION, 'the first frame must attach');
      return;
    }
    slot.sessions.heard(session);
    if (frame.acks.length > 0) slot.requests.acknowledge(session, frame.acks);
    if (frame.releases.length > 0) slot.requests.release(this, session, frame.releases);
    this.#requests += frame.requests.length;
    for (const request of frame.requests) slot.requests.handle(this, session, request);
    // a frame without requests is a heartbeat, answered by the server's time
    if (frame.requests.length === 0) this.#batcher.touch();
    if (this.#writeBlocked || this.#requests > REQUESTS_MAX) {
      this.#paused = true;
      this.#call.pause();
    }
  }

  #resume(): void {
    if (this.#writeBlocked || this.#requests > REQUESTS_MAX / 2) return;
    this.#paused = false;
    this.#call.resume();
  }

  #send(frame: Pick<ServerFrame, 'attached' | 'end'>): void {
    const bytes = ServerFrame.encode({ ...frame, responses: [], serverTimeNs: 0n }).finish();
    this.#head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes]);
    this.#batcher.touch();
  }

  #frame(responses: readonly OutgoingResponse[]): Buffer {
    const head = this.#head;
    this.#head = NOTHING;
    return encodeFrame(head, responses, this.#deps.nowNs());
  }

  #write(frame: Buffer): boolean {
    if (this.#ended) return true;
    if (this.#call.write(frame)) return true;
    this.#writeBlocked = true;
    this.#call.once('drain', () => {
      this.#writeBlocked = false;
      if (this.#paused) this.#resume();
    });
    return false;
  }

  #close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#batcher.close();
    this.#call.end();
  }
}
