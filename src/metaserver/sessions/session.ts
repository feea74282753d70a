import type { SessionId } from '../../model/ids.js';
import type { SessionRecord } from '../records/session-record.js';
import { ReplyCache } from './reply-cache.js';
import type { SessionConnection } from './session-connection.js';

/** A live session as the slot keeps it in memory, beside its row. */
export class Session {
  readonly id: SessionId;
  readonly record: SessionRecord;
  readonly replies = new ReplyCache();
  /** The newest incarnation whose attach was executed. */
  incarnation: number;
  /** The stream that attached last. */
  connection: SessionConnection | undefined;
  /** Monotonic time of its last frame. */
  heardMs: number;
  ended = false;

  constructor(id: SessionId, record: SessionRecord, nowMs: number) {
    this.id = id;
    this.record = record;
    this.incarnation = record.incarnation;
    this.heardMs = nowMs;
  }
}
