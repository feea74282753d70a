import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { must } from '../../../src/common/assert.js';
import { systemClock } from '../../../src/common/clock.js';
import { FsError, nodeErrorCode } from '../../../src/common/fs-error.js';
import { interruptible } from '../../../src/common/interruptible.js';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import type { WriteOptions } from '../../../src/data/file-data.js';
import type { MountData } from '../../../src/data/mount-data.js';
import { openFileData, type OpenedFileData, type OpenFileDataOptions } from '../../../src/data/open-file-data.js';
import { ChunkMover } from '../../../src/data/transfer/chunk-mover.js';
import { nodeJournalFs, type JournalFs } from '../../../src/journal/journal-fs.js';
import type { Metadata } from '../../../src/meta/metadata.js';
import { ROOT_INO, type Fh, type Ino } from '../../../src/model/ids.js';
import { S_IFREG, type InodeAttr } from '../../../src/model/inode.js';
import { MemoryStore } from '../../../src/object/memory-store.js';
import type { ByteRange, ObjectStore } from '../../../src/object/object-store.js';
import type { FsInfo } from '../../../src/model/filesystem.js';
import { MemoryMetadata } from '../../helpers/memory-metadata.js';
import { MemoryNamespace } from '../../helpers/memory-namespace.js';

export const BLOCK = 64 * 1024;
export const SEGMENT = 256 * 1024;

export interface HarnessOptions {
  readonly data?: Partial<OpenFileDataOptions>;
  readonly fs?: Partial<FsInfo>;
}

/** A store whose requests a test can hold, fail and count. */
export class ControlledStore implements ObjectStore {
  readonly properties = { name: 'controlled', concurrency: 16 };
  readonly inner: MemoryStore;
  /** Called before each put; may reject or delay. */
  beforePut: (key: string) => Promise<void> = async () => undefined;
  beforeGet: (key: string) => Promise<void> = async () => undefined;
  /** `getNow` answers, with at most so many bytes; undefined = it never does. */
  near: (() => number) | undefined;
  puts = 0;
  gets = 0;
  dead = false;

  constructor(inner: MemoryStore) {
    this.inner = inner;
  }

  async put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    this.puts++;
    await interruptible(this.beforePut(key), signal);
    if (this.dead) return never();
    await this.inner.put(key, body, signal);
    if (this.dead) return never();
  }

  async get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    this.gets++;
    await this.beforeGet(key);
    return this.inner.get(key, range, signal);
  }

  getNow(key: string, offset: number, into: Buffer): number | undefined {
    return this.near === undefined ? undefined : this.inner.getNow(key, offset, into.subarray(0, this.near()));
  }

  head(key: string): Promise<number> {
    return this.inner.head(key);
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.inner.delete(keys);
  }

  list(prefix: string, after: string, limit: number): ReturnType<ObjectStore['list']> {
    return this.inner.list(prefix, after, limit);
  }

  async close(): Promise<void> {
    // The objects outlive it.
  }
}

export function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

/** A mount's data path over a memory store and memory metadata, with a journal in a temporary directory; it can crash and be opened again. */
export class DataHarness {
  readonly namespace: MemoryNamespace;
  readonly objects = new MemoryStore();
  readonly #options: HarnessOptions;
  readonly #root: string;
  readonly #gauges = new Map<string, () => number>();
  #generation = 0;
  #clones = 0;
  /** So many replies to commits that were executed get lost. */
  repliesLost = 0;
  /** Called before each metadata operation. */
  before: (op: string) => void | Promise<void> = () => undefined;
  /** From now on the journal's disk takes nothing; it can still be read. */
  journalBroken = false;
  metadata!: MemoryMetadata;
  store!: ControlledStore;
  opened!: OpenedFileData;
  cacheDir: string;

  private constructor(options: HarnessOptions) {
    this.#options = options;
    this.#root = fs.mkdtempSync(path.join(os.tmpdir(), 'curvefs-data-'));
    this.cacheDir = path.join(this.#root, '0');
    this.namespace = new MemoryNamespace(options.fs?.blockSizeBytes ?? BLOCK);
  }

  static async open(options: HarnessOptions = {}): Promise<DataHarness> {
    const harness = new DataHarness(options);
    await harness.start();
    return harness;
  }

  /** The real one until {@link journalBroken}. */
  readonly journalFs: JournalFs = {
    ...nodeJournalFs,
    write: (fd, buffer, position) => nodeJournalFs.write(this.#writable(fd), buffer, position),
    writev: (fd, buffers, position) => nodeJournalFs.writev(this.#writable(fd), buffers, position),
    sync: async (fd) => nodeJournalFs.sync(this.#writable(fd)),
  };

  #writable(fd: number): number {
    if (this.journalBroken) throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
    return fd;
  }

  /** A metric of the mount that runs. */
  gauge(name: string): number {
    return must(this.#gauges.get(name), name)();
  }

  get data(): MountData {
    return this.opened.data;
  }

  /** A new session on the same filesystem and cache directory. */
  async start(data: Partial<OpenFileDataOptions> = {}): Promise<void> {
    this.#generation++;
    const store = new ControlledStore(this.objects);
    const metadata = new MemoryMetadata({
      namespace: this.namespace,
      sessionId: this.#generation,
      fs: { blockSizeBytes: BLOCK, ...this.#options.fs },
      before: (op) => (store.dead ? never<void>() : this.before(op)),
    });
    this.store = store;
    this.metadata = metadata;
    this.opened = await openFileData(
      {
        metadata: mortal(metadata, store, () => this.repliesLost-- > 0),
        clock: systemClock,
        logger: silentLogger,
        metrics: { ...noMetrics, gauge: ({ name }, read) => this.#gauges.set(name, read) },
        journalFs: this.journalFs,
        transfer: (cacheWritten) => new ChunkMover({ store, logger: silentLogger, cacheWritten }),
      },
      {
        cacheDir: this.cacheDir,
        journalSizeBytes: 16 * SEGMENT,
        segmentBytes: SEGMENT,
        lock: false,
        writeback: false,
        memoryCacheBytes: 48 << 20,
        readAheadBytes: 16 << 20,
        cacheSizeBytes: 0,
        uploadsMax: 8,
        compaction: false,
        flushIntervalMs: 60_000,
        ...this.#options.data,
        ...data,
      },
    );
  }

  /** Goes on with a copy of the cache directory as it is now: what is under way in the old one is without effect. */
  cloneCache(): void {
    const from = this.cacheDir;
    this.cacheDir = path.join(this.#root, `clone-${this.#clones++}`);
    copyTree(from, this.cacheDir);
  }

  /** The process dies: what is in the journal's files stays, everything under way never ends. */
  async crash(): Promise<void> {
    const old = this.opened;
    this.store.dead = true;
    this.cloneCache();
    // Only to give back descriptors and timers; its directory is not looked at any more.
    void old.close().catch(() => undefined);
  }

  /** The machine was restarted since: what was not synced may be missing from the journals. */
  otherBoot(): void {
    for (const dir of this.sessionDirs()) {
      const file = path.join(this.#base, dir, 'session.json');
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/"bootId":"[^"]*"/, '"bootId":"another"'));
    }
  }

  /** Changes the bytes of all segments that are in use. */
  spoilSegments(change: (bytes: Buffer) => void): void {
    for (const dir of this.sessionDirs()) {
      for (const name of fs.readdirSync(path.join(this.#base, dir))) {
        const file = path.join(this.#base, dir, name);
        if (!name.endsWith('.segment')) continue;
        const content = fs.readFileSync(file);
        if (content[0] === 0) continue;
        change(content);
        fs.writeFileSync(file, content);
      }
    }
  }

  /** Names of the session directories. */
  sessionDirs(): string[] {
    return fs.readdirSync(this.#base).filter((name) => /^\d+$/.test(name));
  }

  get #base(): string {
    return path.join(this.cacheDir, this.metadata.fs.uuid);
  }

  async close(): Promise<void> {
    await this.opened.close().catch(() => undefined);
    fs.rmSync(this.#root, { recursive: true, force: true });
  }

  /** Makes a file and opens it. */
  async create(name: string): Promise<Ino> {
    const { attr } = await this.metadata.create({ opId: this.metadata.clientOpId() }, ROOT_INO, Buffer.from(name), {
      mode: S_IFREG | 0o644,
      uid: 0,
      gid: 0,
      mayKeepSgid: true,
      exclusive: true,
      open: { fh: 1 as Fh, write: true, truncate: false },
    });
    this.data.opened(attr, undefined);
    return attr.ino;
  }

  attr(ino: Ino): InodeAttr {
    return this.data.overlay(this.namespace.attr(ino));
  }

  async write(ino: Ino, offset: number, data: Uint8Array, options: Partial<WriteOptions> = {}): Promise<number> {
    return await this.data.write(ino, offset, data, {
      append: false,
      fromPageCache: false,
      killPriv: false,
      ...options,
    });
  }

  async read(ino: Ino, offset: number, length: number): Promise<Buffer> {
    return Buffer.concat(await this.data.read(ino, offset, length));
  }

  async truncate(ino: Ino, size: number): Promise<InodeAttr> {
    return this.data.setattr({ opId: this.metadata.clientOpId() }, ino, { size });
  }
}

/** A file that is being removed meanwhile (a recycled segment, empty) is left out. */
function copyTree(from: string, to: string): void {
  fs.mkdirSync(to, { recursive: true });
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) {
      copyTree(source, target);
      continue;
    }
    try {
      fs.copyFileSync(source, target);
    } catch (error) {
      if (nodeErrorCode(error) !== 'ENOENT') throw error;
    }
  }
}

/** After the crash no reply arrives, executed or not. */
function mortal(metadata: Metadata, store: ControlledStore, loses: () => boolean): Metadata {
  return new Proxy(metadata, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        const result: unknown = Reflect.apply(value, target, args);
        if (!(result instanceof Promise)) return result;
        return result.then(
          (reply: unknown) => {
            if (property === 'commitExtents' && loses()) throw new FsError('ETIMEDOUT', 'the reply is lost');
            return store.dead ? never() : reply;
          },
          (error: unknown) => {
            if (store.dead) return never();
            throw error;
          },
        );
      };
    },
  });
}

/** Bytes that differ by seed and, over any distance but multiples of a prime, by place. */
export function bytes(length: number, seed: number): Buffer {
  const pattern = Buffer.alloc(Math.min(length, 1021));
  let x = seed * 2654435761 + 1;
  for (let i = 0; i < pattern.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    pattern[i] = x >>> 24;
  }
  return Buffer.alloc(length, pattern);
}
