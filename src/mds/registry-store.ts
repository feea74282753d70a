import type { KvBatch, KvEngine } from '../kv/kv-engine.js';
import type { ChunkId, FsId, SessionId } from '../model/ids.js';
import { MdsError } from './mds-error.js';
import type { FsEntry, MetaserverEntry } from './fs-entry.js';

/** Ids that are handed out, each once and for ever. */
export interface Allocators {
  readonly nextFsId: FsId;
  readonly nextChunkId: ChunkId;
}

export interface StoredRegistry {
  readonly filesystems: readonly FsEntry[];
  readonly metaservers: readonly MetaserverEntry[];
  readonly allocators: Allocators;
}

type Put = KvBatch['puts'][number];

const VERSION = 1;
const ROWS_PER_READ = 1000;
const ALLOCATORS_KEY = Buffer.from('MA');

/**
 * The MDS's rows: `M A` allocators, `M F id` filesystems, `M S id` metaservers, `M R fs session first` ranges of chunk ids. Few and rarely written, so a value is a version byte and
 * JSON. The letter `M` keeps them apart from a metaserver's in a shared engine.
 */
export class RegistryStore {
  readonly #engine: KvEngine;

  constructor(engine: KvEngine) {
    this.#engine = engine;
  }

  async load(): Promise<StoredRegistry> {
    const allocators = await this.#engine.get(ALLOCATORS_KEY);
    return {
      filesystems: await this.#all<FsEntry>('MF', 'MG'),
      metaservers: await this.#all<MetaserverEntry>('MS', 'MT'),
      allocators:
        allocators === undefined
          ? { nextFsId: 1 as FsId, nextChunkId: 1 as ChunkId }
          : decode<Allocators>(ALLOCATORS_KEY, allocators),
    };
  }

  /** Stores a new filesystem, with the allocators after it. */
  addFs(entry: FsEntry, allocators: Allocators): Promise<void> {
    return this.#commit([put(fsKey(entry.info.id), entry), put(ALLOCATORS_KEY, allocators)]);
  }

  /** Stores another state of a filesystem. A full database takes it, for it may be the first step of a deletion. */
  putFs(entry: FsEntry): Promise<void> {
    const puts = [put(fsKey(entry.info.id), entry)];
    return this.#engine.commit({ puts, deletes: [], deleteRanges: [], guards: [] }, { reserve: true });
  }

  /** Removes a filesystem's entry and the record of its chunk-id ranges. */
  deleteFs(id: FsId): Promise<void> {
    const start = Buffer.concat([Buffer.from('MR'), u32(id)]);
    const end = Buffer.concat([Buffer.from('MR'), u32(id + 1)]);
    return this.#commit([], [fsKey(id)], [{ start, end }]);
  }

  putMetaserver(entry: MetaserverEntry): Promise<void> {
    return this.#commit([put(Buffer.from(`MS${entry.id}`), entry)]);
  }

  /** Makes an allocation durable; `allocators` are those after it. */
  putRange(fsId: FsId, session: SessionId, first: ChunkId, count: number, allocators: Allocators): Promise<void> {
    const key = Buffer.concat([Buffer.from('MR'), u32(fsId), u64(session), u64(first)]);
    return this.#commit([put(key, { count }), put(ALLOCATORS_KEY, allocators)]);
  }

  #commit(puts: Put[], deletes: Buffer[] = [], deleteRanges: KvBatch['deleteRanges'] = []): Promise<void> {
    return this.#engine.commit({ puts, deletes, deleteRanges, guards: [] });
  }

  async #all<Entry>(from: string, to: string): Promise<Entry[]> {
    const entries: Entry[] = [];
    const end = Buffer.from(to);
    let start = Buffer.from(from);
    for (;;) {
      const rows = await this.#engine.range(start, end, { limit: ROWS_PER_READ });
      for (const { key, value } of rows) entries.push(decode<Entry>(key, value));
      if (rows.length < ROWS_PER_READ) return entries;
      start = Buffer.concat([rows.at(-1)!.key, Buffer.from([0])]);
    }
  }
}

function put(key: Buffer, value: object): Put {
  return { key, value: Buffer.concat([Buffer.from([VERSION]), Buffer.from(JSON.stringify(value))]) };
}

function decode<Entry>(key: Uint8Array, bytes: Uint8Array): Entry {
  if (bytes[0] !== VERSION)
    throw new MdsError('corrupt', `row ${Buffer.from(key).toString('latin1')}: version ${bytes[0]}`);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8', 1)) as Entry;
  } catch (error) {
    throw new MdsError('corrupt', `row ${Buffer.from(key).toString('latin1')} is no JSON`, { cause: error });
  }
}

function fsKey(id: FsId): Buffer {
  return Buffer.concat([Buffer.from('MF'), u32(id)]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
