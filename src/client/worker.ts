import { join } from 'node:path';
import { systemClock } from '../common/clock.js';
import { CloseStack } from '../common/close-stack.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { MountConfig } from '../config/mount-config.js';
import type { DataStatus } from '../data/data-status.js';
import { openFileData, type OpenedFileData } from '../data/open-file-data.js';
import { SessionDir } from '../data/recovery/session-dir.js';
import { createDevice } from '../fuse/device/create-device.js';
import { loadNativeAddon } from '../fuse/device/native-addon.js';
import { DEFAULT_INIT_CONFIG } from '../fuse/session/negotiate.js';
import { isDying } from '../fuse/session/is-dying.js';
import { closeSession } from '../meta/session-registration.js';
import { DirLock } from '../journal/dir-lock.js';
import type { Metadata } from '../meta/metadata.js';
import type { Observability } from '../observability/observability.js';
import { Callers } from '../vfs/caller.js';
import type { AccessTimesOptions } from '../vfs/access-times.js';
import { CurveFileSystem } from '../vfs/curve-file-system.js';
import { readProcStatus } from '../vfs/proc-status.js';
import { isOfdCall } from '../vfs/proc-syscall.js';
import type { FileSystem } from '../vfs/file-system.js';
import { FuseBridge } from './fuse-bridge.js';
import { FuseNativeDriver, refuseUnsupported } from './fuse-native-driver.js';
import type { KernelConnection } from './kernel-connection.js';
import { KernelAttrCache } from './kernel-attr-cache.js';
import { KernelDriver } from './kernel-driver.js';
import { FUSE_FD } from './messages.js';
import { findFilesystem, openMetadata, resolveRoot } from './open-metadata.js';
import { probeStorage } from './probe-storage.js';

/** Block cache of a mount whose objects are on S3; on a directory they are as near as the cache. */
const REMOTE_CACHE_SIZE_BYTES = 10 * 1024 ** 3;

/** Uploads at once: a bucket has latency to hide, a disk is kept busy by few. */
const UPLOADS = { s3: 8, file: 4 } as const;

/** The process ends afterwards, and what is acknowledged is in the journal's files whether they are closed or not. Less than the supervisor waits. */
const CLOSE_MAX_MS = 10_000;

/** How a mount ended: what the kernel connection said, and what is left in the journal, in words. */
export interface WorkerEnd {
  readonly reason: string;
  readonly error: string | undefined;
}

/**
 * The composition root of the process that serves a mount: metadata session, data path, VFS, bridge, kernel session, in this order; {@link close}
 * reverses it. Everything that can fail for outside reasons happens in {@link prepare}, before the mount is visible.
 */
export class Worker {
  // Dependencies
  readonly #config: MountConfig;
  readonly #observability: Observability;
  readonly #logger: Logger;
  // Mutable state
  readonly #closing: CloseStack;
  #opened: OpenedFileData | undefined;
  #connection: KernelConnection | undefined;
  #state = 'preparing';
  /** How long the end may still wait for uploads, when whoever unmounts has said so. */
  #lastDrainMs: number | undefined;

  constructor(deps: { readonly observability: Observability }, config: MountConfig) {
    this.#config = config;
    this.#observability = deps.observability;
    this.#logger = deps.observability.logger;
    this.#closing = new CloseStack({ clock: systemClock, logger: this.#logger, totalMs: CLOSE_MAX_MS });
  }

  /** Opens everything but the kernel connection. On failure what was opened is closed again. */
  async prepare(signal: AbortSignal): Promise<void> {
    try {
      await this.#open(signal);
      this.#state = 'prepared';
    } catch (error) {
      await this.#closing.close().catch((cause: unknown) => this.#logger.warn('closing after a failure', { cause }));
      throw error;
    }
  }

  /** Serves the kernel connection; resolves when the kernel has been answered its first question. */
  async serve(): Promise<void> {
    await this.#connection!.start();
    this.#state = 'serving';
  }

  /** Uploads what the journal holds, while going on serving. Returns what could not be uploaded, in words. */
  async drain(timeoutMs: number): Promise<string | undefined> {
    const data = this.#opened?.data;
    if (data === undefined) return undefined;
    try {
      await data.drain(AbortSignal.timeout(timeoutMs));
      return undefined;
    } catch (error) {
      const left = data.dirtyBytes;
      if (left === 0) return undefined;
      const where = `${left} bytes are not uploaded and stay in the journal in ${this.#config.cacheDir}`;
      return `${where}: the next mount with this cache_dir uploads them (${errorMessage(error)})`;
    }
  }

  /** Whoever unmounts has waited for uploads already: the end waits for so long only; undefined = as the mount was told. */
  limitLastDrain(timeoutMs: number | undefined): void {
    this.#lastDrainMs = timeoutMs;
  }

  /** Undefined before there is any data path. */
  async status(): Promise<DataStatus | undefined> {
    return this.#opened?.status();
  }

  /** Resolves when the kernel has let go and what was left is uploaded or given up; then everything is closed. */
  async ended(): Promise<WorkerEnd> {
    const reason = await this.#connection!.ended;
    this.#state = 'ending';
    const error = await this.drain(this.#lastDrainMs ?? this.#config.drainTimeoutMs);
    if (error !== undefined) this.#logger.error('not everything is uploaded', { error });
    await this.close();
    return { reason, error };
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    await this.#closing.close().catch((error: unknown) => this.#logger.warn('closing', { error }));
  }

  async #open(signal: AbortSignal): Promise<void> {
    const config = this.#config;
    const { logger, metrics } = this.#observability;
    const closing = this.#closing;
    const clock = systemClock;
    if (config.driver === 'fuse-native') refuseUnsupported(config);
    await this.#observability.serve(config.metrics, () => ({ ok: this.#state === 'serving', detail: this.#state }));
    closing.use(await DirLock.acquire(config.cacheDir), 'lock');

    const deps = { clock, logger, metrics, closing };
    const found = await findFilesystem(config, deps, signal);
    const probing = { credentialsFile: config.credentials, readOnly: config.readOnly };
    const [{ meta, session }] = await Promise.all([
      openMetadata(config, found, deps, signal),
      probeStorage(found.fs.storage, probing, logger, signal),
    ]);
    const rootIno = await resolveRoot(meta, config, signal);
    this.#opened = await this.#openData(meta);
    const { data } = this.#opened;
    const driverCache = new KernelAttrCache();

    const squash = { who: config.squash, uid: config.squashUid, gid: config.squashGid };
    // libfuse 2 has no caller to check: what cannot be known about the mounting user counts against it there.
    const kernelChecks = config.driver === 'kernel';
    const callers = new Callers({ read: readProcStatus, clock }, { squash, kernelChecks });
    const fs = new CurveFileSystem(
      { meta, data, callers, clock, driverCache, isOfdCall },
      {
        readOnly: config.readOnly,
        rootIno,
        xattrs: !config.noXattr && kernelChecks,
        acl: config.acl,
        writeback: config.writeback,
        atime: atimeOptions(config),
      },
    );
    closing.use(fs, 'access times');
    metrics.gauge({ name: 'vfs_access_times', help: 'Access times not sent to the server yet' }, () => fs.accessTimes);
    metrics.gauge({ name: 'vfs_open_files', help: 'Open file handles' }, () => fs.openFiles);
    metrics.gauge(
      { name: 'vfs_locked_inodes', help: 'Inodes locked by this mount, or about to be' },
      () => fs.lockedInodes,
    );
    this.#connection = closing.use(await this.#connect(fs, driverCache));
    session.once('ended', (error) => {
      if (this.#state === 'closed') return;
      logger.error('the metadata session has ended: operations fail until the filesystem is mounted anew', { error });
    });
  }

  async #openData(metadata: Metadata): Promise<OpenedFileData> {
    const config = this.#config;
    const { logger, metrics } = this.#observability;
    const { kind } = metadata.fs.storage;
    const uploads = config.uploads ?? UPLOADS[kind];
    await this.#endEarlierSessions(metadata);
    const addon = loadNativeAddon();
    const opened = await openFileData(
      { metadata, clock: systemClock, logger, metrics, readCached: addon.ok ? addon.addon.readCached : undefined },
      {
        cacheDir: config.cacheDir,
        journalSizeBytes: config.journalSizeBytes,
        // The journal and the block cache are under the lock of the whole cache directory.
        lock: false,
        storeOptions: { credentialsFile: config.credentials, concurrency: uploads + config.downloads },
        workers: config.ioThreads,
        writeback: config.writeback,
        memoryCacheBytes: config.bufferSizeBytes,
        readAheadBytes: config.readAheadBytes,
        cacheSizeBytes: config.cacheSizeBytes ?? (kind === 'file' ? 0 : REMOTE_CACHE_SIZE_BYTES),
        flushIntervalMs: config.uploadDelayMs,
        uploadsMax: uploads,
        compaction: !config.readOnly,
        adopt: !config.readOnly,
      },
    );
    this.#closing.use(opened, 'data');
    for (const report of opened.adopted) logger.info('took over the journal of an ended mount', { ...report });
    return opened;
  }

  /**
   * The lock on the cache directory says that whoever left a journal in it is dead, which the server would believe only after a time-out; until then
   * the journal could not be adopted.
   */
  async #endEarlierSessions({ fs }: Metadata): Promise<void> {
    for (const { session } of await SessionDir.list(join(this.#config.cacheDir, fs.uuid))) {
      try {
        await closeSession(fs.metaserver, fs.id, session);
      } catch (error) {
        this.#logger.info('an earlier session was not ended here', { session, error: errorMessage(error) });
      }
    }
  }

  async #connect(fs: FileSystem, driverCache: KernelAttrCache): Promise<KernelConnection> {
    const config = this.#config;
    const { logger, metrics } = this.#observability;
    const clock = systemClock;
    if (config.driver === 'fuse-native') return FuseNativeDriver.create({ fs, logger, clock }, config);
    const operations = new FuseBridge(
      { fs },
      {
        entryTtlMs: config.entryTimeoutMs,
        attrTtlMs: config.attrTimeoutMs,
        negativeTtlMs: config.negativeTimeoutMs,
      },
    );
    const init = {
      ...DEFAULT_INIT_CONFIG,
      maxBackground: config.maxBackground,
      posixAcl: config.acl,
      posixLocks: config.localLock === 'none' || config.localLock === 'flock',
      flockLocks: config.localLock === 'none' || config.localLock === 'posix',
      // A file handle of the whole filesystem must not lead out of a mounted sub-directory.
      exportSupport: config.source.subdir.length === 0,
    };
    const kind = config.fuseDevice === 'auto' ? undefined : config.fuseDevice;
    const device = createDevice({ logger }, { fd: FUSE_FD, kind, maxWriteBytes: init.maxWriteBytes });
    driverCache.bind(device);
    return new KernelDriver({ device, operations, logger, metrics, clock, isDying }, { init });
  }
}

/** The mount's flags on access times, the last word of which is mount(8)'s. */
function atimeOptions({ kernelFlags }: MountConfig): AccessTimesOptions {
  const policy = (['noatime', 'strictatime'] as const).find((flag) => kernelFlags.includes(flag)) ?? 'relatime';
  return { policy, directories: !kernelFlags.includes('nodiratime') };
}
