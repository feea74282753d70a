import { FsError } from '../common/fs-error.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import type { FallocateMode } from '../meta/metadata.js';
import { FILE_SIZE_MAX_BYTES } from '../model/inode.js';
import { mayReadBy, mayWriteBy } from './handle-table.js';
import { dropPrivileges } from './privileges.js';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  SEEK_DATA,
  SEEK_HOLE,
  type CopyFileRangeRequest,
  type FallocateRequest,
  type LseekRequest,
} from './requests.js';
import { type VfsContext, withStep } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';

/** The operations on ranges of open files: fallocate, lseek, copy_file_range. As for all open files, the handle's access mode is what counts. */
export class RangeOps {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  async fallocate(ctx: VfsContext, request: FallocateRequest): Promise<void> {
    const core = this.#core;
    const { fh, offset, length } = request;
    if (!mayWriteBy(fh)) throw new FsError('EBADF', 'fallocate by a handle that is not open for writing');
    core.requireWritable();
    const { mode, keepSize } = modeOf(request.mode);
    if (length <= 0) throw new FsError('EINVAL', 'fallocate of nothing');
    const end = offset + length;
    if (end > FILE_SIZE_MAX_BYTES && mode !== 'punch') throw new FsError('EFBIG', `fallocate up to ${end}`);
    if (offset >= FILE_SIZE_MAX_BYTES) return;
    const ino = core.inner(request.ino);
    const bounded = Math.min(length, FILE_SIZE_MAX_BYTES - offset);
    await dropPrivileges(core, ctx, ino, 0);
    await core.data.fallocate(withStep(ctx, 1), ino, { mode, keepSize, offset, length: bounded });
  }

  lseek(ctx: VfsContext, { ino, offset, whence }: LseekRequest): MaybePromise<number> {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FsError('EINVAL', `lseek whence ${whence}`);
    return this.#core.data.seek(this.#core.inner(ino), offset, whence === SEEK_DATA ? 'data' : 'hole', ctx.signal);
  }

  async copyFileRange(ctx: VfsContext, request: CopyFileRangeRequest): Promise<number> {
    const core = this.#core;
    const { sourceFh, sourceOffset, fh, offset } = request;
    if (!mayReadBy(sourceFh)) throw new FsError('EBADF', 'copy by a handle that is not open for reading');
    if (!mayWriteBy(fh)) throw new FsError('EBADF', 'copy by a handle that is not open for writing');
    if (request.flags !== 0) throw new FsError('EINVAL', `copy_file_range flags ${request.flags}`);
    core.requireWritable();
    if (offset >= FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG', `a copy to ${offset}`);
    const length = Math.min(request.length, FILE_SIZE_MAX_BYTES - offset, FILE_SIZE_MAX_BYTES - sourceOffset);
    if (length <= 0) return 0;
    const source = core.inner(request.source);
    const ino = core.inner(request.ino);
    await dropPrivileges(core, ctx, ino, 0);
    return core.data.copyRange(withStep(ctx, 1), ino, { source, sourceOffset, offset, length });
  }
}

function modeOf(flags: number): { readonly mode: FallocateMode; readonly keepSize: boolean } {
  const keepSize = (flags & FALLOC_FL_KEEP_SIZE) !== 0;
  switch (flags & ~FALLOC_FL_KEEP_SIZE) {
    case 0:
      return { mode: 'allocate', keepSize };
    case FALLOC_FL_ZERO_RANGE:
      return { mode: 'zero', keepSize };
    case FALLOC_FL_PUNCH_HOLE:
      if (keepSize) return { mode: 'punch', keepSize };
  }
  throw new FsError('EOPNOTSUPP', `fallocate mode ${flags}`);
}
