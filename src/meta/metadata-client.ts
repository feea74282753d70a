import type { Clock } from '../common/clock.js';
import { ERRNO } from '../common/errno.js';
import { FsError } from '../common/fs-error.js';
import { interruptible } from '../common/interruptible.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import type { Counter, MetricsRegistry } from '../common/metrics.js';
import type { Response } from '../gen/curvefs/v1/metaserver.js';
import type { FsInfo, FsUsage } from '../model/filesystem.js';
import { aclKind } from '../model/acl.js';
import { NO_INO, type ChunkId, type Fh, type Ino, type SessionId } from '../model/ids.js';
import { isDirectory, type InodeAttr, type Timespec } from '../model/inode.js';
import {
  RENAME_EXCHANGE,
  type Access,
  type CloneSpec,
  RENAME_WHITEOUT,
  type CommitSpec,
  type CreateResult,
  type CreateSpec,
  type DirPage,
  type FallocateSpec,
  type NameRef,
  type OpenSpec,
  type OpId,
  type RangeResult,
  type Owner,
  type SetAttr,
  type SwapSpec,
} from '../model/operation.js';
import type { LockQuery, LockRange, LockSpec } from '../model/lock.js';
import { attrFromProto } from '../wire/attr.js';
import { blocksFromProto } from '../wire/extent.js';
import { fsUsageFromProto } from '../wire/filesystem.js';
import { lockFoundFromProto, lockQueryToProto, lockSpecToProto } from '../wire/lock.js';
import { opIdToProto } from '../wire/op-id.js';
import {
  accessesToProto,
  bufferOf,
  cloneToProto,
  commitToProto,
  createToProto,
  dirEntryFromProto,
  fallocateToProto,
  openToProto,
  renameToProto,
  setAttrToProto,
  swapToProto,
} from '../wire/operation.js';
import { required, safeNumber } from '../wire/safe-number.js';
import { WireError } from '../wire/wire-error.js';
import { TimeoutPolicy, type CachePolicy } from './cache-policy.js';
import type { ChunkIds } from './chunk-ids.js';
import type { AdoptCheck, ExtentMap, Metadata, OpContext, OpenResult, QuotaShare, SpaceGrant } from './metadata.js';
import { checkErrno, type MetaserverSession } from './metaserver-session.js';
import { NamespaceCache, nameKey, type NamespaceCacheOptions } from './namespace-cache.js';
import { dentryKey } from './own-ops.js';
import { PagePrefetch } from './page-prefetch.js';
import type { RequestOp } from './session-call.js';
import { ValueCache } from './value-cache.js';

/** What is needed of a session. */
export type OperationStream = Pick<MetaserverSession, 'sessionId' | 'now' | 'call' | 'release'>;

export interface MetadataClientDeps {
  readonly session: OperationStream;
  readonly chunkIds: Pick<ChunkIds, 'allocate'>;
  readonly clock: Clock;
  readonly metrics: MetricsRegistry;
  /** Default: a time-out per the options. */
  readonly policy?: CachePolicy;
}

export interface MetadataClientOptions extends Partial<NamespaceCacheOptions> {
  readonly fs: FsInfo;
  readonly attrTimeoutSec?: number;
  readonly entryTimeoutSec?: number;
  /** The first number of {@link MetadataClient.clientOpId}: above all that earlier workers of the session used. */
  readonly firstClientOp?: number;
}

const ROOT: Owner = { uid: 0, gid: 0 };
/** Inodes whose statfs is remembered. */
const USAGES_MAX = 64;
const UNLIMITED = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * The metadata service over a session: each method is one operation of the stream, or an answer from the caches (given at once, without a promise).
 * Every reply feeds the caches as it arrives, in the order of the server; see {@link NamespaceCache} for what may be served and why that is safe.
 */
export class MetadataClient implements Metadata {
  readonly fs: FsInfo;
  readonly entryTimeoutSec: number;
  readonly attrTimeoutSec: number;

  readonly #session: OperationStream;
  readonly #chunkIds: Pick<ChunkIds, 'allocate'>;
  readonly #policy: CachePolicy;
  readonly #cache: NamespaceCache;
  /** Values are one-element arrays, so that "no such attribute" can be kept too. */
  readonly #xattrs = new ValueCache<readonly (Uint8Array | undefined)[]>({ bytesMax: 8 * 1024 * 1024 });
  readonly #xattrNames = new ValueCache<readonly Uint8Array[]>({ bytesMax: 2 * 1024 * 1024 });
  /** A symlink's target never changes. */
  readonly #targets = new ValueCache<Uint8Array>({ bytesMax: 4 * 1024 * 1024 });
  readonly #pages = new PagePrefetch();
  readonly #hits: Readonly<Record<'attr' | 'entry' | 'xattr' | 'readlink' | 'page', Counter>>;
  readonly #misses: Readonly<Record<'attr' | 'entry' | 'xattr' | 'readlink' | 'page', Counter>>;
  readonly #usage = new Map<Ino, { readonly usage: FsUsage; readonly until: number }>();
  #nextClientOp: number;

  constructor(deps: MetadataClientDeps, options: MetadataClientOptions) {
    this.fs = options.fs;
    this.attrTimeoutSec = options.attrTimeoutSec ?? 1;
    this.entryTimeoutSec = options.entryTimeoutSec ?? 1;
    this.#session = deps.session;
    this.#chunkIds = deps.chunkIds;
    this.#policy = deps.policy ?? new TimeoutPolicy(deps, this);
    this.#cache = new NamespaceCache(this.#policy, {
      inodesMax: options.inodesMax ?? 100_000,
      dentriesMax: options.dentriesMax ?? 100_000,
      completeNamesMax: options.completeNamesMax ?? 200_000,
    });
    this.#nextClientOp = options.firstClientOp ?? 1;
    const counters = (
      name: string,
      help: string,
    ): Record<'attr' | 'entry' | 'xattr' | 'readlink' | 'page', Counter> => {
      const of = (kind: string): Counter => deps.metrics.counter({ name, help, labels: ['kind'] }, { kind });
      return { attr: of('attr'), entry: of('entry'), xattr: of('xattr'), readlink: of('readlink'), page: of('page') };
    };
    this.#hits = counters('meta_cache_hits_total', 'Metadata answered from the cache');
    this.#misses = counters('meta_cache_misses_total', 'Metadata asked of the metaserver');
    deps.metrics.gauge(
      { name: 'meta_cached_inodes', help: 'Inodes whose attributes are cached' },
      () => this.#cache.attrs.size,
    );
    deps.metrics.gauge(
      { name: 'meta_cached_dentries', help: 'Directory entries cached' },
      () => this.#cache.dentryCount,
    );
    deps.metrics.gauge(
      { name: 'meta_cached_complete_names', help: 'Names of directories known completely' },
      () => this.#cache.completeWeight,
    );
  }

  get sessionId(): SessionId {
    return this.#session.sessionId;
  }

  now(): Timespec {
    return this.#session.now();
  }

  clientOpId(): OpId {
    return { kind: 'client', number: this.#nextClientOp++, step: 0 };
  }

  lookup(parent: Ino, name: Uint8Array, signal?: AbortSignal): MaybePromise<InodeAttr | undefined> {
    const key = nameKey(name);
    const known = this.#cache.lookup(parent, key);
    if (known !== undefined) {
      this.#hits.entry.inc();
      return known === 'absent' ? undefined : known;
    }
    this.#misses.entry.inc();
    const { moment } = this.#cache;
    const op: RequestOp = { $case: 'lookup', value: { parent: BigInt(parent), name: bufferOf(name) } };
    return this.#ask(op, signal, (response, attrs) => {
      if (response.errno === ERRNO.ENOENT) {
        this.#cache.looked(parent, key, NO_INO, moment);
        return undefined;
      }
      checkErrno(response);
      const attr = first(attrs);
      this.#cache.looked(parent, key, attr.ino, moment);
      return attr;
    });
  }

  removable(parent: Ino, name: Uint8Array): InodeAttr | undefined {
    const known = this.#cache.removable(parent, nameKey(name));
    if (known !== undefined) this.#hits.entry.inc();
    return known;
  }

  getattr(ino: Ino, signal?: AbortSignal): MaybePromise<InodeAttr> {
    const known = this.#cache.getattr(ino);
    if (known !== undefined) {
      this.#hits.attr.inc();
      return known;
    }
    this.#misses.attr.inc();
    return this.#ask({ $case: 'getattr', value: { ino: BigInt(ino) } }, signal, (response, attrs) => {
      this.#checkInode(response, ino);
      return first(attrs);
    });
  }

  knownAttr(ino: Ino): InodeAttr | undefined {
    return this.#cache.attrs.newest(ino);
  }

  setattr(ctx: OpContext, ino: Ino, change: SetAttr): Promise<InodeAttr> {
    return this.#changeInode(ctx, ino, { $case: 'setattr', value: setAttrToProto(ino, change) }, (_, attrs) =>
      first(attrs),
    );
  }

  readlink(ino: Ino, signal?: AbortSignal): MaybePromise<Uint8Array> {
    const known = this.#targets.get(String(ino), 0);
    if (known !== undefined) {
      this.#hits.readlink.inc();
      return known;
    }
    this.#misses.readlink.inc();
    return this.#ask({ $case: 'readlink', value: { ino: BigInt(ino) } }, signal, (response) => {
      this.#checkInode(response, ino);
      const { target } = result(response, 'readlink');
      this.#targets.set(String(ino), 0, target, target.length);
      return target;
    });
  }

  create(ctx: OpContext, parent: Ino, name: Uint8Array, spec: CreateSpec): Promise<CreateResult> {
    if (spec.unnamed === true) return this.#createUnnamed(ctx, parent, spec);
    const key = nameKey(name);
    const own = this.#cache.begin([parent], [dentryKey(parent, key)]);
    const op: RequestOp = { $case: 'create', value: createToProto(parent, name, spec) };
    return this.#session.call(op, ctx.opId, ctx.signal, (response) => {
      const attrs = attrsOf(response);
      const created = response.errno === 0 && response.result?.$case === 'create' && response.result.value.created;
      this.#cache.end(own, attrs, created);
      if (response.errno !== 0) this.#failed(response, parent, key);
      const attr = first(attrs);
      if (created) {
        this.#cache.linked(parent, key, attr.ino);
        if (isDirectory(attr.mode)) this.#cache.madeDirectory(attr);
      } else this.#confirmed(parent, key, attr.ino);
      return { attr, created };
    });
  }

  link(ctx: OpContext, ino: Ino, newParent: Ino, newName: Uint8Array): Promise<InodeAttr> {
    const key = nameKey(newName);
    const own = this.#cache.begin([newParent, ino], [dentryKey(newParent, key)]);
    const value = { ino: BigInt(ino), newParent: BigInt(newParent), newName: bufferOf(newName) };
    return this.#session.call({ $case: 'link', value }, ctx.opId, ctx.signal, (response) => {
      const attrs = attrsOf(response);
      this.#cache.end(own, attrs, response.errno === 0);
      if (response.errno !== 0) this.#failed(response, newParent, key);
      this.#cache.linked(newParent, key, ino);
      return first(attrs);
    });
  }

  unlink(ctx: OpContext, parent: Ino, name: Uint8Array): Promise<void> {
    return this.#remove(ctx, 'unlink', parent, name);
  }

  rmdir(ctx: OpContext, parent: Ino, name: Uint8Array): Promise<void> {
    return this.#remove(ctx, 'rmdir', parent, name);
  }

  rename(ctx: OpContext, from: NameRef, to: NameRef, flags: number, whiteout: Owner = ROOT): Promise<void> {
    const fromKey = nameKey(from.name);
    const toKey = nameKey(to.name);
    const parents = from.parent === to.parent ? [from.parent] : [from.parent, to.parent];
    const own = this.#cache.begin(parents, [dentryKey(from.parent, fromKey), dentryKey(to.parent, toKey)]);
    const op: RequestOp = { $case: 'rename', value: renameToProto(from, to, flags, whiteout) };
    return this.#session.call(op, ctx.opId, ctx.signal, (response) => {
      const attrs = attrsOf(response);
      this.#cache.end(own, attrs, response.errno === 0);
      if (response.errno !== 0) {
        this.#cache.forget(to.parent, toKey);
        this.#failed(response, from.parent, fromKey);
      }
      this.#renamed({ parent: from.parent, key: fromKey }, { parent: to.parent, key: toKey }, flags, attrs);
    });
  }

  async readdir(ino: Ino, afterCookie: number, withAttrs: boolean, signal?: AbortSignal): Promise<DirPage> {
    const ahead = this.#pages.take(
      ino,
      afterCookie,
      withAttrs,
      ({ moment, sentAt }) =>
        this.#cache.isQuietSince(ino, moment) && this.#policy.now() - sentAt < this.entryTimeoutSec * 1000,
    );
    this.#count('page', ahead !== undefined);
    const page = await (ahead === undefined
      ? this.#readPage(ino, afterCookie, withAttrs, signal)
      : interruptible(ahead, signal));
    const last = page.entries.at(-1);
    if (!page.end && last !== undefined && this.entryTimeoutSec > 0) {
      const next = { afterCookie: last.cookie, withAttrs, moment: this.#cache.moment, sentAt: this.#policy.now() };
      this.#pages.put(ino, { ...next, page: this.#readPage(ino, last.cookie, withAttrs, undefined) });
    }
    return page;
  }

  open(ctx: OpContext, ino: Ino, spec: OpenSpec): Promise<OpenResult> {
    return this.#changeInode(ctx, ino, { $case: 'open', value: openToProto(ino, spec) }, (response, attrs) => {
      const attr = first(attrs);
      const { result: extents } = response;
      return { attr, extents: extents?.$case === 'extents' ? extentMap(attr, extents.value) : undefined };
    });
  }

  release(ino: Ino, fh: Fh): void {
    this.#session.release(ino, fh);
  }

  readExtents(ino: Ino, firstBlock: number, blockCount: number, signal?: AbortSignal): Promise<ExtentMap> {
    const op: RequestOp = { $case: 'readExtents', value: { ino: BigInt(ino), firstBlock, blockCount } };
    return this.#ask(op, signal, (response, attrs) => {
      this.#checkInode(response, ino);
      return extentMap(first(attrs), result(response, 'extents'));
    });
  }

  commitExtents(ctx: OpContext, ino: Ino, spec: CommitSpec): Promise<InodeAttr> {
    return this.#changeInode(ctx, ino, { $case: 'commitExtents', value: commitToProto(ino, spec) }, (_, attrs) =>
      first(attrs),
    );
  }

  swapExtents(ctx: OpContext, ino: Ino, spec: SwapSpec): Promise<boolean> {
    return this.#changeInode(
      ctx,
      ino,
      { $case: 'swapExtents', value: swapToProto(ino, spec) },
      (response) => result(response, 'swap').swapped,
    );
  }

  fallocate(ctx: OpContext, ino: Ino, spec: FallocateSpec): Promise<RangeResult> {
    return this.#changeInode(ctx, ino, { $case: 'fallocate', value: fallocateToProto(ino, spec) }, rangeResult);
  }

  cloneRange(ctx: OpContext, ino: Ino, spec: CloneSpec): Promise<RangeResult> {
    return this.#changeInode(ctx, ino, { $case: 'cloneRange', value: cloneToProto(ino, spec) }, rangeResult);
  }

  updateAtimes(accesses: readonly Access[]): Promise<void> {
    return this.#ask({ $case: 'updateAtimes', value: accessesToProto(accesses) }, undefined, checkErrno);
  }

  allocateChunkId(signal?: AbortSignal): MaybePromise<ChunkId> {
    return this.#chunkIds.allocate(signal);
  }

  getxattr(ino: Ino, name: Uint8Array, signal?: AbortSignal): MaybePromise<Uint8Array | undefined> {
    const key = dentryKey(ino, nameKey(name));
    const attr = this.#cache.getattr(ino);
    const version = aclKind(name) === undefined ? xattrVersion : aclVersion;
    const known = attr === undefined ? undefined : version(attr) > 0 ? this.#xattrs.get(key, version(attr)) : NONE;
    this.#count('xattr', known !== undefined);
    if (known !== undefined) return known[0];
    // The value is at least as new as these attributes; when others come, it is asked for again.
    const newest = this.#cache.attrs.newest(ino);
    const change = newest === undefined ? undefined : version(newest);
    const op: RequestOp = { $case: 'getxattr', value: { ino: BigInt(ino), name: bufferOf(name) } };
    return this.#ask(op, signal, (response) => {
      this.#checkInode(response, ino);
      const { found, value } = result(response, 'xattr');
      if (change !== undefined) this.#xattrs.set(key, change, [found ? value : undefined], value.length);
      return found ? value : undefined;
    });
  }

  listxattr(ino: Ino, signal?: AbortSignal): MaybePromise<readonly Uint8Array[]> {
    const attr = this.#cache.getattr(ino);
    const key = String(ino);
    const known = attr === undefined ? undefined : attr.hasXattrs ? this.#xattrNames.get(key, attr.change) : [];
    this.#count('xattr', known !== undefined);
    if (known !== undefined) return known;
    const change = this.#cache.attrs.newest(ino)?.change;
    return this.#ask({ $case: 'listxattr', value: { ino: BigInt(ino) } }, signal, (response) => {
      this.#checkInode(response, ino);
      const { names } = result(response, 'xattrNames');
      if (change !== undefined) {
        const bytes = names.reduce((sum, name) => sum + name.length + 16, 0);
        this.#xattrNames.set(key, change, names, bytes);
      }
      return names;
    });
  }

  setxattr(ctx: OpContext, ino: Ino, name: Uint8Array, value: Uint8Array, flags: number): Promise<void> {
    const proto = { ino: BigInt(ino), name: bufferOf(name), value: bufferOf(value), flags };
    return this.#changeInode(ctx, ino, { $case: 'setxattr', value: proto }, () => undefined);
  }

  removexattr(ctx: OpContext, ino: Ino, name: Uint8Array): Promise<void> {
    const proto = { ino: BigInt(ino), name: bufferOf(name) };
    return this.#changeInode(ctx, ino, { $case: 'removexattr', value: proto }, () => undefined);
  }

  setLock(opId: OpId, ino: Ino, spec: LockSpec): Promise<InodeAttr | undefined> {
    const op: RequestOp = { $case: 'setLock', value: lockSpecToProto(ino, spec) };
    // not as a change of the inode: a wait may take hours, during which its attributes are cached as ever
    return this.#session.call(op, opId, undefined, (response) => {
      const attrs = attrsOf(response);
      this.#cache.learn(attrs);
      this.#checkInode(response, ino);
      if (spec.type === undefined) return undefined;
      if (!result(response, 'setLock').granted) throw new FsError('EAGAIN');
      return first(attrs);
    });
  }

  getLock(ino: Ino, query: LockQuery, signal?: AbortSignal): Promise<LockRange | undefined> {
    return this.#ask({ $case: 'getLock', value: lockQueryToProto(ino, query) }, signal, (response) => {
      checkErrno(response);
      return lockFoundFromProto(result(response, 'getLock'));
    });
  }

  cancelLock(opId: OpId): Promise<void> {
    return this.#ask({ $case: 'cancelLock', value: { opId: opIdToProto(opId) } }, undefined, checkErrno);
  }

  statfs(ino: Ino, signal?: AbortSignal): MaybePromise<FsUsage> {
    const known = this.#usage.get(ino);
    if (known !== undefined && this.#policy.now() < known.until) return known.usage;
    return this.#ask({ $case: 'statfs', value: { ino: BigInt(ino) } }, signal, (response) => {
      checkErrno(response);
      const usage = fsUsageFromProto(result(response, 'statfs'));
      if (this.#usage.size >= USAGES_MAX) this.#usage.clear();
      this.#usage.set(ino, { usage, until: this.#policy.confirmedUntil('attr') });
      return usage;
    });
  }

  reserve(bytes: number, signal?: AbortSignal, of?: QuotaShare): Promise<SpaceGrant> {
    const value = { bytes: BigInt(bytes), quota: BigInt(of?.quota ?? 0), ahead: BigInt(of?.ahead ?? 0) };
    return this.#ask({ $case: 'reserve', value }, signal, (response) => {
      checkErrno(response);
      const { granted, freeing } = result(response, 'reserve');
      return { granted: granted === UNLIMITED ? Infinity : safeNumber(granted, 'reserve.granted'), freeing };
    });
  }

  barrier(signal?: AbortSignal): Promise<void> {
    return this.#ask({ $case: 'barrier', value: {} }, signal, checkErrno);
  }

  queryOps(session: SessionId, opIds: readonly OpId[]): Promise<readonly boolean[]> {
    const value = { sessionId: BigInt(session), opIds: opIds.map(opIdToProto) };
    return this.#ask({ $case: 'queryOps', value }, undefined, (response) => {
      checkErrno(response);
      const { executed } = result(response, 'queryOps');
      if (executed.length !== opIds.length) throw new WireError('unknown-value', 'queryOps.executed', 'wrong length');
      return executed;
    });
  }

  adoptCheck(session: SessionId, ino: Ino, change: number): Promise<AdoptCheck> {
    const value = { sessionId: BigInt(session), ino: BigInt(ino), change: BigInt(change) };
    return this.#ask({ $case: 'adoptCheck', value }, undefined, (response, attrs) => {
      checkErrno(response);
      const { exists, foreignChange } = result(response, 'adoptCheck');
      return { attr: exists ? first(attrs) : undefined, foreignChange };
    });
  }

  adoptEnd(session: SessionId): Promise<void> {
    return this.#ask({ $case: 'adoptEnd', value: { sessionId: BigInt(session) } }, undefined, checkErrno);
  }

  /** A file without a name: no directory changes. */
  #createUnnamed(ctx: OpContext, parent: Ino, spec: CreateSpec): Promise<CreateResult> {
    const op: RequestOp = { $case: 'create', value: createToProto(parent, NO_NAME, spec) };
    return this.#session.call(op, ctx.opId, ctx.signal, (response) => {
      const attrs = attrsOf(response);
      this.#cache.learn(attrs);
      checkErrno(response);
      return { attr: first(attrs), created: true };
    });
  }

  /** A question: its reply's attributes are learned whatever it says. */
  #ask<T>(
    op: RequestOp,
    signal: AbortSignal | undefined,
    parse: (response: Response, attrs: readonly InodeAttr[]) => T,
  ): Promise<T> {
    return this.#session.call(op, undefined, signal, (response) => {
      const attrs = attrsOf(response);
      this.#cache.learn(attrs);
      return parse(response, attrs);
    });
  }

  /** A change of one inode and no name. */
  #changeInode<T>(
    ctx: OpContext,
    ino: Ino,
    op: RequestOp,
    parse: (response: Response, attrs: readonly InodeAttr[]) => T,
  ): Promise<T> {
    const own = this.#cache.begin([ino], []);
    return this.#session.call(op, ctx.opId, ctx.signal, (response) => {
      const attrs = attrsOf(response);
      this.#cache.end(own, attrs, response.errno === 0);
      this.#checkInode(response, ino);
      if (attrs.length === 0) this.#cache.attrs.expire(ino);
      return parse(response, attrs);
    });
  }

  #remove(ctx: OpContext, kind: 'unlink' | 'rmdir', parent: Ino, name: Uint8Array): Promise<void> {
    const key = nameKey(name);
    const own = this.#cache.begin([parent], [dentryKey(parent, key)]);
    const op: RequestOp = { $case: kind, value: { parent: BigInt(parent), name: bufferOf(name) } };
    return this.#session.call(op, ctx.opId, ctx.signal, (response) => {
      const attrs = attrsOf(response);
      this.#cache.end(own, attrs, response.errno === 0);
      if (response.errno !== 0) this.#failed(response, parent, key);
      this.#unlinkedInode(this.#cache.thought(parent, key), attrs);
      this.#cache.unlinked(parent, key);
      const removed = attrs[0];
      if (kind === 'rmdir' && removed !== undefined && removed.ino !== parent)
        this.#cache.removedDirectory(removed.ino);
    });
  }

  #renamed(
    from: { readonly parent: Ino; readonly key: string },
    to: { readonly parent: Ino; readonly key: string },
    flags: number,
    attrs: readonly InodeAttr[],
  ): void {
    const object = attrs[0];
    const moved = object?.ino === from.parent || object?.ino === to.parent ? undefined : object?.ino;
    const source = this.#cache.thought(from.parent, from.key);
    const target = this.#cache.thought(to.parent, to.key);
    // Renaming one link of a file onto another one of it does nothing at all: only where both are known is it known which case this is.
    const isKnown = moved !== undefined && source === moved && target !== undefined && target !== moved;
    if (!isKnown || (flags === RENAME_EXCHANGE && target === NO_INO)) {
      this.#cache.forget(from.parent, from.key);
      this.#cache.forget(to.parent, to.key);
      if (target !== undefined) this.#unlinkedInode(target, attrs);
      return;
    }
    this.#unlinkedInode(target, attrs);
    if (flags === RENAME_EXCHANGE) this.#cache.linked(from.parent, from.key, target);
    else {
      // what lies at the old name now is not said
      if ((flags & RENAME_WHITEOUT) !== 0) this.#cache.forget(from.parent, from.key);
      else this.#cache.unlinked(from.parent, from.key);
      this.#cache.removedDirectory(target);
    }
    this.#cache.linked(to.parent, to.key, moved);
  }

  /** An inode has lost a link; unless the reply tells its new attributes, the ones known are old. */
  #unlinkedInode(ino: Ino | undefined, attrs: readonly InodeAttr[]): void {
    if (ino !== undefined && !attrs.some((attr) => attr.ino === ino)) this.#cache.attrs.expire(ino);
  }

  /** The server has told what an existing name is, in reply to an operation of ours that changed no entry. */
  #confirmed(parent: Ino, key: string, ino: Ino): void {
    this.#cache.looked(parent, key, ino, this.#cache.moment);
  }

  /** A change of a name failed: what is known of the name goes, and the error is thrown. */
  #failed(response: Response, parent: Ino, key: string): never {
    const thought = this.#cache.thought(parent, key);
    const fits =
      (response.errno === ERRNO.EEXIST && thought !== undefined && thought !== NO_INO) ||
      (response.errno === ERRNO.ENOENT && thought === NO_INO) ||
      response.errno === ERRNO.ENOTEMPTY ||
      response.errno === ERRNO.ENOSPC ||
      response.errno === ERRNO.EDQUOT;
    if (!fits) this.#cache.forget(parent, key);
    checkErrno(response);
    throw new FsError('EIO');
  }

  /** Throws the reply's error; an inode that is gone leaves the caches. */
  #checkInode(response: Response, ino: Ino): void {
    if (response.errno === ERRNO.ENOENT) {
      this.#cache.gone(ino);
      throw new FsError('ENOENT', `inode ${ino} is gone`);
    }
    checkErrno(response);
  }

  #readPage(dir: Ino, afterCookie: number, withAttrs: boolean, signal: AbortSignal | undefined): Promise<DirPage> {
    const { moment } = this.#cache;
    const value = { ino: BigInt(dir), afterCookie: BigInt(afterCookie), withAttrs };
    return this.#ask({ $case: 'readdir', value }, signal, (response, attrs) => {
      this.#checkInode(response, dir);
      const { entries, end } = result(response, 'readdir');
      const page = { entries: entries.map(dirEntryFromProto), end };
      const dirAttr = attrs.find((attr) => attr.ino === dir);
      this.#cache.listed(dir, afterCookie, page, dirAttr, moment);
      return page;
    });
  }

  #count(kind: 'xattr' | 'page', hit: boolean): void {
    (hit ? this.#hits : this.#misses)[kind].inc();
  }
}

const NO_NAME = new Uint8Array(0);
const NONE: readonly undefined[] = [undefined];

/** What a cached value belongs to; 0 = there is none. ACLs stay while entries of their directory come and go. */
const xattrVersion = (attr: InodeAttr): number => (attr.hasXattrs ? attr.change : 0);
const aclVersion = (attr: InodeAttr): number => attr.aclChange;

type Result = NonNullable<Response['result']>;
type ResultValue<Case extends Result['$case']> = Extract<Result, { $case: Case }>['value'];

/** The result of this kind, which a reply without an error must carry. */
function result<Case extends Result['$case']>(response: Response, kind: Case): ResultValue<Case> {
  if (response.result?.$case !== kind) throw new WireError('unset', `response.${kind}`, 'must be set');
  return response.result.value as ResultValue<Case>;
}

function attrsOf(response: Response): readonly InodeAttr[] {
  return response.attrs.length === 0 ? NO_ATTRS : response.attrs.map(attrFromProto);
}
const NO_ATTRS: readonly InodeAttr[] = [];

function first(attrs: readonly InodeAttr[]): InodeAttr {
  return required(attrs[0], 'response.attrs');
}

function rangeResult(response: Response, attrs: readonly InodeAttr[]): RangeResult {
  return { attr: first(attrs), done: safeNumber(result(response, 'range').done, 'range.done') };
}

function extentMap(attr: InodeAttr, extents: ResultValue<'extents'>): ExtentMap {
  return { attr, blocks: blocksFromProto(extents.blocks), nextBlock: extents.nextBlock };
}
