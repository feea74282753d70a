import { FRAME_BYTES_MAX } from './channel-options.js';

/** Where frames go: a gRPC stream, in the part that is used here. */
export interface FrameSink<Frame> {
  /** False when the sender should wait for `drain`. */
  write(frame: Frame): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

export interface FrameBatcherOptions<Message, Frame> {
  /** Upper bound of a message's encoded bytes. */
  readonly bytesOf: (message: Message) => number;
  /** Makes the frame that carries these messages; called with none only after {@link FrameBatcher.touch}. */
  readonly frameOf: (messages: Message[]) => Frame;
  readonly frameBytesMax?: number;
  /** Runs a function at the end of the event-loop tick; injected by tests. */
  readonly schedule?: (fn: () => void) => void;
}

/**
 * Gathers the messages of one event-loop tick and writes them as one frame (more when they are large), for both sides of the session stream.
 *
 * A lone message leaves with the microtasks: at depth one nothing is gained by waiting for the loop's next phase. While frames carry several messages it leaves with
 * `setImmediate`, which runs after all I/O of the tick, so that whatever the poll phase brought shares a frame. When `write` reports back-pressure, messages gather until `drain`;
 * their number is bounded by the callers' own limits on outstanding operations. After {@link close} nothing is written.
 */
export class FrameBatcher<Message, Frame> {
  readonly #sink: FrameSink<Frame>;
  readonly #options: FrameBatcherOptions<Message, Frame>;
  readonly #frameBytesMax: number;

  #messages: Message[] = [];
  #scheduled = false;
  #touched = false;
  #blocked = false;
  #closed = false;
  /** Messages of the frame before: how loaded we are. */
  #lastCount = 0;

  constructor(sink: FrameSink<Frame>, options: FrameBatcherOptions<Message, Frame>) {
    this.#sink = sink;
    this.#options = options;
    this.#frameBytesMax = options.frameBytesMax ?? FRAME_BYTES_MAX;
  }

  /** Messages that wait to be written. */
  get pending(): number {
    return this.#messages.length;
  }

  /** Sends a message with this tick's frame. */
  add(message: Message): void {
    this.#messages.push(message);
    this.#schedule();
  }

  /** Sends a frame at the end of this tick even when there is no message: for what `frameOf` adds of its own. */
  touch(): void {
    this.#touched = true;
    this.#schedule();
  }

  /** Writes what has gathered now. */
  flush(): void {
    if (this.#closed || this.#blocked) return;
    if (this.#messages.length === 0 && !this.#touched) return;
    const messages = this.#messages;
    this.#messages = [];
    this.#touched = false;
    this.#lastCount = messages.length;
    let start = 0;
    let bytes = 0;
    for (let i = 0; i < messages.length; i++) {
      const size = this.#options.bytesOf(messages[i]!);
      if (i > start && bytes + size > this.#frameBytesMax) {
        const writable = this.#write(messages.slice(start, i));
        start = i;
        bytes = 0;
        if (!writable) {
          this.#messages = messages.slice(start);
          return;
        }
      }
      bytes += size;
    }
    this.#write(start === 0 ? messages : messages.slice(start));
  }

  /** Drops what has gathered; nothing is written any more. */
  close(): void {
    this.#closed = true;
    this.#messages = [];
  }

  #schedule(): void {
    if (this.#scheduled || this.#blocked || this.#closed) return;
    this.#scheduled = true;
    const run = (): void => {
      this.#scheduled = false;
      this.flush();
    };
    if (this.#options.schedule !== undefined) this.#options.schedule(run);
    else if (this.#lastCount <= 1) queueMicrotask(run);
    else setImmediate(run);
  }

  /** False when the rest has to wait for `drain`. */
  #write(messages: Message[]): boolean {
    if (this.#sink.write(this.#options.frameOf(messages))) return true;
    this.#blocked = true;
    this.#sink.once('drain', () => {
      this.#blocked = false;
      this.flush();
    });
    return false;
  }
}
