import type { Ino } from '../model/ids.js';
import type { KvReader } from '../kv/kv-engine.js';
import { blockCodec, type BlockRecord } from './records/block-record.js';
import { bucketCodec, type Bucket } from './records/bucket-record.js';
import { chunkCodec, type ChunkRecord } from './records/chunk-record.js';
import { countersCodec, type Counters } from './records/counters-record.js';
import { deletionCodec, type Deletion } from './records/deletion-record.js';
import { inodeCodec, type InodeRecord } from './records/inode-record.js';
import { quotaCodec, quotaHoldCodec, type QuotaRecord } from './records/quota-record.js';
import { lockCodec, type LockRecord } from './records/lock-record.js';
import { replyGroupCodec, type ReplyGroup } from './records/reply-group-record.js';
import { sessionCodec, type SessionRecord } from './records/session-record.js';
import { markCodec, openCodec, xattrCodec } from './records/simple-records.js';
import { Table } from './store/table.js';

/** How many decoded rows a slot keeps in memory. */
export interface CacheOptions {
  readonly inodesMax: number;
  readonly dentriesMax: number;
  /** Extents of blocks, counted one by one. */
  readonly extentsMax: number;
  readonly chunksMax: number;
}

/** About 100 MiB when full. */
export const DEFAULT_CACHE: CacheOptions = {
  inodesMax: 100_000,
  dentriesMax: 150_000,
  extentsMax: 200_000,
  chunksMax: 50_000,
};

/** The tables of one filesystem slot; the key of a row says which table it belongs to. */
export class SlotTables {
  readonly inodes: Table<InodeRecord>;
  readonly buckets: Table<Bucket>;
  readonly blocks: Table<BlockRecord>;
  readonly xattrs: Table<Uint8Array>;
  readonly chunks: Table<ChunkRecord>;
  readonly deletions: Table<Deletion>;
  readonly counters: Table<Counters>;
  readonly sessions: Table<SessionRecord>;
  readonly replies: Table<ReplyGroup>;
  readonly opens: Table<Ino>;
  readonly orphans: Table<true>;
  readonly trims: Table<true>;
  readonly quotas: Table<QuotaRecord>;
  readonly quotaHolds: Table<number>;
  readonly locks: Table<LockRecord>;

  constructor(engine: KvReader, cache: CacheOptions) {
    this.inodes = new Table(engine, inodeCodec, { cacheWeightMax: cache.inodesMax });
    this.buckets = new Table(engine, bucketCodec, { cacheWeightMax: cache.dentriesMax });
    this.blocks = new Table(engine, blockCodec, {
      cacheWeightMax: cache.extentsMax,
      weigh: ({ extents }) => extents.length + 1,
    });
    this.xattrs = new Table(engine, xattrCodec, { cacheWeightMax: 1 << 20, weigh: ({ length }) => length + 64 });
    this.chunks = new Table(engine, chunkCodec, { cacheWeightMax: cache.chunksMax });
    this.deletions = new Table(engine, deletionCodec, { cacheWeightMax: 0 });
    this.counters = new Table(engine, countersCodec, { cacheWeightMax: 4 });
    this.sessions = new Table(engine, sessionCodec, { cacheWeightMax: 2048 });
    this.replies = new Table(engine, replyGroupCodec, { cacheWeightMax: 0 });
    this.opens = new Table(engine, openCodec, { cacheWeightMax: 0 });
    this.orphans = new Table(engine, markCodec, { cacheWeightMax: 0 });
    this.trims = new Table(engine, markCodec, { cacheWeightMax: 0 });
    this.quotas = new Table(engine, quotaCodec, { cacheWeightMax: 4096 });
    this.quotaHolds = new Table(engine, quotaHoldCodec, { cacheWeightMax: 4096 });
    this.locks = new Table(engine, lockCodec, { cacheWeightMax: 0 });
  }

  all(): Table<never>[] {
    return [
      this.inodes,
      this.buckets,
      this.blocks,
      this.xattrs,
      this.chunks,
      this.deletions,
      this.counters,
      this.sessions,
      this.replies,
      this.opens,
      this.orphans,
      this.trims,
      this.quotas,
      this.quotaHolds,
      this.locks,
    ] as unknown as Table<never>[];
  }
}
