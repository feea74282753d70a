import { join } from 'node:path';
import type { Clock } from '../common/clock.js';
import type { CloseStack } from '../common/close-stack.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import type { MountConfig } from '../config/mount-config.js';
import { BlockCache } from '../data/block-cache/block-cache.js';
import { MountData } from '../data/mount-data.js';
import { DEFAULT_DATA_OPTIONS } from '../data/mount-data-options.js';
import { WorkerTransfer } from '../data/transfer/worker-transfer.js';
import { SegmentJournal } from '../journal/segment-journal.js';
import type { Metadata } from '../meta/metadata.js';

export interface OpenFileDataDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** What is opened here is closed there. */
  readonly closing: CloseStack;
}

/** Kept in the journal for the records that make room in it. */
const RESERVED_BYTES = 4 << 20;
const SEGMENT_BYTES = 64 << 20;

/** The data path of a mount: journal and block cache below the cache directory, transfers in threads. */
export async function openFileData(config: MountConfig, meta: Metadata, deps: OpenFileDataDeps): Promise<MountData> {
  const { logger, metrics, closing } = deps;
  const root = join(config.cacheDir, meta.fs.uuid);
  const blockCache =
    config.cacheSizeBytes === 0
      ? undefined
      : closing.use(
          new BlockCache(
            { logger: logger.child('cache'), metrics },
            {
              dir: join(root, 'blocks'),
              sizeBytes: config.cacheSizeBytes,
              filesMax: DEFAULT_DATA_OPTIONS.cacheFilesMax,
            },
          ),
        );
  blockCache?.start();
  const transfer = closing.use(
    new WorkerTransfer(
      { logger: logger.child('transfer'), metrics, cacheWritten: (path, bytes) => blockCache?.written(path, bytes) },
      {
        storage: meta.fs.storage,
        storeOptions: { credentialsFile: config.credentials },
        workers: config.ioThreads,
        concurrency: config.uploads + config.downloads,
      },
    ),
  );
  const journal = closing.use(
    await SegmentJournal.open(
      { logger: logger.child('journal'), metrics },
      {
        dir: join(root, `session-${meta.sessionId}`),
        name: 'mount',
        capacityBytes: config.journalSizeBytes,
        segmentBytes: Math.min(SEGMENT_BYTES, config.journalSizeBytes / 4),
        reservedBytes: RESERVED_BYTES,
      },
    ),
  );
  const data = closing.use(
    new MountData(
      { metadata: meta, journal, transfer, blockCache, clock: deps.clock, logger: logger.child('data'), metrics },
      {
        ...DEFAULT_DATA_OPTIONS,
        writeback: config.writeback,
        memoryCacheBytes: config.bufferSizeBytes / 2,
        readAheadBytes: config.readAheadBytes,
        cacheSizeBytes: config.cacheSizeBytes,
        flushIntervalMs: config.uploadDelayMs,
        uploadsMax: config.uploads,
        compaction: !config.readOnly,
      },
    ),
  );
  data.start();
  return data;
}
