import type { Closable } from '../common/closable.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import type { ExtentMap, OpContext, SetAttr } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import type { SeekTarget } from './read/seeker.js';
import type { AllocateRequest, CopyRequest } from './write/range-changer.js';

export interface WriteOptions {
  /** O_APPEND: the data goes to the end of the file, whatever the offset says. */
  readonly append: boolean;
  /** The data comes from the page cache (FUSE_WRITE_CACHE): it never extends the file. */
  readonly fromPageCache: boolean;
  /** The writer lacks CAP_FSETID: S_ISUID and S_ISGID go with this write. */
  readonly killPriv: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * File content: what `vfs/` sees of the data path. A write is acknowledged when it is in the journal; reads see the dirty overlay over the committed extents over
 * zeros and never cause an upload. Orders writes, truncations, time changes and commits of one inode among each other.
 *
 * Errors are `FsError`: ENOSPC (reservation), EFBIG, EIO (corrupt or missing object, failed upload), EINTR.
 * A failed upload is reported once per handle by `flush`/`fsync` ({@link FileData.takeError}).
 */
export interface FileData extends Closable {
  /** The inode is opened or closed: what is cached for it may go after the last release. `extents` primes the extent cache. */
  opened(attr: InodeAttr, extents: ExtentMap | undefined): void;
  released(ino: Ino): void;
  read(ino: Ino, offset: number, length: number, signal?: AbortSignal): MaybePromise<readonly Uint8Array[]>;
  /**
   * Resolves with the number of bytes written when they are in the journal; the buffer may be reused then. Fewer than asked for when the filesystem fills up or the wait is interrupted in
   * the middle, never for what comes from the page cache.
   */
  write(ino: Ino, offset: number, data: Uint8Array, options: WriteOptions): MaybePromise<number>;
  /** setattr of a regular file: as `Metadata.setattr`, in order with the inode's writes. */
  setattr(ctx: OpContext, ino: Ino, change: SetAttr): Promise<InodeAttr>;
  /** fallocate(2), in order with the inode's writes. ENOSPC: a part of a long range may be allocated. */
  fallocate(ctx: OpContext, ino: Ino, request: AllocateRequest): Promise<void>;
  /** copy_file_range(2) into the inode, without moving data; returns how many bytes, 0 at the source's end. EINVAL when the ranges overlap. */
  copyRange(ctx: OpContext, ino: Ino, request: CopyRequest): Promise<number>;
  /** lseek(2), SEEK_DATA and SEEK_HOLE: ENXIO at or behind the end of the file, and where no data follows. */
  seek(ino: Ino, offset: number, target: SeekTarget, signal?: AbortSignal): MaybePromise<number>;
  /** The attributes with what is not committed yet laid over them: size, times, allocated bytes, killed privileges. */
  overlay(attr: InodeAttr): InodeAttr;
  /** Everything written before the call is uploaded and committed when it resolves (close(2); with write-back: at once). */
  flush(ino: Ino, signal?: AbortSignal): MaybePromise<void>;
  /** As flush, also with write-back: other mounts see what was written when it resolves (an unlock). */
  publish(ino: Ino, signal?: AbortSignal): MaybePromise<void>;
  /** fsync(2): uploaded and committed; with write-back: on the cache disk. */
  fsync(ino: Ino, signal?: AbortSignal): Promise<void>;
  /** Marks a new handle: errors that happened before are not its. Pass the mark to {@link takeError}. */
  errorMark(ino: Ino): number;
  /** The error since `mark`, as errseq_t does it: undefined when there was none. The new mark comes with it. */
  takeError(ino: Ino, mark: number): { readonly mark: number; readonly error: Error } | undefined;
  /** The inode is unlinked and closed everywhere: its dirty data may be dropped. */
  discard(ino: Ino): void;
  /** Uploads and commits everything; rejects on a permanent error, leaving the journal. */
  drain(signal?: AbortSignal): Promise<void>;
}
