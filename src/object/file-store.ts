import {
  closeSync,
  constants,
  existsSync,
  fstat,
  fsync,
  fsyncSync,
  linkSync,
  mkdir,
  open,
  openSync,
  read,
  renameSync,
  unlink,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { nodeErrorCode } from '../common/fs-error.js';
import { LRUCache } from 'lru-cache';
import { mapFileError } from './file-errors.js';
import { FileRoot, TEMPORARY_DIRECTORY } from './file-root.js';
import { GroupSync } from './group-sync.js';
import { listFiles } from './list-files.js';
import { ObjectError } from './object-error.js';
import { OpenFiles } from './open-files.js';
import { PageWarmer } from './page-warmer.js';
import { checkKey, checkList, checkRange, checkSignal } from './object-key.js';
import type { ByteRange, ObjectInfo, ObjectStore, ObjectStoreProperties, PutCondition } from './object-store.js';

/** What may wait for the disk; a new name or closing what is synced or was only read does not for long. */
const fsAsync = {
  fstat: promisify(fstat),
  fsync: promisify(fsync),
  mkdir: promisify(mkdir),
  open: promisify(open),
  read: promisify(read),
  unlink: promisify(unlink),
  write: promisify(write),
};

/** Directories known to exist durably; one more costs a few calls at its next put. */
const KNOWN_DIRECTORIES_MAX = 1000;
/** A range up to this is read without asking for the size first. */
const BLIND_READ_MAX_BYTES = 16 * 1024 * 1024;
/** A body up to this is written and synced in the calling thread: each trip through the pool costs two context switches, which is more than the write. */
const WRITE_HERE_MAX_BYTES = 1024 * 1024;
/** A get of so little is not sequential reading. */
const SMALL_RANGE_BYTES = 256 * 1024;
const OBJECT_MAX_BYTES = 1024 ** 3;
const CLOSE_MAX_MS = 10_000;
/** Objects kept open between reads; one that is deleted meanwhile keeps its space for so long at most. */
const OPEN_FILES_MAX = 64;
const OPEN_IDLE_MS = 10_000;

/** preadv2(2) with RWF_NOWAIT: the number of bytes that the page cache has, or a negative errno. */
export type ReadCached = (fd: number, into: Buffer, position: number) => number;

export interface FileStoreOptions {
  /** Absolute path of the root. */
  readonly path: string;
  /** Makes the root (mode 0700) when it is missing; else a missing root is 'no-bucket', for it may be a disk that is not mounted. */
  readonly createRoot?: boolean | undefined;
  /** Makes `getNow` possible. */
  readonly readCached?: ReadCached | undefined;
}

/**
 * Objects as files below a directory: the key is the path.
 *
 * A put writes a temporary file, renames it and then syncs it: one sync, where that covers the rename ({@link fsyncCoversRename}); elsewhere the directory is synced
 * as well, shared among puts into the same one. A put of a key that exists syncs before the rename too, so that a power cut leaves the old object or the new one.
 * After a power cut the object of a put that did not resolve may be there in part, which nobody has the name of; left-over temporary files are removed a day
 * later. Directories are never removed: one that another process has just made durable may be the one it puts into.
 * Short bodies are written in the calling thread, which should not be one that must not wait for the disk.
 * Paths go through a descriptor of the root, so that a disk unmounted lazily or a root renamed never redirects a write.
 * Assumes Linux (`/proc/self/fd`).
 */
export class FileStore implements ObjectStore {
  readonly properties: ObjectStoreProperties;
  readonly #root: FileRoot;
  readonly #readCached: ReadCached | undefined;
  readonly #warmer = new PageWarmer();
  readonly #sync = new GroupSync();
  /** Directories (relative; '' = root) that exist, and whose entries up to the root were synced. */
  readonly #known = new LRUCache<string, Promise<void>>({ max: KNOWN_DIRECTORIES_MAX });
  readonly #open = new OpenFiles({ filesMax: OPEN_FILES_MAX, idleMs: OPEN_IDLE_MS });
  readonly #whenIdle: (() => void)[] = [];
  #serial = 0;
  #inFlight = 0;
  #closed = false;

  constructor(opts: FileStoreOptions) {
    // More than libuv's four threads gain nothing; a few more keep them busy.
    this.properties = { name: `file://${opts.path}`, concurrency: 8 };
    this.#root = new FileRoot(opts.path, opts.createRoot ?? false);
    this.#readCached = opts.readCached;
  }

  put(key: string, body: Uint8Array, signal?: AbortSignal, condition?: PutCondition): Promise<void> {
    return this.#run('put', [key], signal, async (root, situation) => {
      const directory = parentOf(key);
      await this.#ensureDirectory(root, directory);
      checkSignal(signal, situation);
      const { path, fd } = await this.#createTemporary(root);
      try {
        await writeAll(fd, body);
        checkSignal(signal, situation);
        const file = { path, fd, size: body.length };
        if (condition === 'absent') await this.#publishNew(root, file, key);
        else await this.#publish(root, file, key);
      } catch (error) {
        await fsAsync.unlink(path).catch(ignoreMissing);
        if (condition === 'absent' && nodeErrorCode(error) === 'EEXIST') {
          throw new ObjectError('exists', `${situation}: it exists`, { cause: error });
        }
        // Missing directories were made again: only the root itself can be missing.
        if (nodeErrorCode(error) !== 'ENOENT') throw error;
        throw new ObjectError('no-bucket', `${situation}: the directory was removed`, { cause: error });
      } finally {
        closeSync(fd);
      }
    });
  }

  get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#run('get', [key], signal, async (root, situation) => {
      if (range === undefined) return withObject(root, key, (fd) => readRange(fd, undefined, situation));
      checkRange(range.offset, range.length);
      // Ranges of an object are asked for one after the other: it stays open for the next one.
      const known = this.#open.take(key);
      const file = known ?? this.#open.add(key, await openObject(root, key));
      try {
        const bytes = await readRange(file.fd, range, situation);
        if (known !== undefined && range.length <= SMALL_RANGE_BYTES) this.#warm(key);
        return bytes;
      } finally {
        this.#open.giveBack(file);
      }
    });
  }

  /** From objects that are open already, for opening one may wait for the disk. */
  getNow(key: string, offset: number, into: Buffer): number | undefined {
    if (this.#readCached === undefined) return undefined;
    const file = this.#open.take(key);
    if (file === undefined) return undefined;
    try {
      const got = this.#readCached(file.fd, into, offset);
      return got < 0 ? undefined : got;
    } finally {
      this.#open.giveBack(file);
    }
  }

  head(key: string, signal?: AbortSignal): Promise<number> {
    return this.#run('head', [key], signal, (root, situation) => withObject(root, key, (fd) => sizeOf(fd, situation)));
  }

  delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    return this.#run('delete', keys, signal, async (root, situation) => {
      const directories = new Set<string>();
      for (const key of keys) {
        checkSignal(signal, situation);
        this.#open.drop(key);
        const removed = await fsAsync.unlink(`${root}/${key}`).then(
          () => true,
          (error: unknown) => ignoreMissing(error),
        );
        if (removed) directories.add(parentOf(key));
      }
      for (const directory of directories) await this.#sync.sync(`${root}/${directory}`);
    });
  }

  list(prefix: string, after: string, limit: number, signal?: AbortSignal): Promise<readonly ObjectInfo[]> {
    return this.#run('list', [], signal, (root, situation) => {
      checkList(prefix, after, limit);
      return listFiles(root, { prefix, after, limit }, () => checkSignal(signal, situation));
    });
  }

  /** Waits for the operations under way; where the disk hangs, the root's descriptor is left open rather than pulled away under them. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#inFlight > 0) {
      let timer: NodeJS.Timeout | undefined;
      const idle = new Promise<void>((resolve) => this.#whenIdle.push(resolve));
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MAX_MS)));
      await Promise.race([idle, late]);
      clearTimeout(timer);
      if (this.#inFlight > 0) return;
    }
    this.#open.clear();
    await this.#root.close();
  }

  /** Every operation: checks, the root, and errors converted. INVARIANT: the root's descriptor stays open while `#inFlight` > 0. */
  async #run<T>(
    op: string,
    keys: readonly string[],
    signal: AbortSignal | undefined,
    fn: (root: string, situation: string) => Promise<T>,
  ): Promise<T> {
    keys.forEach(checkKey);
    const situation = `${op} ${keys[0] ?? ''} in ${this.properties.name}`;
    checkSignal(signal, situation);
    if (this.#closed) throw new ObjectError('aborted', `${situation}: the store is closed`);
    this.#inFlight++;
    try {
      return await fn(await this.#root.open(), situation);
    } catch (error) {
      throw mapFileError(error, situation);
    } finally {
      if (--this.#inFlight === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
  }

  /**
   * An object that is read in small parts, and again while it is still open, is brought into the page cache, so that {@link getNow} has the rest of it. Where the reads
   * scatter over very many objects they seldom meet an open one, so that they cause little reading beyond what they ask for.
   */
  #warm(key: string): void {
    if (this.#readCached === undefined || this.#warmer.busy) return;
    const file = this.#open.take(key);
    if (file === undefined) return;
    const done = (): void => this.#open.giveBack(file);
    if (file.warmed) {
      done();
      return;
    }
    file.warmed = true;
    // What cannot be read is for its readers to find.
    void this.#run('get', [key], undefined, () => this.#warmer.warm(file.fd)).then(done, done);
  }

  async #createTemporary(root: string): Promise<{ readonly path: string; readonly fd: number }> {
    const directory = `${root}/${TEMPORARY_DIRECTORY}`;
    const path = `${directory}/${process.pid}.${this.#root.tag}.${this.#serial++}`;
    try {
      return { path, fd: createFile(path) };
    } catch (error) {
      if (nodeErrorCode(error) !== 'ENOENT') throw error;
      // Removed by hand, or never made because the root was not writable when it was opened.
      await fsAsync.mkdir(directory, 0o700);
      return { path, fd: createFile(path) };
    }
  }

  /** Gives the written file its name, durably. */
  async #publish(root: string, file: { path: string; fd: number; size: number }, key: string): Promise<void> {
    const directory = parentOf(key);
    const target = `${root}/${key}`;
    if (existsSync(target)) await syncFile(file);
    this.#open.drop(key);
    try {
      renameSync(file.path, target);
    } catch (error) {
      if (nodeErrorCode(error) !== 'ENOENT') throw error;
      // Somebody removed the directory that was known: make it again, once.
      this.#known.clear();
      await this.#ensureDirectory(root, directory);
      renameSync(file.path, target);
    }
    // What a reader opened between the two was the old one.
    this.#open.drop(key);
    await syncFile(file);
    if (!this.#root.fsyncCoversRename) await this.#sync.sync(`${root}/${directory}`);
  }

  /** As {@link #publish} where nothing has the name: a link, unlike a rename, replaces nothing. */
  async #publishNew(root: string, file: { path: string; fd: number; size: number }, key: string): Promise<void> {
    await syncFile(file);
    linkSync(file.path, `${root}/${key}`);
    await fsAsync.unlink(file.path);
    this.#open.drop(key);
    await this.#sync.sync(`${root}/${parentOf(key)}`);
  }

  /** Makes the directory and its parents, and their entries durable. Also for one that exists: its maker may not have synced yet. */
  #ensureDirectory(root: string, directory: string): Promise<void> {
    if (directory === '') return Promise.resolve();
    let known = this.#known.get(directory);
    if (known === undefined) {
      known = this.#makeDirectory(root, directory);
      this.#known.set(directory, known);
      known.catch(() => this.#known.delete(directory));
    }
    return known;
  }

  async #makeDirectory(root: string, directory: string): Promise<void> {
    const parent = parentOf(directory);
    await this.#ensureDirectory(root, parent);
    try {
      await fsAsync.mkdir(`${root}/${directory}`, 0o700);
    } catch (error) {
      if (nodeErrorCode(error) !== 'EEXIST') throw error;
    }
    // Refuses a symbolic link, which could lead out of the root, and a file.
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    closeSync(await fsAsync.open(`${root}/${directory}`, flags));
    await this.#sync.sync(`${root}/${parent}`);
  }
}

function openObject(root: string, key: string): Promise<number> {
  return fsAsync.open(`${root}/${key}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

/** Runs `fn` with the object open. */
async function withObject<T>(root: string, key: string, fn: (fd: number) => Promise<T>): Promise<T> {
  const fd = await openObject(root, key);
  try {
    return await fn(fd);
  } finally {
    closeSync(fd);
  }
}

function parentOf(key: string): string {
  const slash = key.lastIndexOf('/');
  return slash < 0 ? '' : key.slice(0, slash);
}

/** False for an entry that is not there; other errors are thrown. */
function ignoreMissing(error: unknown): false {
  const code = nodeErrorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return false;
  throw error;
}

function createFile(path: string): number {
  return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
}

async function writeAll(fd: number, body: Uint8Array): Promise<void> {
  const here = body.length <= WRITE_HERE_MAX_BYTES;
  for (let written = 0; written < body.length;) {
    written += here
      ? writeSync(fd, body, written, body.length - written, written)
      : (await fsAsync.write(fd, body, written, body.length - written, written)).bytesWritten;
  }
}

/** fsync(2), not fdatasync(2), which may leave out the rename. */
async function syncFile({ fd, size }: { readonly fd: number; readonly size: number }): Promise<void> {
  if (size <= WRITE_HERE_MAX_BYTES) fsyncSync(fd);
  else await fsAsync.fsync(fd);
}

async function sizeOf(fd: number, situation: string): Promise<number> {
  const stat = await fsAsync.fstat(fd);
  if (!stat.isFile()) throw new ObjectError('not-found', `${situation}: not a file`);
  return stat.size;
}

async function readRange(fd: number, range: ByteRange | undefined, situation: string): Promise<Buffer> {
  const offset = range?.offset ?? 0;
  let length = range?.length ?? Infinity;
  if (length > BLIND_READ_MAX_BYTES) length = Math.min(length, Math.max(0, (await sizeOf(fd, situation)) - offset));
  if (length > OBJECT_MAX_BYTES)
    throw new ObjectError('invalid', `${situation}: ${length} bytes are too many for one request`);
  const buffer = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await fsAsync.read(fd, buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled === length ? buffer : Buffer.from(buffer.subarray(0, filled));
}
