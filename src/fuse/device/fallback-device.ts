import { closeSync, read, write, writeSync, writevSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { ERRNO } from '../../common/errno.js';
import { REPLY_BUFFER_BYTES, type DeviceHandler, type FuseDevice, type NotifyLane } from './fuse-device.js';
import { deviceEnd } from './native-device.js';
import type { NotifyAnswer, NotifyOrder } from './notify-worker.js';

export interface FallbackDeviceOptions {
  /** An open `/dev/fuse` that is mounted; the device owns and closes it. */
  readonly fd: number;
  readonly bufferBytes: number;
  /** Reads in flight; each holds a thread of libuv's pool for good. Default 2. */
  readonly readers?: number;
}

const IDLE_BUFFERS_MAX = 16;
/** How long to wait before reading again when a predecessor left the descriptor non-blocking. */
const POLL_MS = 1;

/**
 * `/dev/fuse` without the addon: blocking reads on libuv's thread pool, replies with writev(2) from the main thread, blocking
 * notifications from a worker thread.
 *
 * Each reader holds a thread of libuv's pool (set `UV_THREADPOOL_SIZE` to at least readers + 4 in the environment of the process), and a
 * process cannot exit while one is blocked: unmount first, or end it with SIGKILL. Requests may be delivered out of order.
 */
export class FallbackDevice implements FuseDevice {
  readonly kind = 'fallback';
  readonly replyBuffer = Buffer.allocUnsafeSlow(REPLY_BUFFER_BYTES);
  readonly #options: FallbackDeviceOptions;
  /* Mutable state */
  #handler: DeviceHandler | undefined;
  /** INVARIANT: at most {@link IDLE_BUFFERS_MAX}. */
  readonly #idle: Buffer[] = [];
  /** Readers that stopped at a pause. */
  #parked = 0;
  #paused = false;
  #ended = false;
  #closed = false;
  /** Reads that a thread of the pool is in. */
  #reading = 0;
  #worker: Worker | undefined;
  readonly #notifications = new Map<number, (errno: number) => void>();
  #nextNotification = 0;

  constructor(options: FallbackDeviceOptions) {
    this.#options = options;
  }

  start(handler: DeviceHandler): void {
    this.#handler = handler;
    for (let i = 0; i < (this.#options.readers ?? 2); i++) this.#read(this.#newBuffer());
  }

  reply(headLength: number, data: readonly Uint8Array[] | undefined): number {
    if (this.#closed) return ERRNO.ENODEV;
    try {
      if (data === undefined) writeSync(this.#options.fd, this.replyBuffer, 0, headLength, null);
      else writevSync(this.#options.fd, [this.replyBuffer.subarray(0, headLength), ...data]);
      return 0;
    } catch (error) {
      return errnoOfSystemError(error);
    }
  }

  notify(message: Uint8Array, lane: NotifyLane): Promise<number> {
    if (this.#closed) return Promise.resolve(ERRNO.ENODEV);
    const bytes = Uint8Array.from(message);
    if (lane === 'blocking') return this.#notifyFromWorker(bytes);
    return new Promise((resolve) => {
      write(this.#options.fd, bytes, 0, bytes.length, null, (error) => {
        resolve(error === null ? 0 : errnoOfSystemError(error));
      });
    });
  }

  recycle(buffer: Buffer): void {
    if (this.#idle.length < IDLE_BUFFERS_MAX) this.#idle.push(buffer);
  }

  /** Reads that wait in the kernel cannot be taken back: what they return is still delivered. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused || this.#ended) return;
    this.#paused = false;
    const parked = this.#parked;
    this.#parked = 0;
    for (let i = 0; i < parked; i++) this.#read(this.#newBuffer());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#paused = true;
    for (const resolve of this.#notifications.values()) resolve(ERRNO.ENODEV);
    this.#notifications.clear();
    // A descriptor that a thread still reads keeps the connection alive in the kernel whether or not it is closed here.
    if (this.#reading === 0) closeSync(this.#options.fd);
    if (this.#worker !== undefined) {
      this.#worker.unref();
      void this.#worker.terminate();
    }
  }

  #newBuffer(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(this.#options.bufferBytes);
  }

  #read(buffer: Buffer): void {
    if (this.#paused || this.#ended) {
      this.#parked++;
      this.recycle(buffer);
      return;
    }
    this.#reading++;
    read(this.#options.fd, buffer, 0, buffer.length, null, (error, length) => {
      this.#reading--;
      if (error === null) this.#onMessage(buffer, length);
      else this.#onReadError(errnoOfSystemError(error), buffer);
    });
  }

  #onMessage(buffer: Buffer, length: number): void {
    if (this.#ended) return;
    const kept = this.#handler?.onRequest(buffer, length) === true;
    this.#read(kept ? this.#newBuffer() : buffer);
  }

  #onReadError(errno: number, buffer: Buffer): void {
    if (this.#ended) return;
    if (errno === ERRNO.EINTR || errno === ERRNO.ENOENT) {
      this.#read(buffer);
    } else if (errno === ERRNO.EAGAIN) {
      setTimeout(() => {
        this.#read(buffer);
      }, POLL_MS);
    } else {
      this.#ended = true;
      this.#handler?.onEnd(deviceEnd(errno));
    }
  }

  #notifyFromWorker(bytes: Uint8Array): Promise<number> {
    const id = this.#nextNotification++;
    this.#worker ??= this.#newWorker();
    const order: NotifyOrder = { id, bytes };
    this.#worker.postMessage(order);
    return new Promise((resolve) => this.#notifications.set(id, resolve));
  }

  #newWorker(): Worker {
    const worker = new Worker(new URL('./notify-worker.js', import.meta.url), { workerData: this.#options.fd });
    worker.unref();
    worker.on('message', ({ id, errno }: NotifyAnswer) => {
      const resolve = this.#notifications.get(id);
      this.#notifications.delete(id);
      resolve?.(errno);
    });
    worker.on('error', () => {
      this.#worker = undefined;
      for (const resolve of this.#notifications.values()) resolve(ERRNO.EIO);
      this.#notifications.clear();
    });
    return worker;
  }
}

/** The positive errno of an error that Node's `fs` threw (its `errno` is negative). */
export function errnoOfSystemError(error: unknown): number {
  const errno = typeof error === 'object' && error !== null && 'errno' in error ? error.errno : undefined;
  return typeof errno === 'number' ? Math.abs(errno) : ERRNO.EIO;
}
