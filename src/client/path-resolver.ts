import { FsError } from '../common/fs-error.js';
import { isPromise, type MaybePromise } from '../common/maybe-promise.js';
import { type Ino, ROOT_INO } from '../model/ids.js';
import type { InodeAttr } from '../model/inode.js';
import type { FileSystem } from '../vfs/file-system.js';
import type { VfsContext } from '../vfs/vfs-context.js';

/** The directory a path's last name is in, and that name. */
export interface NamedEntry {
  readonly parent: Ino;
  readonly name: Buffer;
}

/**
 * Maps the absolute paths of a path-based driver to inodes, name by name through the VFS: it checks permission on the way, and its metadata cache makes the walk cheap.
 * Symbolic links are the kernel's to follow: none is met in the middle of a path.
 */
export class PathResolver {
  readonly #fs: FileSystem;

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  /** ENOENT when there is nothing. */
  async attr(ctx: VfsContext, path: string): Promise<InodeAttr> {
    let found: MaybePromise<InodeAttr | undefined> = this.#fs.getattr(ctx, ROOT_INO);
    for (const name of namesOf(path)) {
      const parent = isPromise(found) ? await found : found;
      if (parent === undefined) break;
      found = this.#fs.lookup(ctx, parent.ino, Buffer.from(name));
    }
    const attr = isPromise(found) ? await found : found;
    if (attr === undefined) throw new FsError('ENOENT', path);
    return attr;
  }

  async entry(ctx: VfsContext, path: string): Promise<NamedEntry> {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new FsError('EBUSY', 'the root has no name');
    const parent = await this.attr(ctx, `/${names.join('/')}`);
    return { parent: parent.ino, name: Buffer.from(name) };
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}
