import type { FuseContext } from '../fuse/fuse-operations.js';
import type { OpId } from '../meta/metadata.js';
import type { VfsContext } from '../vfs/vfs-context.js';

/** A kernel request's context as the VFS sees it. The operation id is the kernel's number for the request, which a re-sent one keeps. */
export class KernelContext implements VfsContext {
  readonly uid: number;
  readonly gid: number;
  readonly tid: number;
  readonly #fuse: FuseContext;

  constructor(fuse: FuseContext) {
    this.uid = fuse.uid;
    this.gid = fuse.gid;
    this.tid = fuse.pid;
    this.#fuse = fuse;
  }

  get suppGid(): number | undefined {
    return this.#fuse.createSuppGid;
  }

  get opId(): OpId {
    return { kind: 'kernel', number: this.#fuse.opId, step: 0 };
  }

  /** Made only for those who ask. */
  get signal(): AbortSignal {
    return this.#fuse.signal;
  }
}
