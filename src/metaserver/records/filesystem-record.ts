import type { FsInfo, StorageSpec } from '../../model/filesystem.js';
import type { FsId } from '../../model/ids.js';
import type { RecordCodec } from './record-codec.js';
import { RecordReader } from './record-reader.js';

/** A filesystem that this metaserver owns. */
export interface FilesystemRecord {
  readonly info: FsInfo;
  /** Key of the names' hash, 8 random bytes fixed at create. */
  readonly hashKey: Uint8Array;
  /** Its objects and rows are being removed; set once, never taken back. */
  readonly deleting: boolean;
}

const VERSION = 1;
const HASH_KEY_BYTES = 8;

export const filesystemCodec: RecordCodec<FilesystemRecord> = {
  encode({ info, hashKey, deleting }, writer) {
    writer
      .u8(VERSION)
      .u8(deleting ? 1 : 0)
      .bytes(hashKey)
      .u32(info.id)
      .text(info.uuid)
      .text(info.name);
    writer.u32(info.blockSizeBytes).u64(info.capacityBytes).u64(info.inodesMax).u32(info.chunkFormat);
    writer.text(info.metaserver).u64(info.createdMs);
    const { storage } = info;
    if (storage.kind === 'file') {
      writer.u8(1).text(storage.path);
    } else {
      writer.u8(2).text(storage.bucket).text(storage.prefix).text(storage.endpoint).text(storage.region);
      writer.u8(storage.pathStyle ? 1 : 0);
    }
  },

  decode(bytes) {
    const reader = new RecordReader(bytes, 'filesystem', VERSION);
    const deleting = reader.u8() === 1;
    const hashKey = Buffer.from(reader.bytes(HASH_KEY_BYTES));
    const fixed = {
      id: reader.u32() as FsId,
      uuid: reader.text(),
      name: reader.text(),
      blockSizeBytes: reader.u32(),
      capacityBytes: reader.u64(),
      inodesMax: reader.u64(),
      chunkFormat: reader.u32(),
      metaserver: reader.text(),
      createdMs: reader.u64(),
    };
    const storage = readStorage(reader);
    reader.end();
    return { info: { ...fixed, storage }, hashKey, deleting };
  },
};

function readStorage(reader: RecordReader): StorageSpec {
  const kind = reader.u8();
  if (kind === 1) return { kind: 'file', path: reader.text() };
  if (kind !== 2) throw reader.corrupt(`storage kind ${kind}`);
  return {
    kind: 's3',
    bucket: reader.text(),
    prefix: reader.text(),
    endpoint: reader.text(),
    region: reader.text(),
    pathStyle: reader.u8() === 1,
  };
}
