/** Lane of a notification: what can block in the kernel behind an unanswered request must not hold up what never blocks. */
export type NotifyLane = 'blocking' | 'free';

/** Why a device has come to its end: the mount is gone, the connection was aborted, or the device failed. */
export type DeviceEnd =
  { readonly kind: 'unmounted' } | { readonly kind: 'aborted' } | { readonly kind: 'failed'; readonly errno: number };

/** What a device calls. */
export interface DeviceHandler {
  /**
   * A message of the kernel is in `buffer[0, length)`. Returns true when the handler keeps the buffer; it gives it back with
   * {@link FuseDevice.recycle}. Must not throw.
   */
  onRequest(buffer: Buffer, length: number): boolean;
  /** The device delivers nothing more. Called once. */
  onEnd(end: DeviceEnd): void;
  /** True when something other than the kernel's next request is waited for: the device must not spin. */
  isBusy(): boolean;
}

/** An open `/dev/fuse` of a mount: messages in, replies and notifications out. It knows nothing of what they mean. */
export interface FuseDevice {
  readonly kind: 'native' | 'fallback' | 'mock';
  /** Where the head of a reply is built. Its content is free again when {@link reply} has returned. */
  readonly replyBuffer: Buffer;
  /** Starts reading. Called once. */
  start(handler: DeviceHandler): void;
  /**
   * Sends `replyBuffer[0, headLength)` followed by `data` as one message, synchronously. Returns 0 or a positive errno:
   * ENOENT when the kernel no longer waits for it.
   */
  reply(headLength: number, data: readonly Uint8Array[] | undefined): number;
  /** Sends a notification from a thread of its own, in order within its lane. Resolves with 0 or a positive errno; copies the message. */
  notify(message: Uint8Array, lane: NotifyLane): Promise<number>;
  /** Takes back a buffer that the handler kept. */
  recycle(buffer: Buffer): void;
  /** Stops reading new messages (those read already are delivered). The connection stays. */
  pause(): void;
  /** Reads again after {@link pause}. */
  resume(): void;
  /** Stops and closes the descriptor: when no other process holds it, that ends the mount. Idempotent. */
  close(): Promise<void>;
}

/** Size of the scratch buffer for the head of a reply: the largest fixed-size reply is statx (16 + 288 bytes), small values fit too. */
export const REPLY_BUFFER_BYTES = 4096;

/** Bytes of header and WRITE structure before the payload of a WRITE. */
export const WRITE_PAYLOAD_OFFSET = 80;
