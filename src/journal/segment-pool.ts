import path from 'node:path';
import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import { JournalError } from './journal-error.js';
import type { JournalFs } from './journal-fs.js';
import { SEGMENT_HEADER_BYTES } from './segment-format.js';

/** An open, preallocated file that a segment may be written to. */
export interface SegmentFile {
  readonly path: string;
  readonly fd: number;
}

export interface SegmentPoolOptions {
  readonly dir: string;
  /** Names the files of this journal object. */
  readonly prefix: string;
  readonly segmentBytes: number;
  /** `zeros`: blocks are written once, so that a later fdatasync(2) needs no commit of the file system's own journal; `sparse`: only the size is set. */
  readonly preallocate: 'zeros' | 'sparse';
}

export const SEGMENT_SUFFIX = '.segment';
const ZEROS_BYTES = 1 << 20;
/** Released files that are kept for reuse beside the one that is made ready. */
const FREE_FILES_MAX = 2;

/**
 * The files of a journal that are not in use: makes the next one ready ahead of need, takes released ones back. A file keeps its name; what it
 * holds is said by its header, which is zero while it is here.
 */
export class SegmentPool {
  readonly #fs: JournalFs;
  readonly #logger: Logger;
  readonly #opts: SegmentPoolOptions;
  readonly #free: SegmentFile[] = [];
  #serial = 0;
  #preparing: Promise<void> | undefined;
  #closed = false;
  /** Clears and removals under way. */
  readonly #pending = new Set<Promise<void>>();
  /** True when files were made or removed and the directory was not synced since. */
  #dirDirty = false;

  constructor(deps: { readonly fs: JournalFs; readonly logger: Logger }, opts: SegmentPoolOptions) {
    this.#fs = deps.fs;
    this.#logger = deps.logger;
    this.#opts = opts;
  }

  /** A file to write to, at once: a ready one, else one made now. */
  take(): SegmentFile {
    const ready = this.#free.pop();
    if (ready !== undefined) return ready;
    this.#logger.debug('no segment was ready');
    const file = this.#create();
    this.#dirDirty = true;
    return file;
  }

  /** Makes the next file ready in the background. */
  prepare(): void {
    if (this.#free.length > 0 || this.#preparing !== undefined || this.#closed) return;
    this.#preparing = this.#prepare()
      .catch((error: unknown) => this.#logger.warn('cannot prepare a segment', { error: errorMessage(error) }))
      .finally(() => {
        this.#preparing = undefined;
      });
  }

  /**
   * Takes a file back whose records are all released. It is used again only when its cleared header is on disk: else a power cut could bring the old
   * header back over overwritten records. Zeroed files are worth that; sparse ones are removed, so that their pages need not be written at all.
   */
  recycle(file: SegmentFile): void {
    try {
      this.#fs.write(file.fd, Buffer.alloc(SEGMENT_HEADER_BYTES), 0);
    } catch (error) {
      // replay would serve released records again, which its users bear
      this.#logger.warn('cannot clear a segment', { path: file.path, error: errorMessage(error) });
      this.#discard(file);
      return;
    }
    if (this.#opts.preallocate === 'sparse' || this.#free.length >= FREE_FILES_MAX || this.#closed) {
      this.#discard(file);
      return;
    }
    this.#track(
      this.#fs.sync(file.fd).then(() => {
        if (this.#closed) this.#discard(file);
        else this.#free.push(file);
      }),
    );
  }

  /** True when {@link settle} has something to wait for. */
  get unsettled(): boolean {
    return this.#dirDirty || this.#pending.size > 0;
  }

  /**
   * On disk when it is done: the entries of the files in use, and that recycled ones hold nothing. Before that no later record may be called durable: a power cut
   * could bring a segment back without its last, released records, which replay takes for the end of the journal.
   */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
    if (!this.#dirDirty) return;
    this.#dirDirty = false;
    try {
      await this.#fs.syncDir(this.#opts.dir);
    } catch (error) {
      this.#dirDirty = true;
      throw error;
    }
  }

  /** Removes what is not in use. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#preparing;
    for (const file of this.#free.splice(0)) this.#discard(file);
    await Promise.allSettled(this.#pending);
  }

  async #prepare(): Promise<void> {
    const file = this.#create();
    try {
      if (this.#opts.preallocate === 'zeros') {
        const zeros = Buffer.alloc(Math.min(ZEROS_BYTES, this.#opts.segmentBytes));
        for (let at = 0; at < this.#opts.segmentBytes && !this.#closed; at += zeros.length) {
          await this.#fs.writeLater(file.fd, zeros.subarray(0, this.#opts.segmentBytes - at), at);
        }
        if (!this.#closed) await this.#fs.sync(file.fd);
      }
      if (!this.#closed) await this.#fs.syncDir(this.#opts.dir);
    } catch (error) {
      this.#discard(file);
      throw error;
    }
    if (this.#closed || this.#free.length >= FREE_FILES_MAX) this.#discard(file);
    else this.#free.push(file);
  }

  #create(): SegmentFile {
    const name = `${this.#opts.prefix}-${String(this.#serial++).padStart(6, '0')}${SEGMENT_SUFFIX}`;
    const file = path.join(this.#opts.dir, name);
    try {
      const fd = this.#fs.open(file, 'wx+');
      try {
        this.#fs.truncate(fd, this.#opts.segmentBytes);
        return { path: file, fd };
      } catch (error) {
        this.#discard({ path: file, fd });
        throw error;
      }
    } catch (error) {
      throw new JournalError(
        nodeErrorCode(error) === 'ENOSPC' ? 'full' : 'io',
        `cannot make ${file}: ${errorMessage(error)}`,
        {
          cause: error,
        },
      );
    }
  }

  #discard(file: SegmentFile): void {
    try {
      this.#fs.close(file.fd);
    } catch (error) {
      this.#logger.warn('cannot close a segment', { path: file.path, error: errorMessage(error) });
    }
    this.#dirDirty = true;
    this.#track(
      this.#fs.remove(file.path).catch((error: unknown) => {
        this.#logger.warn('cannot remove a segment', { path: file.path, error: errorMessage(error) });
      }),
    );
  }

  #track(work: Promise<void>): void {
    this.#pending.add(work);
    const done = (): void => {
      this.#pending.delete(work);
    };
    // a failure stays: the next sync must fail by it
    work.then(done, (error: unknown) => this.#logger.error('cannot recycle a segment', { error: errorMessage(error) }));
  }
}
