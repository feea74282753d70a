import { FsError } from '../../src/common/fs-error.js';
import { FOPEN_DIRECT_IO, RENAME_NOREPLACE } from '../../src/fuse/abi/flags.js';
import type { DirentPlusWriter, DirentWriter } from '../../src/fuse/codec/dirent-writer.js';
import type { AttrReply, CreateReply, EntryReply, OpenReply, StatfsReply } from '../../src/fuse/codec/replies.js';
import type {
  CreateRequest,
  FallocateRequest,
  LinkRequest,
  LookupRequest,
  MkdirRequest,
  MknodRequest,
  OpenRequest,
  ReadRequest,
  ReaddirRequest,
  RenameRequest,
  SetattrRequest,
  SymlinkRequest,
  UnlinkRequest,
  WriteRequest,
} from '../../src/fuse/codec/requests.js';
import type { FuseContext, FuseOperations } from '../../src/fuse/fuse-operations.js';
import type { MaybePromise } from '../../src/common/maybe-promise.js';
import { NullNode, nowTime, S_IFDIR, S_IFLNK } from './null-node.js';

const S_IFREG = 0o100000;
const O_TRUNC = 0o1000;
const KEY = 'latin1';
const NAME_MAX = 255;

/** Reading a file of this name never returns by itself: the tests interrupt it. */
const HANGING = Buffer.from('.hang').toString(KEY);

/**
 * A filesystem that does nothing but keep a tree in memory: the cost of a request through the kernel, the addon and the codec alone, and
 * a subject for the FUSE layer's kernel tests. No permission checks of its own, no limits, everything is gone at the end.
 */
export class NullFilesystem implements FuseOperations {
  readonly #nodes = new Map<number, NullNode>();
  readonly #hanging = new Set<number>();
  readonly #ttlMs: number;
  #nextIno = 2;

  constructor(options: { readonly ttlMs: number }) {
    this.#ttlMs = options.ttlMs;
    this.#nodes.set(1, new NullNode(1, S_IFDIR | 0o755, process.getuid?.() ?? 0, process.getgid?.() ?? 0, undefined));
  }

  lookup(request: LookupRequest, ctx: FuseContext): EntryReply {
    const parent = this.#dir(ctx.nodeid);
    const name = key(request.name);
    const node = name === '.' ? parent : name === '..' ? (parent.parent ?? parent) : parent.children?.get(name)?.node;
    if (node === undefined) return { nodeid: 0, generation: 0, entryTtlMs: this.#ttlMs, attrTtlMs: 0, attr: undefined };
    return this.#entry(node);
  }

  forget(nodeid: number, nlookup: number): void {
    const node = this.#nodes.get(nodeid);
    if (node === undefined) return;
    node.lookups -= nlookup;
    this.#reap(node);
  }

  undoOpen(nodeid: number): void {
    this.#close(nodeid);
  }

  getattr(_request: unknown, ctx: FuseContext): AttrReply {
    return { attrTtlMs: this.#ttlMs, attr: this.#node(ctx.nodeid) };
  }

  setattr(request: SetattrRequest, ctx: FuseContext): AttrReply {
    const node = this.#node(ctx.nodeid);
    const now = nowTime();
    if (request.mode !== undefined) node.mode = (node.mode & 0o170000) | (request.mode & 0o7777);
    if (request.uid !== undefined) node.uid = request.uid;
    if (request.gid !== undefined) node.gid = request.gid;
    if (request.size !== undefined) {
      node.content.truncate(request.size);
      node.mtime = now;
    }
    if (request.atime !== undefined) node.atime = request.atime === 'now' ? now : request.atime;
    if (request.mtime !== undefined) node.mtime = request.mtime === 'now' ? now : request.mtime;
    node.ctime = now;
    return { attrTtlMs: this.#ttlMs, attr: node };
  }

  readlink(_request: undefined, ctx: FuseContext): Uint8Array {
    return this.#node(ctx.nodeid).target;
  }

  symlink(request: SymlinkRequest, ctx: FuseContext): EntryReply {
    const node = this.#make(ctx, request.name, S_IFLNK | 0o777);
    node.target = request.target;
    return this.#entry(node);
  }

  mknod(request: MknodRequest, ctx: FuseContext): EntryReply {
    const node = this.#make(ctx, request.name, request.mode);
    node.rdev = request.rdev;
    return this.#entry(node);
  }

  mkdir(request: MkdirRequest, ctx: FuseContext): EntryReply {
    const node = this.#make(ctx, request.name, S_IFDIR | request.mode);
    this.#dir(ctx.nodeid).nlink++;
    return this.#entry(node);
  }

  unlink(request: UnlinkRequest, ctx: FuseContext): void {
    const parent = this.#dir(ctx.nodeid);
    const node = this.#child(parent, request.name);
    if (node.isDirectory) throw new FsError('EISDIR');
    this.#drop(parent, request.name, node);
  }

  rmdir(request: UnlinkRequest, ctx: FuseContext): void {
    const parent = this.#dir(ctx.nodeid);
    const node = this.#child(parent, request.name);
    if (!node.isDirectory) throw new FsError('ENOTDIR');
    if ((node.children?.size ?? 0) > 0) throw new FsError('ENOTEMPTY');
    this.#drop(parent, request.name, node);
  }

  rename(request: RenameRequest, ctx: FuseContext): void {
    const from = this.#dir(ctx.nodeid);
    const to = this.#dir(request.newParent);
    if ((request.flags & ~RENAME_NOREPLACE) !== 0) throw new FsError('EINVAL');
    const node = this.#child(from, request.name);
    const old = to.children?.get(key(request.newName))?.node;
    if (old === node) return;
    if (old !== undefined) {
      if ((request.flags & RENAME_NOREPLACE) !== 0) throw new FsError('EEXIST');
      if (old.isDirectory && (old.children?.size ?? 0) > 0) throw new FsError('ENOTEMPTY');
      this.#drop(to, request.newName, old);
    }
    from.children?.delete(key(request.name));
    this.#enter(to, request.newName, node);
    if (node.isDirectory && from !== to) {
      from.nlink--;
      to.nlink++;
      node.parent = to;
    }
    from.touch();
  }

  link(request: LinkRequest, ctx: FuseContext): EntryReply {
    const node = this.#node(request.oldNodeid);
    this.#enter(this.#dir(ctx.nodeid), request.name, node);
    node.nlink++;
    node.ctime = nowTime();
    return this.#entry(node);
  }

  open(request: OpenRequest, ctx: FuseContext): OpenReply {
    const node = this.#node(ctx.nodeid);
    if ((request.flags & O_TRUNC) !== 0) {
      node.content.truncate(0);
      node.touch();
    }
    node.opens++;
    // Read-ahead is not interruptible; a direct read is the caller's own request.
    return { fh: node.ino, openFlags: this.#hanging.has(node.ino) ? FOPEN_DIRECT_IO : 0 };
  }

  create(request: CreateRequest, ctx: FuseContext): CreateReply {
    const node = this.#make(ctx, request.name, S_IFREG | (request.mode & 0o7777));
    node.opens++;
    return { entry: this.#entry(node), open: { fh: node.ino, openFlags: 0 } };
  }

  read(request: ReadRequest, ctx: FuseContext): MaybePromise<readonly Uint8Array[]> {
    const node = this.#node(ctx.nodeid);
    if (this.#hanging.has(node.ino)) return hang(ctx.signal);
    return node.content.read(request.offset, request.size);
  }

  write(request: WriteRequest, ctx: FuseContext): number {
    const node = this.#node(ctx.nodeid);
    node.content.write(request.offset, request.data);
    node.touch();
    return request.data.length;
  }

  statfs(): StatfsReply {
    const blocks = 2 ** 30;
    return {
      blocks,
      bfree: blocks,
      bavail: blocks,
      files: 1e9,
      ffree: 1e9,
      bsize: 4096,
      namelen: NAME_MAX,
      frsize: 4096,
    };
  }

  release(_request: unknown, ctx: FuseContext): void {
    this.#close(ctx.nodeid);
  }

  flush(): void {
    // nothing is buffered
  }

  fsync(): void {
    // nothing is buffered
  }

  fsyncdir(): void {
    // nothing is buffered
  }

  fallocate(request: FallocateRequest, ctx: FuseContext): void {
    const node = this.#node(ctx.nodeid);
    if (request.mode !== 0) throw new FsError('EOPNOTSUPP');
    if (request.offset + request.length > node.size) node.content.truncate(request.offset + request.length);
  }

  opendir(_request: OpenRequest, ctx: FuseContext): OpenReply {
    return { fh: this.#dir(ctx.nodeid).ino, openFlags: 0 };
  }

  releasedir(): void {
    // an open directory has no state
  }

  readdir(request: ReaddirRequest, ctx: FuseContext, writer: DirentWriter): void {
    for (const [name, cookie, node] of this.#listing(ctx.nodeid, request.offset))
      if (!writer.add(name, cookie, node.ino, node.mode)) return;
  }

  readdirplus(request: ReaddirRequest, ctx: FuseContext, writer: DirentPlusWriter): void {
    for (const [name, cookie, node] of this.#listing(ctx.nodeid, request.offset)) {
      if (cookie <= 2) {
        if (!writer.addBare(name, cookie, node.ino, node.mode)) return;
      } else {
        if (!writer.add(name, cookie, this.#reply(node))) return;
        node.lookups++;
      }
    }
  }

  *#listing(nodeid: number, after: number): Generator<[Buffer, number, NullNode]> {
    const dir = this.#dir(nodeid);
    if (after < 1) yield [Buffer.from('.'), 1, dir];
    if (after < 2) yield [Buffer.from('..'), 2, dir.parent ?? dir];
    for (const [name, { cookie, node }] of dir.children ?? [])
      if (cookie > after) yield [Buffer.from(name, KEY), cookie, node];
  }

  #node(nodeid: number): NullNode {
    const node = this.#nodes.get(nodeid);
    if (node === undefined) throw new FsError('ESTALE', `node ${nodeid}`);
    return node;
  }

  #dir(nodeid: number): NullNode {
    const node = this.#node(nodeid);
    if (!node.isDirectory) throw new FsError('ENOTDIR');
    return node;
  }

  #child(parent: NullNode, name: Buffer): NullNode {
    const entry = parent.children?.get(key(name));
    if (entry === undefined) throw new FsError('ENOENT');
    return entry.node;
  }

  #make(ctx: FuseContext, name: Buffer, mode: number): NullNode {
    const parent = this.#dir(ctx.nodeid);
    const node = new NullNode(this.#nextIno++, mode, ctx.uid, ctx.gid, parent);
    this.#enter(parent, name, node);
    this.#nodes.set(node.ino, node);
    if (key(name) === HANGING) {
      this.#hanging.add(node.ino);
      node.content.truncate(1 << 20);
    }
    return node;
  }

  #enter(parent: NullNode, name: Buffer, node: NullNode): void {
    if (name.length > NAME_MAX) throw new FsError('ENAMETOOLONG');
    if (parent.children?.has(key(name)) === true) throw new FsError('EEXIST');
    parent.children?.set(key(name), { cookie: parent.nextCookie++, node });
    parent.touch();
  }

  #drop(parent: NullNode, name: Buffer, node: NullNode): void {
    parent.children?.delete(key(name));
    parent.touch();
    node.ctime = nowTime();
    if (node.isDirectory) {
      node.nlink = 0;
      parent.nlink--;
    } else {
      node.nlink--;
    }
    this.#reap(node);
  }

  #close(nodeid: number): void {
    const node = this.#nodes.get(nodeid);
    if (node === undefined) return;
    node.opens--;
    this.#reap(node);
  }

  /** Forgets a node that has no name and that neither the kernel nor a handle refers to. */
  #reap(node: NullNode): void {
    if (node.nlink > 0 || node.lookups > 0 || node.opens > 0) return;
    this.#nodes.delete(node.ino);
    this.#hanging.delete(node.ino);
  }

  #entry(node: NullNode): EntryReply {
    node.lookups++;
    return this.#reply(node);
  }

  #reply(node: NullNode): EntryReply {
    return { nodeid: node.ino, generation: 0, entryTtlMs: this.#ttlMs, attrTtlMs: this.#ttlMs, attr: node };
  }
}

function key(name: Buffer): string {
  return name.toString(KEY);
}

/** Waits until the caller gives up. */
function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const aborted = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
  });
}
