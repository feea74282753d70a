import { systemClock } from '../../src/common/clock.js';
import type { OpId } from '../../src/meta/metadata.js';
import { type Ino, ROOT_INO } from '../../src/model/ids.js';
import type { InodeAttr } from '../../src/model/inode.js';
import { Callers, NO_SQUASH, type Squash } from '../../src/vfs/caller.js';
import { CurveFileSystem } from '../../src/vfs/curve-file-system.js';
import type { DriverCache } from '../../src/vfs/driver-cache.js';
import type { ThreadIdentity } from '../../src/vfs/proc-status.js';
import type { VfsContext } from '../../src/vfs/vfs-context.js';
import type { VfsOptions } from '../../src/vfs/vfs-core.js';
import { MemoryFileData } from './memory-file-data.js';
import { MemoryMetadata, type MemoryMetadataOptions } from './memory-metadata.js';

export interface TestVfsOptions extends Partial<VfsOptions> {
  readonly metadata?: MemoryMetadataOptions;
  readonly squash?: Squash;
  readonly driverCache?: DriverCache;
  readonly kernelChecks?: boolean;
  /** What /proc says of a thread. */
  readonly threads?: ReadonlyMap<number, ThreadIdentity>;
}

/** A VFS over in-memory metadata and data, with callers that are made up. */
export class TestVfs {
  readonly meta: MemoryMetadata;
  readonly data: MemoryFileData;
  readonly fs: CurveFileSystem;
  #requests = 0;

  constructor(options: TestVfsOptions = {}) {
    this.meta = new MemoryMetadata(options.metadata ?? {});
    this.data = new MemoryFileData(this.meta);
    const callers = new Callers(
      { read: (tid) => options.threads?.get(tid), clock: systemClock },
      { squash: options.squash ?? NO_SQUASH, kernelChecks: options.kernelChecks ?? false },
    );
    const { readOnly = false, rootIno = ROOT_INO, xattrs = true, acl = false, writeback = false } = options;
    this.fs = new CurveFileSystem(
      { meta: this.meta, data: this.data, callers, clock: systemClock, driverCache: options.driverCache },
      { readOnly, rootIno, xattrs, acl, writeback, atime: options.atime ?? { policy: 'relatime', directories: true } },
    );
  }

  /** The context of a new request by root, or by whoever is given. */
  by(uid = 0, gid = uid, tid = 0): VfsContext {
    const opId: OpId = { kind: 'kernel', number: (this.#requests += 2), step: 0 };
    return { opId, uid, gid, tid, suppGid: undefined, signal: undefined };
  }

  async mkdir(parent: Ino, name: string, mode = 0o755, ctx = this.by()): Promise<InodeAttr> {
    return this.fs.mkdir(ctx, { parent, name: Buffer.from(name), mode });
  }

  async lookup(parent: Ino, name: string, ctx = this.by()): Promise<InodeAttr | undefined> {
    return this.fs.lookup(ctx, parent, Buffer.from(name));
  }

  /** A file with content, closed. */
  async file(parent: Ino, name: string, content = '', mode = 0o644, ctx = this.by()): Promise<InodeAttr> {
    const made = await this.fs.create(ctx, { parent, name: Buffer.from(name), mode, flags: 0o102, killPriv: false });
    if (content !== '') await this.write(made.attr.ino, made.fh, 0, content);
    this.fs.release(made.attr.ino, made.fh);
    return this.fs.getattr(this.by(), made.attr.ino);
  }

  async write(ino: Ino, fh: number, offset: number, data: string, ctx = this.by(), append = false): Promise<void> {
    await this.fs.write(ctx, {
      ino,
      fh: fh as never,
      offset,
      data: Buffer.from(data),
      append,
      fromPageCache: false,
      killPriv: false,
    });
  }

  async content(ino: Ino): Promise<string> {
    const { fh } = await this.fs.open(this.by(), { ino, flags: 0, killPriv: false });
    const parts = await this.fs.read(this.by(), ino, fh, 0, 1 << 20);
    this.fs.release(ino, fh);
    return Buffer.concat(parts).toString();
  }

  /** Names of a directory, read in buffers of `batch` entries. */
  async list(ino: Ino, batch = Infinity, plus = true): Promise<string[]> {
    const fh = await this.fs.opendir(this.by(), ino);
    const names: string[] = [];
    let cookie = 0;
    for (;;) {
      let room = batch;
      let added = 0;
      await this.fs.readdir(
        this.by(),
        { ino, fh, cookie, plus },
        {
          add: (name, at) => {
            if (room === 0) return false;
            room -= 1;
            added += 1;
            cookie = at;
            names.push(Buffer.from(name).toString('latin1'));
            return true;
          },
        },
      );
      if (added === 0) break;
    }
    this.fs.releasedir(ino, fh);
    return names;
  }
}

/** What setattr takes, with everything left alone but what is given. */
export const change = (given: object): Parameters<CurveFileSystem['setattr']>[2] => ({
  fh: undefined,
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  atime: undefined,
  mtime: undefined,
  ctime: undefined,
  killPriv: false,
  ...given,
});
