import { FsError } from '../../src/common/fs-error.js';
import {
  ACL_ACCESS,
  ACL_BYTES_MAX,
  ACL_DEFAULT,
  aclKind,
  aclMode,
  chmodAcl,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  isMinimalAcl,
  type Acl,
} from '../../src/model/acl.js';
import {
  clipExtents,
  cutExtents,
  NO_CHUNK,
  overlayExtents,
  type BlockExtents,
  type Extent,
} from '../../src/model/extent.js';
import { NO_INO, ROOT_INO, type Fh, type Ino, type SessionId } from '../../src/model/ids.js';
import {
  ALLOCATION_UNIT_BYTES,
  compareTime,
  FILE_SIZE_MAX_BYTES,
  isDirectory,
  isRegular,
  LINK_MAX,
  NAME_MAX_BYTES,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_ISGID,
  S_ISUID,
  S_IXGRP,
  timespecOfNs,
  XATTR_TOTAL_MAX_BYTES,
  type InodeAttr,
  type Timespec,
} from '../../src/model/inode.js';
import {
  areRenameFlags,
  FIRST_COOKIE,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  type CloneSpec,
  RENAME_WHITEOUT,
  XATTR_CREATE,
  XATTR_KILL_SGID,
  XATTR_REPLACE,
  type CommitSpec,
  type CreateResult,
  type CreateSpec,
  type DirPage,
  type FallocateSpec,
  type NameRef,
  type OpenSpec,
  type RangeResult,
  type Owner,
  type SetAttr,
  type SwapSpec,
} from '../../src/model/operation.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Bytes as a map key and back: latin1 keeps every byte. */
export const keyOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1');

interface Entry {
  readonly ino: Ino;
  readonly cookie: number;
}

interface Inode {
  attr: Mutable<InodeAttr>;
  readonly entries: Map<string, Entry>;
  nextCookie: number;
  blocks: Map<number, Extent[]>;
  target: Uint8Array;
  readonly xattrs: Map<string, Buffer>;
  /** `session/fh` of every open. */
  readonly opens: Set<string>;
  /** Made without a name, and may be given one. */
  linkable: boolean;
  /** The size set by each truncation; its index + 1 is the truncate epoch. */
  readonly truncations: number[];
  /** The change number of each session's last change of data or size. */
  readonly writes: Map<SessionId, number>;
}

/**
 * The state and the rules of a namespace in memory: the reference that tests compare with and the fake behind {@link MemoryMetadata}.
 * Every method is one atomic operation; it throws `FsError`. Nothing is bounded and nothing is fast.
 */
export class MemoryNamespace {
  readonly #inodes = new Map<Ino, Inode>();
  readonly #blockSize: number;
  readonly #nowNs: () => bigint;
  #nextIno = 2;

  constructor(blockSize = 4 * 1024 * 1024, nowNs: () => bigint = () => BigInt(Date.now()) * 1_000_000n) {
    this.#blockSize = blockSize;
    this.#nowNs = nowNs;
    this.#add(ROOT_INO, S_IFDIR | 0o755, 0, 0, 0).attr.parent = ROOT_INO;
  }

  get inodeCount(): number {
    return this.#inodes.size;
  }

  get usedBytes(): number {
    return [...this.#inodes.values()].reduce((sum, { attr }) => sum + attr.allocatedBytes, 0);
  }

  now(): Timespec {
    return timespecOfNs(this.#nowNs());
  }

  has(ino: Ino): boolean {
    return this.#inodes.has(ino);
  }

  attr(ino: Ino): InodeAttr {
    return { ...this.#get(ino).attr };
  }

  lookup(parent: Ino, name: Uint8Array): InodeAttr | undefined {
    const entry = this.#dir(parent).entries.get(this.#name(name));
    return entry === undefined ? undefined : this.attr(entry.ino);
  }

  setattr(session: SessionId, ino: Ino, change: SetAttr): InodeAttr {
    const inode = this.#get(ino);
    const { attr } = inode;
    const now = this.now();
    if (change.size !== undefined) {
      if (isDirectory(attr.mode)) throw new FsError('EISDIR');
      if (!isRegular(attr.mode)) throw new FsError('EINVAL');
      this.#truncate(session, inode, change.size);
      attr.mtime = now;
    }
    if (change.mode !== undefined) this.#chmod(inode, change.mode);
    if (change.uid !== undefined) attr.uid = change.uid;
    if (change.gid !== undefined) attr.gid = change.gid;
    if (change.killPriv === true) killPriv(attr, change.killSgid);
    if (change.atime !== undefined) attr.atime = change.atime === 'now' ? now : change.atime;
    if (change.mtime !== undefined) attr.mtime = change.mtime === 'now' ? now : change.mtime;
    if (change.atime !== undefined || change.mtime !== undefined) attr.timeEpoch++;
    this.#touch(inode, false);
    if (change.ctime !== undefined) attr.ctime = change.ctime;
    return this.attr(ino);
  }

  readlink(ino: Ino): Uint8Array {
    const inode = this.#get(ino);
    if ((inode.attr.mode & S_IFMT) !== 0o120000) throw new FsError('EINVAL');
    return inode.target;
  }

  create(session: SessionId, parent: Ino, name: Uint8Array, spec: CreateSpec): CreateResult {
    const dir = this.#dir(parent);
    if (spec.unnamed === true) return this.#createUnnamed(session, dir, spec);
    const key = this.#name(name);
    const existing = dir.entries.get(key);
    if (existing !== undefined) {
      const { mode } = this.#get(existing.ino).attr;
      if (spec.exclusive || spec.open === undefined) throw new FsError('EEXIST');
      if (isDirectory(mode)) throw new FsError('EISDIR');
      if (!isRegular(mode)) throw new FsError('EEXIST');
      return { attr: this.open(session, existing.ino, spec.open), created: false };
    }
    if (dir.attr.nlink === 0) throw new FsError('ENOENT');
    const { mode, gid } = inherited(dir.attr, spec);
    const inode = this.#add(this.#nextIno++ as Ino, mode, spec.uid, gid, spec.rdev ?? 0);
    inode.attr.lastWriter = 0;
    this.#handDown(dir, inode, spec.umask ?? 0);
    if (spec.target !== undefined) {
      inode.target = Uint8Array.from(spec.target);
      inode.attr.size = spec.target.length;
    }
    this.#link(dir, key, inode);
    if (spec.open !== undefined) inode.opens.add(`${session}/${spec.open.fh}`);
    return { attr: this.attr(inode.attr.ino), created: true };
  }

  #createUnnamed(session: SessionId, dir: Inode, spec: CreateSpec): CreateResult {
    if (dir.attr.nlink === 0) throw new FsError('ENOENT');
    const { mode, gid } = inherited(dir.attr, spec);
    const inode = this.#add(this.#nextIno++ as Ino, mode, spec.uid, gid, 0);
    this.#handDown(dir, inode, spec.umask ?? 0);
    inode.attr.nlink = 0;
    inode.linkable = !spec.exclusive;
    inode.opens.add(`${session}/${spec.open!.fh}`);
    return { attr: this.attr(inode.attr.ino), created: true };
  }

  link(ino: Ino, parent: Ino, name: Uint8Array): InodeAttr {
    const inode = this.#get(ino);
    const dir = this.#dir(parent);
    const key = this.#name(name);
    if (isDirectory(inode.attr.mode)) throw new FsError('EPERM');
    if (dir.attr.nlink === 0 || (inode.attr.nlink === 0 && !inode.linkable)) throw new FsError('ENOENT');
    if (dir.entries.has(key)) throw new FsError('EEXIST');
    if (inode.attr.nlink >= LINK_MAX) throw new FsError('EMLINK');
    inode.linkable = false;
    inode.attr.nlink++;
    this.#touch(inode, false);
    this.#link(dir, key, inode);
    return this.attr(ino);
  }

  unlink(parent: Ino, name: Uint8Array): void {
    const dir = this.#dir(parent);
    const inode = this.#entry(dir, name);
    if (isDirectory(inode.attr.mode)) throw new FsError('EISDIR');
    this.#unlink(dir, this.#name(name), inode);
  }

  rmdir(parent: Ino, name: Uint8Array): void {
    const dir = this.#dir(parent);
    const inode = this.#entry(dir, name);
    if (!isDirectory(inode.attr.mode)) throw new FsError('ENOTDIR');
    if (inode.entries.size > 0) throw new FsError('ENOTEMPTY');
    this.#unlink(dir, this.#name(name), inode);
  }

  rename(from: NameRef, to: NameRef, flags: number, whiteout: Owner = { uid: 0, gid: 0 }): void {
    const fromDir = this.#dir(from.parent);
    const toDir = this.#dir(to.parent);
    const source = this.#entry(fromDir, from.name);
    const toKey = this.#name(to.name);
    const targetEntry = toDir.entries.get(toKey);
    const target = targetEntry === undefined ? undefined : this.#get(targetEntry.ino);
    if (!areRenameFlags(flags)) throw new FsError('EINVAL');
    if (toDir.attr.nlink === 0) throw new FsError('ENOENT');
    if ((flags & RENAME_NOREPLACE) !== 0 && target !== undefined) throw new FsError('EEXIST');
    if (flags === RENAME_EXCHANGE && target === undefined) throw new FsError('ENOENT');
    if (source === target) return;
    this.#checkLoop(source, toDir);
    if (flags === RENAME_EXCHANGE) {
      this.#checkLoop(target!, fromDir);
      const key = this.#name(from.name);
      this.#place(fromDir, key, target!);
      this.#place(toDir, toKey, source);
      this.#moved(fromDir, toDir, source);
      this.#moved(toDir, fromDir, target!);
    } else {
      if (target !== undefined) {
        if (isDirectory(target.attr.mode)) {
          if (!isDirectory(source.attr.mode)) throw new FsError('EISDIR');
          if (target.entries.size > 0) throw new FsError('ENOTEMPTY');
        } else if (isDirectory(source.attr.mode)) throw new FsError('ENOTDIR');
        this.#dropLink(toDir, toKey, target);
      }
      fromDir.entries.delete(this.#name(from.name));
      this.#place(toDir, toKey, source);
      this.#moved(fromDir, toDir, source);
      if ((flags & RENAME_WHITEOUT) !== 0) {
        const { mode, gid } = inherited(fromDir.attr, {
          ...whiteout,
          mode: S_IFCHR,
          mayKeepSgid: false,
          exclusive: true,
        });
        this.#place(fromDir, this.#name(from.name), this.#add(this.#nextIno++ as Ino, mode, whiteout.uid, gid, 0));
      }
    }
    this.#touch(fromDir, true);
    if (toDir !== fromDir) this.#touch(toDir, true);
    this.#touch(source, false);
    if (flags === RENAME_EXCHANGE) this.#touch(target!, false);
  }

  readdir(ino: Ino, afterCookie: number, withAttrs: boolean, limit: number): DirPage {
    const sorted = [...this.#dir(ino).entries].sort(([, a], [, b]) => a.cookie - b.cookie);
    const rest = sorted.filter(([, { cookie }]) => cookie > afterCookie);
    const entries = rest.slice(0, limit).map(([key, entry]) => ({
      name: bytesOf(key),
      ino: entry.ino,
      type: this.#get(entry.ino).attr.mode & S_IFMT,
      cookie: entry.cookie,
      attr: withAttrs ? this.attr(entry.ino) : undefined,
    }));
    return { entries, end: rest.length <= limit };
  }

  open(session: SessionId, ino: Ino, spec: OpenSpec): InodeAttr {
    const inode = this.#get(ino);
    if (spec.truncate && isRegular(inode.attr.mode)) {
      this.#truncate(session, inode, 0);
      inode.attr.mtime = this.now();
      if (spec.killPriv === true) killPriv(inode.attr);
      this.#touch(inode, false);
    }
    inode.opens.add(`${session}/${spec.fh}`);
    return this.attr(ino);
  }

  release(session: SessionId, ino: Ino, fh: Fh): void {
    const inode = this.#inodes.get(ino);
    if (inode?.opens.delete(`${session}/${fh}`) === true) this.#free(inode);
  }

  openCount(ino: Ino): number {
    return this.#inodes.get(ino)?.opens.size ?? 0;
  }

  extents(ino: Ino, firstBlock: number, blockCount: number): BlockExtents[] {
    return [...this.#get(ino).blocks]
      .filter(([block, extents]) => block >= firstBlock && block < firstBlock + blockCount && extents.length > 0)
      .sort(([a], [b]) => a - b)
      .map(([block, extents]) => ({ block, extents: [...extents] }));
  }

  commit(session: SessionId, ino: Ino, spec: CommitSpec): InodeAttr {
    const inode = this.#get(ino);
    if (!isRegular(inode.attr.mode)) throw new FsError('EINVAL');
    const limit = Math.min(Infinity, ...inode.truncations.slice(spec.truncEpoch));
    for (const { block, extents } of spec.blocks) {
      const added = clipExtents(extents, 0, Math.min(this.#blockSize, limit - block * this.#blockSize));
      inode.blocks.set(block, overlayExtents(inode.blocks.get(block) ?? [], added));
    }
    if (spec.sizeAtLeast !== undefined) inode.attr.size = Math.max(inode.attr.size, Math.min(spec.sizeAtLeast, limit));
    if (spec.mtime !== undefined && spec.timeEpoch === inode.attr.timeEpoch) inode.attr.mtime = spec.mtime;
    if (spec.killPriv) killPriv(inode.attr);
    this.#wrote(session, inode);
    this.#touch(inode, false);
    return this.attr(ino);
  }

  swap(ino: Ino, spec: SwapSpec): boolean {
    const inode = this.#get(ino);
    const same = spec.expected.every(
      ({ block, extents }) => JSON.stringify(inode.blocks.get(block) ?? []) === JSON.stringify(extents),
    );
    if (!same) return false;
    for (const { block, extents } of spec.replacement) inode.blocks.set(block, [...extents]);
    inode.attr.allocatedBytes = this.#allocated(inode);
    return true;
  }

  fallocate(session: SessionId, ino: Ino, spec: FallocateSpec): RangeResult {
    const inode = this.#get(ino);
    const { mode, offset, length } = spec;
    this.#checkRange(inode, offset, length);
    const end = offset + length;
    for (const { block, from, to } of this.#spans(offset, end)) {
      const stored = inode.blocks.get(block) ?? [];
      const empty = [{ offset: from, length: to - from, chunkId: NO_CHUNK, chunkOffset: 0 }];
      if (mode === 'punch') inode.blocks.set(block, cutExtents(stored, from, to));
      else inode.blocks.set(block, mode === 'zero' ? overlayExtents(stored, empty) : overlayExtents(empty, stored));
    }
    const size = spec.keepSize || mode === 'punch' ? 0 : end;
    return this.#ranged(session, inode, Math.max(size, spec.sizeAtLeast), spec.killPriv, length);
  }

  /** How many bytes more would be allocated, at most. */
  fallocateGrowth(ino: Ino, { offset, length }: FallocateSpec): number {
    let free = length;
    for (const { block, from, to } of this.#spans(offset, offset + length)) {
      for (const extent of clipExtents(this.#get(ino).blocks.get(block) ?? [], from, to)) free -= extent.length;
    }
    return free;
  }

  clone(session: SessionId, ino: Ino, spec: CloneSpec): RangeResult {
    const inode = this.#get(ino);
    const source = this.#get(spec.source);
    this.#checkRange(inode, spec.offset, spec.length);
    this.#checkRange(source, spec.sourceOffset, spec.length);
    const apart = Math.abs(spec.offset - spec.sourceOffset);
    if (source === inode && apart < spec.length) throw new FsError('EINVAL');
    const length = Math.min(spec.length, source.attr.size - spec.sourceOffset);
    if (length <= 0) return { attr: this.attr(ino), done: 0 };
    const parts: { at: number; extent: Extent }[] = [];
    for (const { block, from, to } of this.#spans(spec.sourceOffset, spec.sourceOffset + length)) {
      for (const extent of clipExtents(source.blocks.get(block) ?? [], from, to)) {
        if (extent.chunkId === NO_CHUNK) continue;
        parts.push({ at: block * this.#blockSize + extent.offset - spec.sourceOffset + spec.offset, extent });
      }
    }
    for (const { block, from, to } of this.#spans(spec.offset, spec.offset + length)) {
      inode.blocks.set(block, cutExtents(inode.blocks.get(block) ?? [], from, to));
    }
    for (const { at, extent } of parts) {
      for (const { block, from, to } of this.#spans(at, at + extent.length)) {
        const chunkOffset = extent.chunkOffset + block * this.#blockSize + from - at;
        const added = [{ offset: from, length: to - from, chunkId: extent.chunkId, chunkOffset }];
        inode.blocks.set(block, overlayExtents(inode.blocks.get(block) ?? [], added));
      }
    }
    return this.#ranged(session, inode, Math.max(spec.sizeAtLeast, spec.offset + length), spec.killPriv, length);
  }

  accessed(ino: Ino, atime: Timespec): void {
    const attr = this.#inodes.get(ino)?.attr;
    if (attr !== undefined && compareTime(atime, attr.atime) > 0) attr.atime = atime;
  }

  #checkRange(inode: Inode, offset: number, length: number): void {
    if (!isRegular(inode.attr.mode) || length === 0) throw new FsError('EINVAL');
    if (offset + length > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG');
  }

  /** The parts of a range by block, as offsets in the block. */
  *#spans(start: number, end: number): Iterable<{ block: number; from: number; to: number }> {
    for (let at = start; at < end;) {
      const block = Math.floor(at / this.#blockSize);
      const base = block * this.#blockSize;
      const to = Math.min(this.#blockSize, end - base);
      yield { block, from: at - base, to };
      at = base + to;
    }
  }

  #ranged(session: SessionId, inode: Inode, size: number, kill: boolean, done: number): RangeResult {
    inode.attr.size = Math.max(inode.attr.size, size);
    if (kill) killPriv(inode.attr);
    this.#wrote(session, inode);
    this.#touch(inode, true);
    return { attr: this.attr(inode.attr.ino), done };
  }

  getxattr(ino: Ino, name: Uint8Array): Uint8Array | undefined {
    return this.#get(ino).xattrs.get(keyOf(name));
  }

  listxattr(ino: Ino): Uint8Array[] {
    return [...this.#get(ino).xattrs.keys()].map(bytesOf);
  }

  setxattr(ino: Ino, name: Uint8Array, value: Uint8Array, flags: number): void {
    const inode = this.#get(ino);
    const key = keyOf(name);
    const kind = aclKind(name);
    if (kind !== undefined) {
      this.#setAcl(inode, kind, value, (flags & XATTR_KILL_SGID) !== 0);
      return;
    }
    if ((flags & XATTR_CREATE) !== 0 && inode.xattrs.has(key)) throw new FsError('EEXIST');
    if ((flags & XATTR_REPLACE) !== 0 && !inode.xattrs.has(key)) throw new FsError('ENODATA');
    const others = [...inode.xattrs].filter(([other]) => other !== key);
    const total = others.reduce((sum, [other, bytes]) => sum + other.length + bytes.length, key.length + value.length);
    if (total > XATTR_TOTAL_MAX_BYTES) throw new FsError('ENOSPC');
    inode.xattrs.set(key, Buffer.from(value));
    inode.attr.hasXattrs = true;
    this.#touch(inode, false);
  }

  removexattr(ino: Ino, name: Uint8Array): void {
    const inode = this.#get(ino);
    if (!inode.xattrs.has(keyOf(name))) throw new FsError('ENODATA');
    if (aclKind(name) !== undefined) this.#putAcl(inode, name, undefined);
    else {
      inode.xattrs.delete(keyOf(name));
      inode.attr.hasXattrs = inode.xattrs.size > 0;
    }
    this.#touch(inode, false);
  }

  #setAcl(inode: Inode, kind: 'access' | 'default', value: Uint8Array, killSgid: boolean): void {
    const { attr } = inode;
    if ((attr.mode & S_IFMT) === S_IFLNK) throw new FsError('EOPNOTSUPP');
    if (value.length > ACL_BYTES_MAX) throw new FsError('E2BIG');
    const acl = decodeAcl(value);
    if (kind === 'default') {
      if (acl !== undefined && !isDirectory(attr.mode)) throw new FsError('EACCES');
      this.#putAcl(inode, ACL_DEFAULT, acl);
    } else {
      if (acl !== undefined) attr.mode = (attr.mode & ~0o777 & ~(killSgid ? S_ISGID : 0)) | aclMode(acl);
      this.#putAcl(inode, ACL_ACCESS, acl !== undefined && isMinimalAcl(acl) ? undefined : acl);
    }
    this.#touch(inode, false);
  }

  /** REQUIRES: the inode's change number grows afterwards. */
  #putAcl(inode: Inode, name: Uint8Array, acl: Acl | undefined): void {
    const { attr, xattrs } = inode;
    if (acl === undefined) xattrs.delete(keyOf(name));
    else xattrs.set(keyOf(name), encodeAcl(acl));
    attr.hasXattrs = xattrs.size > 0;
    attr.aclChange = [ACL_ACCESS, ACL_DEFAULT].some((each) => xattrs.has(keyOf(each))) ? attr.change + 1 : 0;
  }

  #acl(inode: Inode, name: Uint8Array): Acl | undefined {
    const value = inode.xattrs.get(keyOf(name));
    return value === undefined ? undefined : decodeAcl(value);
  }

  #chmod(inode: Inode, mode: number): void {
    inode.attr.mode = (inode.attr.mode & S_IFMT) | (mode & 0o7777);
    const acl = this.#acl(inode, ACL_ACCESS);
    if (acl !== undefined) this.#putAcl(inode, ACL_ACCESS, chmodAcl(acl, mode));
  }

  #handDown(dir: Inode, inode: Inode, umask: number): void {
    const { attr } = inode;
    if ((attr.mode & S_IFMT) === S_IFLNK) return;
    const acl = this.#acl(dir, ACL_DEFAULT);
    if (acl === undefined) attr.mode &= ~(umask & 0o777);
    else {
      const inherited = inheritAcl(acl, attr.mode);
      attr.mode = inherited.mode;
      this.#putAcl(inode, ACL_ACCESS, inherited.access);
      if (isDirectory(attr.mode)) this.#putAcl(inode, ACL_DEFAULT, acl);
      if (attr.aclChange > 0) attr.aclChange = attr.change;
    }
  }

  #get(ino: Ino): Inode {
    const inode = this.#inodes.get(ino);
    if (inode === undefined) throw new FsError('ENOENT', `inode ${ino} is gone`);
    return inode;
  }

  #dir(ino: Ino): Inode {
    const inode = this.#get(ino);
    if (!isDirectory(inode.attr.mode)) throw new FsError('ENOTDIR');
    return inode;
  }

  #name(name: Uint8Array): string {
    if (name.length > NAME_MAX_BYTES) throw new FsError('ENAMETOOLONG');
    const key = keyOf(name);
    if (key === '' || key === '.' || key === '..' || /[/\0]/.test(key)) throw new FsError('EINVAL');
    return key;
  }

  /** The change number of the last change of data or size that another session made; 0 = there was none. */
  lastForeignWrite(ino: Ino, session: SessionId): number {
    let last = 0;
    for (const [writer, change] of this.#get(ino).writes) if (writer !== session) last = Math.max(last, change);
    return last;
  }

  #entry(dir: Inode, name: Uint8Array): Inode {
    const entry = dir.entries.get(this.#name(name));
    if (entry === undefined) throw new FsError('ENOENT');
    return this.#get(entry.ino);
  }

  #add(ino: Ino, mode: number, uid: number, gid: number, rdev: number): Inode {
    const now = this.now();
    const times = { atime: now, mtime: now, ctime: now, btime: now };
    const epochs = { change: 1, writerEpoch: 0, lastWriter: 0, truncEpoch: 0, timeEpoch: 0 };
    const nlink = isDirectory(mode) ? 2 : 1;
    const sizes = { size: 0, allocatedBytes: 0 };
    const xattrs = { hasXattrs: false, aclChange: 0 };
    const attr = {
      ...{ ino, mode, nlink, uid, gid, rdev, ...sizes, ...times, ...epochs, ...xattrs },
      parent: NO_INO,
      quota: NO_INO,
    };
    const inode: Inode = {
      attr,
      entries: new Map(),
      nextCookie: FIRST_COOKIE,
      blocks: new Map(),
      target: new Uint8Array(0),
      xattrs: new Map(),
      opens: new Set(),
      linkable: false,
      truncations: [],
      writes: new Map(),
    };
    this.#inodes.set(ino, inode);
    return inode;
  }

  #place(dir: Inode, key: string, inode: Inode): void {
    const cookie = dir.entries.get(key)?.cookie ?? dir.nextCookie++;
    dir.entries.set(key, { ino: inode.attr.ino, cookie });
  }

  #link(dir: Inode, key: string, inode: Inode): void {
    this.#place(dir, key, inode);
    if (isDirectory(inode.attr.mode)) {
      inode.attr.parent = dir.attr.ino;
      dir.attr.nlink++;
    }
    this.#touch(dir, true);
  }

  #unlink(dir: Inode, key: string, inode: Inode): void {
    this.#dropLink(dir, key, inode);
    this.#touch(dir, true);
  }

  /** As unlinking, but for the change of the directory itself. */
  #dropLink(dir: Inode, key: string, inode: Inode): void {
    dir.entries.delete(key);
    if (isDirectory(inode.attr.mode)) {
      dir.attr.nlink--;
      inode.attr.nlink = 0;
    } else inode.attr.nlink--;
    this.#touch(inode, false);
    this.#free(inode);
  }

  #moved(fromDir: Inode, toDir: Inode, inode: Inode): void {
    if (!isDirectory(inode.attr.mode) || fromDir === toDir) return;
    inode.attr.parent = toDir.attr.ino;
    fromDir.attr.nlink--;
    toDir.attr.nlink++;
  }

  #checkLoop(inode: Inode, into: Inode): void {
    if (!isDirectory(inode.attr.mode)) return;
    for (let at = into; ; at = this.#get(at.attr.parent)) {
      if (at === inode) throw new FsError('EINVAL', 'a directory cannot move into itself');
      if (at.attr.ino === ROOT_INO) return;
    }
  }

  #free(inode: Inode): void {
    if (inode.attr.nlink === 0 && inode.opens.size === 0) this.#inodes.delete(inode.attr.ino);
  }

  #touch(inode: Inode, content: boolean): void {
    inode.attr.change++;
    inode.attr.ctime = this.now();
    if (content) inode.attr.mtime = inode.attr.ctime;
  }

  #wrote(session: SessionId, inode: Inode): void {
    if (inode.attr.lastWriter !== session) inode.attr.writerEpoch++;
    inode.attr.lastWriter = session;
    inode.writes.set(session, inode.attr.change + 1);
    inode.attr.allocatedBytes = this.#allocated(inode);
  }

  #truncate(session: SessionId, inode: Inode, size: number): void {
    if (size > FILE_SIZE_MAX_BYTES) throw new FsError('EFBIG');
    for (const [block, extents] of inode.blocks) {
      inode.blocks.set(block, clipExtents(extents, 0, size - block * this.#blockSize));
    }
    inode.attr.size = size;
    inode.truncations.push(size);
    inode.attr.truncEpoch++;
    this.#wrote(session, inode);
  }

  #allocated(inode: Inode): number {
    let units = 0;
    for (const [block, extents] of inode.blocks) {
      let last = -1;
      for (const { offset, length } of extents) {
        const start = (block * this.#blockSize + offset) / ALLOCATION_UNIT_BYTES;
        const first = Math.max(Math.floor(start), last + 1);
        last = Math.max(last, Math.ceil(start + length / ALLOCATION_UNIT_BYTES) - 1);
        units += last - first + 1;
      }
    }
    return units * ALLOCATION_UNIT_BYTES;
  }
}

function killPriv(attr: Mutable<InodeAttr>, sgid = false): void {
  attr.mode &= ~S_ISUID;
  if (sgid || (attr.mode & S_IXGRP) !== 0) attr.mode &= ~S_ISGID;
}

/** Mode and group of a new file in a set-group-ID directory, mkdir(2) and open(2). */
function inherited(dir: InodeAttr, spec: CreateSpec): { mode: number; gid: number } {
  if ((dir.mode & S_ISGID) === 0) return { mode: spec.mode, gid: spec.gid };
  if (isDirectory(spec.mode)) return { mode: spec.mode | S_ISGID, gid: dir.gid };
  const drop = (spec.mode & S_IXGRP) !== 0 && !spec.mayKeepSgid;
  return { mode: drop ? spec.mode & ~S_ISGID : spec.mode, gid: dir.gid };
}
