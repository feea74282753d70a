import { closeSync } from 'node:fs';
import { ERRNO } from '../../common/errno.js';
import {
  REPLY_BUFFER_BYTES,
  WRITE_PAYLOAD_OFFSET,
  type DeviceEnd,
  type DeviceHandler,
  type FuseDevice,
  type NotifyLane,
} from './fuse-device.js';
import type { NativeAddon, NativeChannel } from './native-addon.js';

export interface NativeDeviceOptions {
  /** An open `/dev/fuse` that is mounted; the device owns and closes it. */
  readonly fd: number;
  /** Largest message of the kernel: the largest WRITE and a page. */
  readonly bufferBytes: number;
  /** Longest active wait for the next request, in microseconds; 0 = never. */
  readonly spinUs: number;
}

/** After so many requests the event loop gets a turn, whatever else waits. */
const REQUESTS_PER_TURN = 32;
/** Buffers kept for reuse; more are made when that many handlers hold one, and dropped afterwards. */
const IDLE_BUFFERS_MAX = 16;
const LANES: Readonly<Record<NotifyLane, number>> = { blocking: 0, free: 1 };

/**
 * `/dev/fuse` on the event loop, by the native addon: uv_poll says that a request waits, then requests are read and handled until there
 * is none or the turn is over. After the last one it waits actively for a moment (while nothing else is in flight): a caller that was
 * just answered usually has its next request within microseconds.
 *
 * Buffers: a handler that keeps one (a WRITE that waits) has it until {@link recycle}; how many are out is bounded by what the kernel
 * has in flight, and an unused part of a buffer costs no memory.
 */
export class NativeDevice implements FuseDevice {
  readonly kind = 'native';
  readonly replyBuffer = Buffer.allocUnsafeSlow(REPLY_BUFFER_BYTES);
  readonly #addon: NativeAddon;
  readonly #options: NativeDeviceOptions;
  readonly #channel: NativeChannel;
  /* Mutable state */
  #handler: DeviceHandler | undefined;
  #current: Buffer;
  /** INVARIANT: at most {@link IDLE_BUFFERS_MAX}. */
  readonly #idle: Buffer[] = [];
  #paused = false;
  #closed = false;
  /** Resolvers of notifications on their way: one may stay blocked in the kernel for as long as the process lives. */
  readonly #notifications = new Set<(errno: number) => void>();

  constructor(deps: { readonly addon: NativeAddon }, options: NativeDeviceOptions) {
    this.#addon = deps.addon;
    this.#options = options;
    this.#current = this.#newBuffer();
    this.#channel = this.#addon.channelOpen(options.fd, this.replyBuffer, () => {
      this.#onReadable();
    });
  }

  start(handler: DeviceHandler): void {
    this.#handler = handler;
    this.#addon.channelStart(this.#channel);
  }

  reply(headLength: number, data: readonly Uint8Array[] | undefined): number {
    if (this.#closed) return ERRNO.ENODEV;
    return -this.#addon.channelReply(this.#channel, headLength, data);
  }

  notify(message: Uint8Array, lane: NotifyLane): Promise<number> {
    if (this.#closed) return Promise.resolve(ERRNO.ENODEV);
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
    const sent = this.#addon.channelNotify(this.#channel, bytes, LANES[lane]);
    return new Promise((resolve) => {
      this.#notifications.add(resolve);
      void sent.then((errno) => {
        this.#notifications.delete(resolve);
        resolve(errno);
      });
    });
  }

  recycle(buffer: Buffer): void {
    if (this.#idle.length < IDLE_BUFFERS_MAX) this.#idle.push(buffer);
  }

  pause(): void {
    if (this.#closed || this.#paused) return;
    this.#paused = true;
    this.#addon.channelStop(this.#channel);
  }

  resume(): void {
    if (this.#closed || !this.#paused) return;
    this.#paused = false;
    this.#addon.channelStart(this.#channel);
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#addon.channelClose(this.#channel);
    for (const resolve of this.#notifications) resolve(ERRNO.ENODEV);
    this.#notifications.clear();
    closeSync(this.#options.fd);
    return Promise.resolve();
  }

  #newBuffer(): Buffer {
    return this.#addon.allocSlab(this.#options.bufferBytes, WRITE_PAYLOAD_OFFSET);
  }

  #onReadable(): void {
    const handler = this.#handler;
    if (handler === undefined) return;
    let spinUs = 0;
    for (let count = 0; count < REQUESTS_PER_TURN; count++) {
      if (this.#paused || this.#closed) return;
      const got = this.#addon.channelRead(this.#channel, this.#current, spinUs);
      if (got <= 0) {
        if (got !== -ERRNO.EAGAIN) this.#end(-got);
        return;
      }
      if (handler.onRequest(this.#current, got)) this.#current = this.#idle.pop() ?? this.#newBuffer();
      spinUs = handler.isBusy() ? 0 : this.#options.spinUs;
    }
  }

  #end(errno: number): void {
    this.#paused = true;
    this.#addon.channelStop(this.#channel);
    this.#handler?.onEnd(deviceEnd(errno));
  }
}

/** What the errno of reading `/dev/fuse` means. 0 is an end of file, which the device never has. */
export function deviceEnd(errno: number): DeviceEnd {
  if (errno === ERRNO.ENODEV) return { kind: 'unmounted' };
  if (errno === ERRNO.ECONNABORTED) return { kind: 'aborted' };
  return { kind: 'failed', errno };
}
