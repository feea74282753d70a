import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, unlink, type FileHandle } from 'node:fs/promises';
import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import { makeDirectories } from '../common/make-directories.js';
import { mapFileError } from './file-errors.js';
import { fsyncCoversRename } from './fsync-covers-rename.js';
import { ObjectError } from './object-error.js';

/** Below the root; its name has a character that keys do not have, so no key is in it and no listing shows it. */
export const TEMPORARY_DIRECTORY = '~tmp';
/** Long after any put: a day. */
const STALE_MS = 24 * 60 * 60 * 1000;
/** Left-overs looked at when the root is opened; a bound, not a need. */
const STALE_CHECKED_MAX = 1000;

/**
 * The root directory of a file store, opened once at the first use: `open()` gives a path through the descriptor that
 * stays the same directory whatever happens to its name. Failing to open is not remembered: the next request tries again.
 */
export class FileRoot {
  /** Distinguishes the temporary files of this store from those of another in the same process, and after a pid was used again. */
  readonly tag = randomBytes(6).toString('hex');
  readonly #path: string;
  readonly #create: boolean;
  #opening: Promise<string> | undefined;
  #handle: FileHandle | undefined;
  #fsyncCoversRename = false;
  #closed = false;

  constructor(path: string, create: boolean) {
    this.#path = path;
    this.#create = create;
  }

  /** Known once it is open. */
  get fsyncCoversRename(): boolean {
    return this.#fsyncCoversRename;
  }

  open(): Promise<string> {
    if (this.#opening === undefined) {
      const opening = this.#open();
      this.#opening = opening;
      opening.catch(() => {
        if (this.#opening === opening) this.#opening = undefined;
      });
    }
    return this.#opening;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => undefined);
    const handle = this.#handle;
    this.#handle = undefined;
    this.#opening = undefined;
    await handle?.close();
  }

  async #open(): Promise<string> {
    if (this.#closed) throw new ObjectError('aborted', `file://${this.#path} is closed`);
    if (!this.#path.startsWith('/')) {
      throw new ObjectError(
        'invalid',
        `the directory of a file store must be an absolute path, not ${JSON.stringify(this.#path)}`,
      );
    }
    try {
      if (this.#create) makeDirectories(this.#path, 0o700);
      this.#handle = await open(this.#path, constants.O_RDONLY | constants.O_DIRECTORY);
      this.#fsyncCoversRename = fsyncCoversRename(this.#handle.fd);
      const root = `/proc/self/fd/${this.#handle.fd}`;
      await this.#prepareTemporary(`${root}/${TEMPORARY_DIRECTORY}`);
      return root;
    } catch (error) {
      await this.#handle?.close();
      this.#handle = undefined;
      throw this.#explain(error);
    }
  }

  /** A read-only root serves reads: a put says later that it may not. */
  async #prepareTemporary(directory: string): Promise<void> {
    try {
      await mkdir(directory, { mode: 0o700 });
      return;
    } catch (error) {
      const code = nodeErrorCode(error);
      if (code === 'EROFS' || code === 'EACCES') return;
      if (code !== 'EEXIST') throw error;
    }
    const before = Date.now() - STALE_MS;
    for (const name of (await readdir(directory)).slice(0, STALE_CHECKED_MAX)) {
      try {
        if ((await lstat(`${directory}/${name}`)).mtimeMs < before) await unlink(`${directory}/${name}`);
      } catch (error) {
        // Another mount cleans up as well, or may and we may not.
        const code = nodeErrorCode(error);
        if (code !== 'ENOENT' && code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') throw error;
      }
    }
  }

  #explain(error: unknown): ObjectError {
    const code = nodeErrorCode(error);
    if (code === 'ENOENT') {
      return new ObjectError('no-bucket', `the directory ${this.#path} does not exist: create it, or mount its disk`, {
        cause: error,
      });
    }
    if (code === 'ENOTDIR') {
      return new ObjectError('no-bucket', `${this.#path} is not a directory`, { cause: error });
    }
    return mapFileError(error, `cannot open the directory ${this.#path}: ${errorMessage(error)}`);
  }
}
