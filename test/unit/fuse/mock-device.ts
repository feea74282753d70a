import {
  REPLY_BUFFER_BYTES,
  type DeviceEnd,
  type DeviceHandler,
  type FuseDevice,
  type NotifyLane,
} from '../../../src/fuse/device/fuse-device.js';

/** A reply as the kernel would get it. */
export interface MockReply {
  readonly unique: bigint;
  /** 0 or the positive errno. */
  readonly errno: number;
  readonly body: Buffer;
}

/** The kernel's side of a device, in memory. */
export class MockDevice implements FuseDevice {
  readonly kind = 'mock';
  readonly replyBuffer = Buffer.alloc(REPLY_BUFFER_BYTES);
  readonly replies: MockReply[] = [];
  readonly notifications: { readonly lane: NotifyLane; readonly message: Buffer }[] = [];
  readonly recycled: Buffer[] = [];
  /** What the next replies' writes return; 0 when empty. */
  readonly replyErrnos: number[] = [];
  /** Notifications wait for this. */
  notifyGate: Promise<void> | undefined;
  notifyErrno = 0;
  paused = false;
  closed = false;
  #handler: DeviceHandler | undefined;

  start(handler: DeviceHandler): void {
    this.#handler = handler;
  }

  /** Delivers a message, in a buffer with old bytes after it. True when the handler kept the buffer. */
  deliver(message: Buffer): boolean {
    return this.handler.onRequest(Buffer.concat([message, Buffer.alloc(64, 0x42)]), message.length);
  }

  end(end: DeviceEnd): void {
    this.handler.onEnd(end);
  }

  get handler(): DeviceHandler {
    if (this.#handler === undefined) throw new Error('not started');
    return this.#handler;
  }

  reply(headLength: number, data: readonly Uint8Array[] | undefined): number {
    const errno = this.replyErrnos.shift() ?? 0;
    if (errno !== 0) return errno;
    const bytes = Buffer.concat([this.replyBuffer.subarray(0, headLength), ...(data ?? [])]);
    if (bytes.readUInt32LE(0) !== bytes.length) throw new Error('reply length is wrong');
    this.replies.push({
      unique: bytes.readBigUInt64LE(8),
      errno: Math.abs(bytes.readInt32LE(4)),
      body: bytes.subarray(16),
    });
    return 0;
  }

  async notify(message: Uint8Array, lane: NotifyLane): Promise<number> {
    const copy = Buffer.from(message);
    await this.notifyGate;
    this.notifications.push({ lane, message: copy });
    return this.notifyErrno;
  }

  recycle(buffer: Buffer): void {
    this.recycled.push(buffer);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
