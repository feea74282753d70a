import { randomInt, randomUUID } from 'node:crypto';
import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import { errorMessage } from '../common/fs-error.js';
import { KeyedMutex } from '../common/keyed-mutex.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import { FS_NAME } from '../config/fs-name.js';
import type { GetUsageReply } from '../gen/curvefs/v1/metaserver.js';
import type { KvEngine } from '../kv/kv-engine.js';
import type { FsInfo, StorageSpec } from '../model/filesystem.js';
import type { ChunkId, FsId, SessionId } from '../model/ids.js';
import { RpcError } from '../wire/rpc-error.js';
import type { FsEntry, MetaserverEntry, RootSpec } from './fs-entry.js';
import type { MetaserverStubs } from './metaserver-stubs.js';
import { RegistryStore, type Allocators } from './registry-store.js';

export interface MdsDeps {
  readonly engine: KvEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly metaservers: MetaserverStubs;
}

export interface MdsOptions {
  /** A metaserver that has not registered again for so long counts as dead. */
  readonly metaserverTtlMs: number;
}

/** A request for a new filesystem, checked. */
export interface NewFs {
  readonly requestId: string;
  readonly name: string;
  readonly storage: StorageSpec;
  readonly blockSizeBytes: number;
  readonly capacityBytes: number;
  readonly inodesMax: number;
  readonly root: RootSpec;
}

export interface MetaserverStatus extends MetaserverEntry {
  readonly alive: boolean;
  readonly filesystems: number;
  readonly warnings: readonly string[];
}

const BLOCK_SIZE_DEFAULT = 4 << 20;
const BLOCK_SIZE_MIN = 64 << 10;
const BLOCK_SIZE_MAX = 16 << 20;
const CHUNK_FORMAT = 1;
const CHUNK_IDS_MAX = 1_000_000;
/** How long a request for a filesystem waits for a metaserver: one that has just started registers in a moment. */
const METASERVER_WAIT_MS = 5000;
const METASERVER_POLL_MS = 50;
/** Ids that are tried when the store has objects of other filesystems. */
const ID_ATTEMPTS = 8;
const ID_JUMP = 1 << 16;
const RESUME_BACKOFF = { firstMs: 500, maxMs: 30_000 };

/**
 * The registry of filesystems and metaservers, and the allocator of chunk ids. It is small: it is held in memory, and every change is durable before it is answered.
 * What a crash interrupts is finished at the next start (states of {@link FsEntry}). Changes of one filesystem name take turns.
 */
export class Mds implements Closable {
  readonly #deps: MdsDeps;
  readonly #opts: MdsOptions;
  readonly #store: RegistryStore;
  readonly #names = new KeyedMutex<string>();
  readonly #filesystems = new Map<FsId, FsEntry>();
  readonly #metaservers = new Map<string, MetaserverEntry>();
  /** Monotonic time of each metaserver's last registration since our start, and what it warned of. */
  readonly #seen = new Map<string, { readonly atMs: number; readonly warnings: readonly string[] }>();
  readonly #stop = new AbortController();
  readonly #resuming: Promise<void>[] = [];
  /** INVARIANT: at least what is stored; ids below were handed out, or are gaps. */
  #allocators: Allocators = { nextFsId: 1 as FsId, nextChunkId: 1 as ChunkId };

  private constructor(deps: MdsDeps, opts: MdsOptions) {
    this.#deps = deps;
    this.#opts = opts;
    this.#store = new RegistryStore(deps.engine);
  }

  static async open(deps: MdsDeps, opts: MdsOptions): Promise<Mds> {
    const mds = new Mds(deps, opts);
    const stored = await mds.#store.load();
    for (const entry of stored.filesystems) mds.#filesystems.set(entry.info.id, entry);
    for (const entry of stored.metaservers) mds.#metaservers.set(entry.id, entry);
    mds.#allocators = stored.allocators;
    for (const entry of stored.filesystems) if (entry.state !== 'ready') mds.#resuming.push(mds.#resume(entry));
    deps.metrics.gauge({ name: 'mds_filesystems', help: 'Filesystems registered.' }, () => mds.#filesystems.size);
    deps.metrics.gauge(
      { name: 'mds_requests_waiting', help: 'Requests that wait for another one about the same filesystem.' },
      () => mds.#names.waiting,
    );
    deps.metrics.gauge({ name: 'mds_metaservers_alive', help: 'Metaservers alive.' }, () => mds.#alive().length);
    return mds;
  }

  // ---- metaservers ----

  /** A metaserver says that it is there; how long that holds. */
  async register(id: string, address: string, warnings: readonly string[]): Promise<number> {
    if (id === '' || address === '') throw new RpcError('invalid', 'id and address must be set');
    if (this.#metaservers.get(id)?.address !== address) {
      const entry = { id, address };
      await this.#store.putMetaserver(entry);
      this.#metaservers.set(id, entry);
      this.#deps.logger.info('metaserver registered', { id, address });
    }
    this.#seen.set(id, { atMs: this.#deps.clock.monotonicMs(), warnings });
    return this.#opts.metaserverTtlMs;
  }

  metaservers(): MetaserverStatus[] {
    return [...this.#metaservers.values()].map((entry) => ({
      ...entry,
      alive: this.#isAlive(entry.id),
      filesystems: this.#countOn(entry.id),
      warnings: this.#seen.get(entry.id)?.warnings ?? [],
    }));
  }

  warnings(): string[] {
    return this.metaservers()
      .filter(({ alive, filesystems }) => !alive && filesystems > 0)
      .map(
        ({ address, filesystems }) => `the metaserver at ${address} with ${filesystems} filesystems does not answer`,
      );
  }

  // ---- filesystems ----

  list(): FsInfo[] {
    return [...this.#filesystems.values()]
      .filter(({ state }) => state !== 'creating')
      .map((entry) => this.#info(entry));
  }

  get(name: string): FsInfo {
    return this.#info(this.#mustFind(name));
  }

  /** Usage and sessions from the filesystem's metaserver; undefined when it does not answer in time. */
  async usage(name: string): Promise<GetUsageReply | undefined> {
    const { id, metaserver } = this.get(name);
    try {
      return await this.#deps.metaservers.getUsage(metaserver, id);
    } catch (error) {
      this.#deps.logger.debug('no usage', { fs: id, error: errorMessage(error) });
      return undefined;
    }
  }

  create(request: NewFs): Promise<FsInfo> {
    checkNewFs(request);
    return this.#names.run(request.name, () => this.#create(request));
  }

  delete(name: string): Promise<void> {
    return this.#names.run(name, async () => {
      const entry = this.#mustFind(name);
      const deleting: FsEntry = { ...entry, state: 'deleting' };
      await this.#put(deleting);
      try {
        await this.#remove(deleting);
      } catch (error) {
        // as it was: nothing was removed, or it will be found removed by the next attempt
        await this.#put({ ...entry, state: 'ready' });
        throw error;
      }
    });
  }

  // ---- chunk ids ----

  /** A range of chunk ids for a session: durable before it is handed out, never handed out again. */
  async allocateChunkIds(fsId: FsId, session: SessionId, count: number): Promise<ChunkId> {
    if (count < 1 || count > CHUNK_IDS_MAX) throw new RpcError('invalid', `count: 1 to ${CHUNK_IDS_MAX}`);
    if (this.#filesystems.get(fsId)?.state !== 'ready')
      throw new RpcError('not-found', `there is no filesystem ${fsId}`);
    const first = this.#allocators.nextChunkId;
    if (first + count > Number.MAX_SAFE_INTEGER) throw new RpcError('refused', 'chunk ids are used up');
    // commits take effect in the order of the calls, and a failed one only leaves a gap
    this.#allocators = { ...this.#allocators, nextChunkId: (first + count) as ChunkId };
    await this.#store.putRange(fsId, session, first, count, this.#allocators);
    return first;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#resuming);
    await this.#deps.metaservers.close();
  }

  async #create(request: NewFs): Promise<FsInfo> {
    const existing = this.#find(request.name);
    if (existing !== undefined) {
      if (existing.requestId === request.requestId && existing.state === 'ready') return this.#info(existing);
      throw new RpcError('exists', `filesystem ${request.name} exists`);
    }
    const metaserver = await this.#place();
    try {
      await this.#deps.metaservers.probeStorage(metaserver.address, request.storage);
    } catch (error) {
      const reason = errorMessage(error);
      throw new RpcError('refused', `the metaserver at ${metaserver.address} cannot use the storage: ${reason}`, {
        cause: error,
      });
    }
    for (let attempt = 1; ; attempt++) {
      const entry = await this.#newEntry(request, metaserver, attempt);
      try {
        await this.#deps.metaservers.createSlot(metaserver.address, entry.info, request.root);
      } catch (error) {
        this.#abandon(entry);
        if (error instanceof RpcError && error.code === 'exists' && attempt < ID_ATTEMPTS) continue;
        throw error;
      }
      const ready: FsEntry = { ...entry, state: 'ready' };
      await this.#put(ready);
      this.#deps.logger.info('filesystem created', { fs: entry.info.id, name: request.name, on: metaserver.address });
      return this.#info(ready);
    }
  }

  /** Registers a filesystem as being created, under an id that was never used here. */
  async #newEntry(request: NewFs, metaserver: MetaserverEntry, attempt: number): Promise<FsEntry> {
    // another installation that shares the store may have used the ids that come next
    const jump = attempt === 1 ? 0 : randomInt(ID_JUMP);
    const id = (this.#allocators.nextFsId + jump) as FsId;
    const { name, storage, capacityBytes, inodesMax } = request;
    const info: FsInfo = {
      id,
      uuid: randomUUID(),
      name,
      storage,
      blockSizeBytes: request.blockSizeBytes === 0 ? BLOCK_SIZE_DEFAULT : request.blockSizeBytes,
      capacityBytes,
      inodesMax,
      chunkFormat: CHUNK_FORMAT,
      metaserver: metaserver.address,
      createdMs: Number(this.#deps.clock.nowNs() / 1_000_000n),
    };
    const entry: FsEntry = { info, state: 'creating', requestId: request.requestId, metaserverId: metaserver.id };
    this.#allocators = { ...this.#allocators, nextFsId: (id + 1) as FsId };
    await this.#store.addFs(entry, this.#allocators);
    this.#filesystems.set(id, entry);
    return entry;
  }

  /** A creation failed: whatever of it is there is removed, in the background. */
  #abandon(entry: FsEntry): void {
    const deleting: FsEntry = { ...entry, state: 'deleting', requestId: '', info: { ...entry.info, name: '' } };
    this.#filesystems.set(entry.info.id, deleting);
    this.#resuming.push(this.#resume(deleting));
  }

  /** Finishes what was interrupted: removes what was being created or deleted. */
  async #resume(entry: FsEntry): Promise<void> {
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#remove(entry);
        return;
      } catch (error) {
        if (await this.#keepMounted(entry, error)) return;
        this.#deps.logger.debug('not removed yet', { fs: entry.info.id, error: errorMessage(error) });
        await this.#deps.clock.sleep(backoffMs(attempt, RESUME_BACKOFF), signal).catch(() => undefined);
      }
    }
  }

  /** A filesystem that is mounted is ready again; false when it is not, or that could not be stored: then removing it is tried again. */
  async #keepMounted(entry: FsEntry, why: unknown): Promise<boolean> {
    if (!(why instanceof RpcError) || why.code !== 'refused' || entry.state !== 'deleting') return false;
    const { name } = entry.info;
    this.#deps.logger.warn('a filesystem is still mounted and not deleted', { name });
    try {
      await this.#put({ ...entry, state: 'ready' });
      return true;
    } catch (error) {
      this.#deps.logger.warn('it cannot be stored that a filesystem is kept', { name, error: errorMessage(error) });
      return false;
    }
  }

  async #remove(entry: FsEntry): Promise<void> {
    await this.#deps.metaservers.deleteSlot(this.#addressOf(entry), entry.info.id);
    await this.#store.deleteFs(entry.info.id);
    this.#filesystems.delete(entry.info.id);
    this.#deps.logger.info('filesystem deleted', { fs: entry.info.id, name: entry.info.name });
  }

  async #put(entry: FsEntry): Promise<void> {
    await this.#store.putFs(entry);
    this.#filesystems.set(entry.info.id, entry);
  }

  #find(name: string): FsEntry | undefined {
    for (const entry of this.#filesystems.values()) if (entry.info.name === name) return entry;
    return undefined;
  }

  #mustFind(name: string): FsEntry {
    const entry = this.#find(name);
    if (entry === undefined || entry.state === 'creating')
      throw new RpcError('not-found', `there is no filesystem ${name}`);
    return entry;
  }

  /** What others see: with the address at which its metaserver is now. */
  #info(entry: FsEntry): FsInfo {
    return { ...entry.info, metaserver: this.#addressOf(entry) };
  }

  #addressOf(entry: FsEntry): string {
    return this.#metaservers.get(entry.metaserverId)?.address ?? entry.info.metaserver;
  }

  /** The metaserver that is alive and has the fewest filesystems. */
  async #place(): Promise<MetaserverEntry> {
    const { clock } = this.#deps;
    const deadline = clock.monotonicMs() + METASERVER_WAIT_MS;
    for (;;) {
      const alive = this.#alive();
      alive.sort((a, b) => this.#countOn(a.id) - this.#countOn(b.id));
      if (alive[0] !== undefined) return alive[0];
      if (clock.monotonicMs() >= deadline || this.#stop.signal.aborted) {
        throw new RpcError('refused', 'no metaserver is alive: start one with --mds and this address');
      }
      await clock.sleep(METASERVER_POLL_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  #alive(): MetaserverEntry[] {
    return [...this.#metaservers.values()].filter(({ id }) => this.#isAlive(id));
  }

  #isAlive(id: string): boolean {
    const seen = this.#seen.get(id);
    return seen !== undefined && this.#deps.clock.monotonicMs() - seen.atMs <= this.#opts.metaserverTtlMs;
  }

  #countOn(id: string): number {
    let count = 0;
    for (const { metaserverId } of this.#filesystems.values()) if (metaserverId === id) count++;
    return count;
  }
}

/** Every field, by name, before anything is changed. */
function checkNewFs(request: NewFs): void {
  const { name, requestId, blockSizeBytes, root } = request;
  if (!FS_NAME.test(name)) {
    throw new RpcError(
      'invalid',
      `name: "${name}": 1 to 63 letters, digits, ".", "_" or "-", the first a letter or digit`,
    );
  }
  if (requestId === '') throw new RpcError('invalid', 'request_id: must be set');
  const powerOfTwo = (blockSizeBytes & (blockSizeBytes - 1)) === 0;
  if (blockSizeBytes !== 0 && (!powerOfTwo || blockSizeBytes < BLOCK_SIZE_MIN || blockSizeBytes > BLOCK_SIZE_MAX)) {
    throw new RpcError('invalid', `block_size_bytes: ${blockSizeBytes} is not a power of two from 64 KiB to 16 MiB`);
  }
  if ((root.mode & ~0o7777) !== 0)
    throw new RpcError('invalid', `root_mode: ${root.mode.toString(8)} has more than permissions`);
}
