import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** The reply of one mutating operation: its key (`sessions/op-key.ts`) and the encoded Response without the request id. */
export interface StoredReply {
  readonly opKey: string;
  readonly body: Uint8Array;
}

/** The replies that one batch gave to one session: one row, whatever the batch's depth. */
export type ReplyGroup = readonly StoredReply[];

const VERSION = 1;

export const replyGroupCodec: RecordCodec<ReplyGroup> = {
  encode(group, writer) {
    writer.u8(VERSION).u16(group.length);
    for (const { opKey, body } of group) writer.text(opKey).u32(body.length).bytes(body);
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'replies', VERSION);
    const count = reader.u16();
    const group: StoredReply[] = [];
    for (let i = 0; i < count; i++) {
      const opKey = reader.text();
      group.push({ opKey, body: Buffer.from(reader.bytes(reader.u32())) });
    }
    reader.end();
    return group;
  },

  sizeOf: (group) => group.reduce((sum, { opKey, body }) => sum + 6 + opKey.length + body.length, 3),
};
