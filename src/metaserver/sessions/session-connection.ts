import type { SessionEnd_Reason } from '../../gen/curvefs/v1/metaserver.js';

/** A stream of a session as the slot sees it. */
export interface SessionConnection {
  /** The worker's incarnation: operations of an older one than the session's are refused. */
  readonly incarnation: number;
  /** Sends an encoded Response (without request id) with the next frame. */
  respond(requestId: bigint, body: Uint8Array): void;
  /** The attach was accepted. */
  attached(ttlMs: number): void;
  /** Says why the session, or this stream of it, is over, and ends the stream. Idempotent. */
  end(reason: SessionEnd_Reason, message: string): void;
}
