import type { Clock } from '../common/clock.js';
import { FsError } from '../common/fs-error.js';
import { isPromise, mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { Fh, Ino } from '../model/ids.js';
import { type InodeAttr, isDirectory, S_IFDIR } from '../model/inode.js';
import { MAY_READ } from '../model/permission.js';
import { DirListing, type Page } from './dir-listing.js';
import { HandleTable } from './handle-table.js';
import type { DirentSink, ReaddirRequest } from './requests.js';
import type { VfsContext } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');
const DOT_COOKIE = 1;
const DOT_DOT_COOKIE = 2;
const DIRECTORY_HANDLE = { read: true, write: false, append: false, directory: true };

/** The operations on open directories: opendir, readdir with and without attributes, fsyncdir, releasedir. */
export class DirOps {
  readonly #core: VfsCore;
  readonly #clock: Clock;
  readonly #listings = new HandleTable<DirListing>();

  constructor(core: VfsCore, clock: Clock) {
    this.#core = core;
    this.#clock = clock;
  }

  opendir(ctx: VfsContext, outer: Ino): MaybePromise<Fh> {
    const core = this.#core;
    const ino = core.inner(outer);
    return core.permit(ctx, core.identify(ctx), ino, MAY_READ, () => {
      const fh = this.#listings.number(DIRECTORY_HANDLE);
      this.#listings.add(fh, ino, new DirListing({ meta: core.meta, clock: this.#clock }, ino));
      return fh;
    });
  }

  /** The cookies 1 and 2 are those of `.` and `..`; the others are the server's and stable. */
  readdir(ctx: VfsContext, request: ReaddirRequest, sink: DirentSink): MaybePromise<void> {
    const ino = this.#core.inner(request.ino);
    const listing = this.#listing(request.fh, ino);
    if (request.cookie === 0) {
      listing.rewind();
      this.#core.accessed(ino);
    }
    if (request.cookie < DOT_COOKIE && !sink.add(DOT, DOT_COOKIE, request.ino, S_IFDIR, undefined)) return;
    if (request.cookie >= DOT_DOT_COOKIE) return this.#entries(ctx, listing, request, sink);
    return mapMaybe(this.#parentOf(ctx, ino), (parent) => {
      if (!sink.add(DOT_DOT, DOT_DOT_COOKIE, parent, S_IFDIR, undefined)) return;
      return this.#entries(ctx, listing, request, sink);
    });
  }

  releasedir(fh: Fh): void {
    this.#listings.remove(fh);
  }

  fsyncdir(ctx: VfsContext): Promise<void> {
    return this.#core.meta.barrier(ctx.signal);
  }

  #listing(fh: Fh, ino: Ino): DirListing {
    const listing = this.#listings.get(fh);
    if (listing !== undefined) return listing;
    // A handle of an earlier process: a listing has no state that the cookie does not carry.
    const fresh = new DirListing({ meta: this.#core.meta, clock: this.#clock }, ino);
    this.#listings.add(fh, ino, fresh);
    return fresh;
  }

  #parentOf(ctx: VfsContext, ino: Ino): MaybePromise<Ino> {
    const core = this.#core;
    if (ino === core.opts.rootIno) return core.outer(ino);
    return mapMaybe(core.meta.getattr(ino, ctx.signal), (attr) => {
      if (!isDirectory(attr.mode)) throw new FsError('ENOTDIR', 'a listing of something that is no directory');
      return core.outer(attr.parent);
    });
  }

  /** Adds entries page by page until the sink is full, without a promise as long as pages are at hand. */
  #entries(
    ctx: VfsContext,
    listing: DirListing,
    request: ReaddirRequest,
    sink: DirentSink,
    fetched?: Page,
  ): MaybePromise<void> {
    let after = request.cookie <= DOT_DOT_COOKIE ? 0 : request.cookie;
    let added = false;
    let waitedFor = fetched;
    for (;;) {
      // What is in the reply already need not wait for the next page: the kernel comes back for it.
      if (added && !listing.isReady(after, request.plus)) return;
      const page = waitedFor ?? listing.page(after, request.plus, ctx.signal);
      waitedFor = undefined;
      if (isPromise(page)) {
        const rest = { ...request, cookie: after || DOT_DOT_COOKIE };
        return page.then((arrived) => this.#entries(ctx, listing, rest, sink, arrived));
      }
      const { entries } = page;
      const showsAttrs = request.plus && listing.isFresh(page);
      for (let i = listing.indexAfter(page, after); i < entries.length; i++) {
        const entry = entries[i]!;
        const attr = showsAttrs && entry.attr !== undefined ? this.#present(entry.attr) : undefined;
        if (!sink.add(entry.name, entry.cookie, entry.ino, entry.type, attr)) return;
        added = true;
        after = entry.cookie;
      }
      if (page.end) return;
    }
  }

  #present(attr: InodeAttr): InodeAttr {
    return this.#core.present(attr);
  }
}
