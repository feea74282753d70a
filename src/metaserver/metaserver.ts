import { randomBytes } from 'node:crypto';
import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import { errorMessage } from '../common/fs-error.js';
import { KeyedMutex } from '../common/keyed-mutex.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import { SessionEnd_Reason } from '../gen/curvefs/v1/metaserver.js';
import { commitPatiently } from '../kv/commit-patiently.js';
import type { KvEngine } from '../kv/kv-engine.js';
import { objectPrefix } from '../model/chunk-key.js';
import type { FsInfo, StorageSpec } from '../model/filesystem.js';
import { ROOT_INO, type FsId, type SessionId } from '../model/ids.js';
import { S_IFDIR, timespecOfNs } from '../model/inode.js';
import { isObjectError } from '../object/object-error.js';
import type { ObjectStore } from '../object/object-store.js';
import { probeStore } from '../object/probe.js';
import { RpcError } from '../wire/rpc-error.js';
import { Deleter } from './gc/deleter.js';
import { Destroyer } from './gc/destroyer.js';
import { Trimmer } from './gc/trimmer.js';
import { filesystemKey, FILESYSTEMS, Keys } from './keys.js';
import { newInode } from './operations/create.js';
import { countersCodec } from './records/counters-record.js';
import { filesystemCodec, type FilesystemRecord } from './records/filesystem-record.js';
import { inodeCodec } from './records/inode-record.js';
import { RecordWriter } from './records/record-writer.js';
import { Slot } from './slot.js';
import type { CacheOptions } from './slot-tables.js';

export interface MetaserverDeps {
  readonly engine: KvEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** A filesystem's object store with the credentials of this process; nothing is contacted yet. */
  readonly openStore: (spec: StorageSpec) => ObjectStore;
}

export interface MetaserverOptions {
  readonly durable: boolean;
  readonly sessionTtlMs: number;
  readonly cache: CacheOptions;
  /** How often background work looks for something to do. */
  readonly backgroundIntervalMs: number;
  /** How long a file that is removed just after it was made can still be opened by who has looked it up. */
  readonly lingerMs: number;
}

/** What belongs to the owner of the root directory of a new filesystem. */
export interface RootSpec {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

interface Mounted {
  readonly slot: Slot;
  readonly trimmer: Trimmer;
  readonly deleter: Deleter;
  readonly store: ObjectStore;
}

const PROBE_DEADLINE_MS = 10_000;
const FORGET_INTERVAL_MS = 3_600_000;
const FILESYSTEMS_MAX = 100_000;

/**
 * All filesystems of this metaserver, over one engine: opens them at start, makes and removes them when the MDS asks, and drives what happens by time (expiry, background
 * work). The gRPC side is `metaserver-service.ts`.
 */
export class Metaserver implements Closable {
  readonly #deps: MetaserverDeps;
  readonly #opts: MetaserverOptions;
  readonly #mounted = new Map<FsId, Mounted>();
  readonly #destroyers = new Map<FsId, Destroyer>();
  /** Making and removing a filesystem take turns: a removal finds all of what an interrupted creation made. */
  readonly #changes = new KeyedMutex<FsId>();
  readonly #changing = new Set<Promise<void>>();
  #expiryTimer: NodeJS.Timeout | undefined;
  #forgetTimer: NodeJS.Timeout | undefined;
  readonly #stop = new AbortController();
  #closed: Promise<void> | undefined;

  private constructor(deps: MetaserverDeps, opts: MetaserverOptions) {
    this.#deps = deps;
    this.#opts = opts;
  }

  static async open(deps: MetaserverDeps, opts: MetaserverOptions): Promise<Metaserver> {
    const metaserver = new Metaserver(deps, opts);
    const rows = await deps.engine.range(
      Buffer.from(FILESYSTEMS.start, 'latin1'),
      Buffer.from(FILESYSTEMS.end, 'latin1'),
      { limit: FILESYSTEMS_MAX },
    );
    for (const { value } of rows) {
      const record = filesystemCodec.decode(value);
      if (record.deleting) metaserver.#destroy(record.info);
      else await metaserver.#mount(record);
    }
    metaserver.#expiryTimer = setInterval(
      () => metaserver.#expire(),
      Math.max(10, Math.min(1000, opts.sessionTtlMs / 4)),
    );
    metaserver.#forgetTimer = setInterval(() => metaserver.#forgetOldSessions(), FORGET_INTERVAL_MS);
    metaserver.#expiryTimer.unref();
    metaserver.#forgetTimer.unref();
    deps.metrics.gauge({ name: 'metaserver_filesystems', help: 'Filesystems served.' }, () => metaserver.#mounted.size);
    deps.metrics.gauge({ name: 'metaserver_sessions', help: 'Live sessions.' }, () =>
      [...metaserver.#mounted.values()].reduce((sum, { slot }) => sum + slot.sessions.size, 0),
    );
    deps.metrics.gauge({ name: 'metaserver_open_files', help: 'Registered opens.' }, () =>
      [...metaserver.#mounted.values()].reduce((sum, { slot }) => sum + slot.opens.size, 0),
    );
    deps.metrics.gauge(
      { name: 'metaserver_changes_waiting', help: 'Creations and deletions of filesystems that wait for another one.' },
      () => metaserver.#changes.waiting,
    );
    deps.metrics.gauge(
      { name: 'metaserver_orphans', help: 'Files without a name that are kept: open, or removed a moment ago.' },
      () => [...metaserver.#mounted.values()].reduce((sum, { slot }) => sum + slot.opens.orphans.size, 0),
    );
    deps.metrics.gauge({ name: 'metaserver_locks', help: 'Ranges of files that are locked.' }, () =>
      [...metaserver.#mounted.values()].reduce((sum, { slot }) => sum + slot.locks.held, 0),
    );
    deps.metrics.gauge({ name: 'metaserver_lock_waiters', help: 'Requests that wait for a lock.' }, () =>
      [...metaserver.#mounted.values()].reduce((sum, { slot }) => sum + slot.locks.waiting, 0),
    );
    deps.metrics.gauge({ name: 'metaserver_queued_operations', help: 'Operations that wait for their turn.' }, () =>
      [...metaserver.#mounted.values()].reduce((sum, { slot }) => sum + slot.executor.queued, 0),
    );
    return metaserver;
  }

  slotOf(fsId: FsId): Slot | undefined {
    return this.#mounted.get(fsId)?.slot;
  }

  mustSlot(fsId: FsId): Slot {
    const slot = this.slotOf(fsId);
    if (slot === undefined) throw new RpcError('not-found', `filesystem ${fsId} is not on this metaserver`);
    return slot;
  }

  /** Makes a filesystem with its root directory. Idempotent. */
  createSlot(info: FsInfo, root: RootSpec): Promise<void> {
    return this.#change(info.id, () => this.#createSlot(info, root));
  }

  async #createSlot(info: FsInfo, root: RootSpec): Promise<void> {
    const key = Buffer.from(filesystemKey(info.id), 'latin1');
    const stored = await this.#deps.engine.get(key);
    if (stored !== undefined) {
      const record = filesystemCodec.decode(stored);
      if (record.info.uuid === info.uuid && !record.deleting) return;
      throw new RpcError('exists', `filesystem id ${info.id} is in use by ${record.info.name}`);
    }
    await this.#claimPrefix(info);
    const record: FilesystemRecord = { info, hashKey: randomBytes(8), deleting: false };
    const keys = new Keys(info.id);
    const writer = new RecordWriter();
    const spec = { mode: S_IFDIR | root.mode, uid: root.uid, gid: root.gid, mayKeepSgid: true, exclusive: true };
    const rootInode = newInode(ROOT_INO, undefined, spec, timespecOfNs(this.#deps.clock.nowNs()));
    const row = (rowKey: string, encode: () => void) => {
      encode();
      return { key: Buffer.from(rowKey, 'latin1'), value: writer.finish() };
    };
    const counters = {
      usedBytes: 0,
      usedInodes: 1,
      reservedBytes: 0,
      deletesQueued: 0,
      nextInoSeq: ROOT_INO + 1,
      nextSession: 1 as SessionId,
    };
    await this.#deps.engine.commit({
      puts: [
        row(filesystemKey(info.id), () => filesystemCodec.encode(record, writer.begin())),
        row(keys.inode(ROOT_INO), () => inodeCodec.encode(rootInode, writer.begin())),
        row(keys.counters, () => countersCodec.encode(counters, writer.begin())),
      ],
      deletes: [],
      deleteRanges: [],
      guards: [{ kind: 'absent', key }],
    });
    await this.#mount(record);
    this.#deps.logger.info('filesystem created', { fs: info.id, name: info.name });
  }

  /**
   * Marks the filesystem's prefix in the store as its own. `exists` when something is there already: another installation that shares the store has a filesystem of this id, and neither
   * may ever write over, or delete, what is the other's.
   */
  async #claimPrefix(info: FsInfo): Promise<void> {
    const signal = AbortSignal.timeout(PROBE_DEADLINE_MS);
    const store = this.#deps.openStore(info.storage);
    try {
      const prefix = objectPrefix(info.id);
      const [found] = await store.list(prefix, '', 1, signal);
      const marker = `${prefix}filesystem`;
      if (found !== undefined) {
        const owner = found.key === marker ? Buffer.from(await store.get(marker, undefined, signal)).toString() : '';
        if (owner === info.uuid) return;
        throw new RpcError('exists', `the store holds objects of another filesystem under ${prefix}`);
      }
      await claimMarker(store, marker, Buffer.from(info.uuid), signal);
      // A store that does not know conditions may have let another installation claim it at the same moment.
      if (Buffer.from(await store.get(marker, undefined, signal)).toString() !== info.uuid)
        throw new RpcError('exists', `another installation claimed ${prefix} in the store at the same moment`);
    } finally {
      await store.close();
    }
  }

  /**
   * Removes a filesystem in the background; refused while it has live sessions. Idempotent: it succeeds when the removal is sure to happen, or has happened. A full database
   * takes the mark; when it cannot be stored the filesystem is served as before.
   */
  deleteSlot(fsId: FsId): Promise<void> {
    return this.#change(fsId, () => this.#deleteSlot(fsId));
  }

  async #deleteSlot(fsId: FsId): Promise<void> {
    const stored = await this.#deps.engine.get(Buffer.from(filesystemKey(fsId), 'latin1'));
    // from the check until nobody can open a session nothing may come between
    const mounted = this.#mounted.get(fsId);
    if (stored === undefined) {
      if (mounted === undefined) return;
      throw new RpcError('internal', `filesystem ${fsId} has no record`);
    }
    const record = filesystemCodec.decode(stored);
    if (record.deleting) return;
    const mounts = mounted?.slot.sessions.mounts() ?? [];
    if (mounts.length > 0) {
      const names = mounts.map(({ host, mountpoint }) => `${host}:${mountpoint}`).join(', ');
      throw new RpcError('refused', `the filesystem is mounted: ${names}`);
    }
    this.#mounted.delete(fsId);
    try {
      await this.#markDeleting(record);
    } catch (error) {
      if (mounted !== undefined) this.#mounted.set(fsId, mounted);
      throw error;
    }
    try {
      if (mounted !== undefined) await this.#unmount(mounted);
    } finally {
      this.#destroy(record.info);
    }
  }

  async #markDeleting(record: FilesystemRecord): Promise<void> {
    const { engine, clock } = this.#deps;
    const key = Buffer.from(filesystemKey(record.info.id), 'latin1');
    const writer = new RecordWriter();
    filesystemCodec.encode({ ...record, deleting: true }, writer.begin());
    const puts = [{ key, value: writer.finish() }];
    const batch = { puts, deletes: [], deleteRanges: [], guards: [] };
    await commitPatiently({ engine, clock }, batch, { reserve: true }, this.#stop.signal);
  }

  #change(fsId: FsId, change: () => Promise<void>): Promise<void> {
    const changing = this.#changes.run(fsId, change).finally(() => this.#changing.delete(changing));
    this.#changing.add(changing);
    return changing;
  }

  /** Writes, reads and deletes an object with this process's credentials. */
  async probe(storage: StorageSpec): Promise<void> {
    const signal = AbortSignal.timeout(PROBE_DEADLINE_MS);
    try {
      const store = this.#deps.openStore(storage);
      try {
        await probeStore(store, signal);
      } finally {
        await store.close();
      }
    } catch (error) {
      throw new RpcError('refused', errorMessage(error), { cause: error });
    }
  }

  /** What an operator should know. */
  async warnings(): Promise<string[]> {
    const warnings: string[] = [];
    for (const { slot, deleter } of this.#mounted.values()) {
      if (deleter.problem === undefined) continue;
      const { deletesQueued } = await slot.usage();
      warnings.push(`filesystem ${slot.info.name}: ${deletesQueued} objects wait to be deleted: ${deleter.problem}`);
    }
    for (const { info, problem } of this.#destroyers.values()) {
      if (problem !== undefined) warnings.push(`deleted filesystem ${info.name} is not removed yet: ${problem}`);
    }
    const { usedBytes, limitBytes } = this.#deps.engine.space();
    if (usedBytes > limitBytes * 0.8) {
      warnings.push(`the metadata database is ${Math.floor((usedBytes / limitBytes) * 100)} % full`);
    }
    return warnings;
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    clearInterval(this.#expiryTimer);
    clearInterval(this.#forgetTimer);
    this.#stop.abort();
    await Promise.allSettled(this.#changing);
    const mounted = [...this.#mounted.values()];
    this.#mounted.clear();
    await Promise.all(mounted.map((each) => this.#unmount(each)));
    await Promise.all([...this.#destroyers.values()].map((destroyer) => destroyer.close()));
  }

  async #mount(record: FilesystemRecord): Promise<void> {
    const { clock } = this.#deps;
    const logger = this.#deps.logger.child(`fs-${record.info.id}`);
    const slot = await Slot.open({ ...this.#deps, logger }, record, this.#opts);
    const intervalMs = this.#opts.backgroundIntervalMs;
    const store = this.#deps.openStore(record.info.storage);
    const mounted: Mounted = {
      slot,
      trimmer: new Trimmer({ slot, clock, logger }, { intervalMs }),
      deleter: new Deleter({ slot, clock, logger, store }, { intervalMs }),
      store,
    };
    this.#mounted.set(record.info.id, mounted);
  }

  async #unmount({ slot, trimmer, deleter, store }: Mounted): Promise<void> {
    await Promise.all([trimmer.close(), deleter.close()]);
    await slot.close();
    await store.close();
  }

  #destroy(info: FsInfo): void {
    const store = this.#deps.openStore(info.storage);
    const destroyer = new Destroyer({ ...this.#deps, store }, info);
    this.#destroyers.set(info.id, destroyer);
    void destroyer.finished.then(async () => {
      this.#destroyers.delete(info.id);
      await store.close();
    });
  }

  #expire(): void {
    for (const { slot } of this.#mounted.values()) slot.tick();
  }

  #forgetOldSessions(): void {
    for (const { slot } of this.#mounted.values()) {
      slot.sessions
        .forgetOld()
        .catch((error: unknown) =>
          this.#deps.logger.warn('old sessions are still there', { error: errorMessage(error) }),
        );
    }
  }

  /** Ends a session at its client's wish. */
  async closeSession(fsId: FsId, session: SessionId): Promise<void> {
    await this.mustSlot(fsId).sessions.end(session, SessionEnd_Reason.REASON_UNSPECIFIED, 'closed by the client');
  }
}

/** Puts the marker where none is. It being there is not judged: whose it is, is. */
async function claimMarker(store: ObjectStore, key: string, owner: Uint8Array, signal: AbortSignal): Promise<void> {
  try {
    await store.put(key, owner, signal, 'absent');
  } catch (error) {
    if (isObjectError(error, 'exists')) return;
    if (!isObjectError(error, 'invalid')) throw error;
    await store.put(key, owner, signal);
  }
}
