import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../common/clock.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import { nodeJournalFs, type JournalFs } from '../journal/journal-fs.js';
import { SegmentJournal } from '../journal/segment-journal.js';
import type { Metadata } from '../meta/metadata.js';
import type { ReadCached } from '../object/file-store.js';
import type { OpenObjectStoreOptions } from '../object/open-object-store.js';
import { BlockCache } from './block-cache/block-cache.js';
import { JOURNALS_LISTED_MAX, type DataStatus } from './data-status.js';
import { MountData } from './mount-data.js';
import {
  DATA_LIMITS,
  type MountDataLimits,
  type MountDataOptions,
  type MountDataSettings,
} from './mount-data-options.js';
import { JournalAdopter, type AdoptionReport } from './recovery/journal-adopter.js';
import { SessionDir } from './recovery/session-dir.js';
import type { CacheWritten, ChunkTransfer } from './transfer/chunk-transfer.js';
import { WorkerTransfer } from './transfer/worker-transfer.js';

export interface OpenFileDataDeps {
  readonly metadata: Metadata;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** Instead of worker threads, which run from dist/ only: tests. */
  readonly transfer?: (cacheWritten: CacheWritten) => ChunkTransfer;
  /** preadv2(2) with RWF_NOWAIT, by the native addon: objects in a directory are read from the page cache at once. */
  readonly readCached?: ReadCached | undefined;
  /** Of the journal; instead of the real one: tests. */
  readonly journalFs?: JournalFs | undefined;
}

export interface OpenFileDataOptions extends MountDataSettings, Partial<MountDataLimits> {
  /** `cache_dir`: journals lie in `<fs uuid>/<session id>/`, the block cache in `<fs uuid>/blocks/`. */
  readonly cacheDir: string;
  /** Most bytes of the journal; never more than a quarter of what is free on its disk. */
  readonly journalSizeBytes: number;
  readonly segmentBytes?: number | undefined;
  readonly storeOptions?: OpenObjectStoreOptions | undefined;
  /** Transfer threads. */
  readonly workers?: number | undefined;
  /** False when somebody above holds the lock of the journal's directory (the supervisor). */
  readonly lock?: boolean | undefined;
  /** False: what ended sessions left stays where it is. A read-only mount could not commit it. Default true. */
  readonly adopt?: boolean | undefined;
  /** How long an ended session may still be alive at the server. */
  readonly sessionEndMs?: number | undefined;
}

/** An open data path. `close` leaves what is not committed in the journal, for the next mount; drain first to leave nothing. */
export interface OpenedFileData {
  readonly data: MountData;
  /** What was taken over from ended sessions. */
  readonly adopted: readonly AdoptionReport[];
  readonly status: () => Promise<DataStatus>;
  readonly close: () => Promise<void>;
}

const SEGMENT_MAX_BYTES = 64 << 20;
/** A record of the longest write fits twice. */
const SEGMENT_MIN_BYTES = 4 << 20;
const CACHED_RANDOM_FETCH_BYTES = 256 << 10;
const INLINE_FRAMES_MAX = 4;
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** Opens journal, transfer threads, block cache and data path, and adopts what ended sessions of the same filesystem left. */
export async function openFileData(deps: OpenFileDataDeps, opts: OpenFileDataOptions): Promise<OpenedFileData> {
  const { metadata, clock, metrics, journalFs = nodeJournalFs } = deps;
  const logger = deps.logger.child('data');
  const base = path.join(opts.cacheDir, metadata.fs.uuid);
  const dir = new SessionDir(base, metadata.sessionId);
  const bootId = await readBootId();
  await fs.promises.mkdir(dir.path, { recursive: true, mode: 0o700 });
  const size = journalSize(opts, dir.path);
  const journal = await SegmentJournal.open(
    { logger: logger.child('journal'), metrics, fs: journalFs },
    {
      dir: dir.path,
      name: 'data',
      capacityBytes: size.capacityBytes,
      segmentBytes: size.segmentBytes,
      reservedBytes: size.segmentBytes,
      ...(opts.lock === undefined ? {} : { lock: opts.lock }),
    },
  );
  const settings = settingsOf(opts);
  let data: MountData | undefined;
  let transfer: ChunkTransfer | undefined;
  let blockCache: BlockCache | undefined;
  const close = async (): Promise<void> => {
    await data?.close();
    await transfer?.close();
    await blockCache?.close();
    const nothingLeft = journal.usedBytes === 0;
    try {
      await journal.close();
    } catch (error) {
      // That its disk failed matters only to what is in it.
      if (!nothingLeft) throw error;
      logger.warn('an empty journal was not closed cleanly', { error: errorMessage(error) });
    }
    if (nothingLeft) await dir.remove();
    else await dir.markClosed();
  };
  try {
    await dir.begin(bootId, settings.writeback);
    if (settings.cacheSizeBytes > 0) {
      blockCache = new BlockCache(
        { logger: logger.child('block-cache'), metrics },
        { dir: path.join(base, 'blocks'), sizeBytes: settings.cacheSizeBytes, filesMax: settings.cacheFilesMax },
      );
      blockCache.start();
    }
    const cacheWritten: CacheWritten = (file, bytes) => blockCache?.written(file, bytes);
    transfer = deps.transfer?.(cacheWritten) ?? startThreads(deps, opts, settings, cacheWritten, logger);
    data = new MountData({ metadata, journal, transfer, blockCache, clock, logger, metrics }, settings);
    data.start();
    const adopter = new JournalAdopter(
      { metadata, adopter: data, fs: journalFs, clock, logger: logger.child('recovery'), bootId },
      { capacityBytes: size.capacityBytes - size.segmentBytes, sessionEndMs: opts.sessionEndMs ?? 60_000 },
    );
    const adopted = opts.adopt === false ? [] : await adoptAll(adopter, base, dir, logger);
    const open = data;
    const status = async (): Promise<DataStatus> => {
      const left = await SessionDir.leftBehind(base, metadata.sessionId);
      return { ...open.status(), leftJournals: { count: left.length, paths: left.slice(0, JOURNALS_LISTED_MAX) } };
    };
    return { data, adopted, status, close };
  } catch (error) {
    await close().catch((second: unknown) => logger.warn('close after a failed open', { error: errorMessage(second) }));
    throw error;
  }
}

/** Each journal is adopted or left for a later mount: one that cannot be does not keep the filesystem from being mounted. */
async function adoptAll(
  adopter: JournalAdopter,
  base: string,
  own: SessionDir,
  logger: Logger,
): Promise<AdoptionReport[]> {
  const reports: AdoptionReport[] = [];
  for (const dir of await SessionDir.list(base)) {
    if (dir.session === own.session) continue;
    try {
      const report = await adopter.adopt(dir);
      if (report !== undefined) reports.push(report);
    } catch (error) {
      logger.error('a journal was not adopted, it stays where it is', { path: dir.path, error: errorMessage(error) });
    }
  }
  return reports;
}

function settingsOf(opts: OpenFileDataOptions): MountDataOptions {
  // A block cache is filled by what is fetched: larger pieces make fewer files.
  const randomFetchBytes = opts.cacheSizeBytes > 0 ? CACHED_RANDOM_FETCH_BYTES : DATA_LIMITS.randomFetchBytes;
  return {
    writeback: opts.writeback,
    memoryCacheBytes: opts.memoryCacheBytes,
    readAheadBytes: opts.readAheadBytes,
    cacheSizeBytes: opts.cacheSizeBytes,
    flushIntervalMs: opts.flushIntervalMs,
    uploadsMax: opts.uploadsMax,
    compaction: opts.compaction,
    randomFetchBytes: opts.randomFetchBytes ?? randomFetchBytes,
    cacheFilesMax: opts.cacheFilesMax ?? DATA_LIMITS.cacheFilesMax,
    dirtyExtentsMax: opts.dirtyExtentsMax ?? DATA_LIMITS.dirtyExtentsMax,
    scatteredBytes: opts.scatteredBytes ?? DATA_LIMITS.scatteredBytes,
    reserveAheadBytes: opts.reserveAheadBytes ?? DATA_LIMITS.reserveAheadBytes,
    extentsMax: opts.extentsMax ?? DATA_LIMITS.extentsMax,
  };
}

function startThreads(
  { metadata, metrics, readCached }: OpenFileDataDeps,
  opts: OpenFileDataOptions,
  settings: MountDataOptions,
  cacheWritten: CacheWritten,
  logger: Logger,
): ChunkTransfer {
  return new WorkerTransfer(
    { logger: logger.child('transfer'), metrics, cacheWritten, readCached },
    {
      storage: metadata.fs.storage,
      storeOptions: opts.storeOptions ?? {},
      workers: opts.workers ?? 2,
      concurrency: settings.uploadsMax * 2,
      inlineFramesMax: INLINE_FRAMES_MAX,
    },
  );
}

function journalSize(
  opts: OpenFileDataOptions,
  dir: string,
): { readonly capacityBytes: number; readonly segmentBytes: number } {
  const { bavail, bsize } = fs.statfsSync(dir);
  const wanted = Math.min(opts.journalSizeBytes, Math.floor((bavail * bsize) / 4));
  // Small segments in a small journal, so that one old record does not hold much of it.
  const fitting = Math.min(SEGMENT_MAX_BYTES, 2 ** Math.floor(Math.log2(Math.max(1, wanted / 8))));
  const segmentBytes = opts.segmentBytes ?? Math.max(SEGMENT_MIN_BYTES, fitting);
  // One segment is kept for notes, one is being written, one is being emptied.
  return { segmentBytes, capacityBytes: Math.max(wanted, 4 * segmentBytes) };
}

/** Empty where the kernel does not tell: then no unclosed journal counts as whole. */
async function readBootId(): Promise<string> {
  try {
    return (await fs.promises.readFile(BOOT_ID_FILE, 'latin1')).trim();
  } catch {
    return '';
  }
}
