import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** What is due: `object` = delete the chunk's object, `row` = forget that the chunk existed (until then a late commit that names it is refused). */
export type Deletion = 'object' | 'row';

const VERSION = 1;

export const deletionCodec: RecordCodec<Deletion> = {
  encode(deletion, writer) {
    writer.u8(VERSION).u8(deletion === 'object' ? 1 : 2);
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'deletion', VERSION);
    const kind = reader.u8();
    if (kind !== 1 && kind !== 2) throw reader.corrupt(`kind ${kind}`);
    reader.end();
    return kind === 1 ? 'object' : 'row';
  },
};
