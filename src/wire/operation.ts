import {
  Fallocate_Mode,
  type CloneRange as CloneProto,
  type CommitExtents as CommitProto,
  type Create as CreateProto,
  type DirEntry as DirEntryProto,
  type Fallocate as FallocateProto,
  type Open as OpenProto,
  type OpenSpec as OpenSpecProto,
  type Rename as RenameProto,
  type Setattr as SetattrProto,
  type SetTime as SetTimeProto,
  type SwapExtents as SwapProto,
  type UpdateAtimes as UpdateAtimesProto,
} from '../gen/curvefs/v1/metaserver.js';
import type { Fh, Ino } from '../model/ids.js';
import type { Timespec } from '../model/inode.js';
import type {
  Access,
  CloneSpec,
  CommitSpec,
  CreateSpec,
  DirEntry,
  FallocateMode,
  FallocateSpec,
  NameRef,
  OpenSpec,
  Owner,
  SetAttr,
  SwapSpec,
} from '../model/operation.js';
import { attrFromProto, attrToProto, inoFromProto, timespecFromProto, timespecToProto } from './attr.js';
import { blocksFromProto, blocksToProto, chunksFromProto, chunksToProto } from './extent.js';
import { required, safeNumber } from './safe-number.js';
import { WireError } from './wire-error.js';

const NOTHING = Buffer.alloc(0);

/** The bytes as a Buffer, not copied. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function setAttrToProto(ino: Ino, change: SetAttr): SetattrProto {
  return {
    ino: BigInt(ino),
    mode: change.mode,
    uid: change.uid,
    gid: change.gid,
    size: change.size === undefined ? undefined : BigInt(change.size),
    atime: setTimeToProto(change.atime),
    mtime: setTimeToProto(change.mtime),
    ctime: change.ctime === undefined ? undefined : timespecToProto(change.ctime),
    killPriv: change.killPriv ?? false,
    killSgid: change.killSgid ?? false,
  };
}

export function setAttrFromProto(proto: SetattrProto): SetAttr {
  return {
    mode: proto.mode,
    uid: proto.uid,
    gid: proto.gid,
    size: proto.size === undefined ? undefined : safeNumber(proto.size, 'setattr.size'),
    atime: setTimeFromProto(proto.atime, 'setattr.atime'),
    mtime: setTimeFromProto(proto.mtime, 'setattr.mtime'),
    ctime: proto.ctime === undefined ? undefined : timespecFromProto(proto.ctime, 'setattr.ctime'),
    killPriv: proto.killPriv,
    killSgid: proto.killSgid,
  };
}

export function openSpecToProto(spec: OpenSpec): OpenSpecProto {
  return { fh: BigInt(spec.fh), write: spec.write, truncate: spec.truncate, killPriv: spec.killPriv ?? false };
}

export function openSpecFromProto(proto: OpenSpecProto | undefined): OpenSpec {
  const spec = required(proto, 'open.spec');
  return {
    fh: safeNumber(spec.fh, 'open.fh') as Fh,
    write: spec.write,
    truncate: spec.truncate,
    killPriv: spec.killPriv,
  };
}

export function openToProto(ino: Ino, spec: OpenSpec): OpenProto {
  return { ino: BigInt(ino), spec: openSpecToProto(spec) };
}

export function createToProto(parent: Ino, name: Uint8Array, spec: CreateSpec): CreateProto {
  return {
    parent: BigInt(parent),
    name: bufferOf(name),
    mode: spec.mode,
    uid: spec.uid,
    gid: spec.gid,
    mayKeepSgid: spec.mayKeepSgid,
    rdev: spec.rdev ?? 0,
    target: spec.target === undefined ? NOTHING : bufferOf(spec.target),
    open: spec.open === undefined ? undefined : openSpecToProto(spec.open),
    exclusive: spec.exclusive,
    unnamed: spec.unnamed ?? false,
    umask: spec.umask ?? 0,
  };
}

/** What to make; parent and name are beside it in the message. An empty target is no target: no symlink may have it. */
export function createSpecFromProto(proto: CreateProto): CreateSpec {
  return {
    mode: proto.mode,
    uid: proto.uid,
    gid: proto.gid,
    mayKeepSgid: proto.mayKeepSgid,
    rdev: proto.rdev,
    target: proto.target.length === 0 ? undefined : proto.target,
    open: proto.open === undefined ? undefined : openSpecFromProto(proto.open),
    exclusive: proto.exclusive,
    unnamed: proto.unnamed,
    umask: proto.umask,
  };
}

export function renameToProto(from: NameRef, to: NameRef, flags: number, whiteout: Owner): RenameProto {
  return {
    parent: BigInt(from.parent),
    name: bufferOf(from.name),
    newParent: BigInt(to.parent),
    newName: bufferOf(to.name),
    flags,
    uid: whiteout.uid,
    gid: whiteout.gid,
  };
}

export function renameFromProto(proto: RenameProto): {
  readonly from: NameRef;
  readonly to: NameRef;
  readonly flags: number;
  readonly whiteout: Owner;
} {
  return {
    from: { parent: inoFromProto(proto.parent, 'rename.parent'), name: proto.name },
    to: { parent: inoFromProto(proto.newParent, 'rename.newParent'), name: proto.newName },
    flags: proto.flags,
    whiteout: { uid: proto.uid, gid: proto.gid },
  };
}

export function dirEntryToProto(entry: DirEntry): DirEntryProto {
  return {
    name: bufferOf(entry.name),
    ino: BigInt(entry.ino),
    type: entry.type,
    cookie: BigInt(entry.cookie),
    attr: entry.attr === undefined ? undefined : attrToProto(entry.attr),
  };
}

export function dirEntryFromProto(proto: DirEntryProto): DirEntry {
  return {
    name: proto.name,
    ino: inoFromProto(proto.ino, 'entry.ino'),
    type: proto.type,
    cookie: safeNumber(proto.cookie, 'entry.cookie'),
    attr: proto.attr === undefined ? undefined : attrFromProto(proto.attr),
  };
}

export function commitToProto(ino: Ino, spec: CommitSpec): CommitProto {
  return {
    ino: BigInt(ino),
    blocks: blocksToProto(spec.blocks),
    chunks: chunksToProto(spec.chunks),
    sizeAtLeast: spec.sizeAtLeast === undefined ? undefined : BigInt(spec.sizeAtLeast),
    mtime: spec.mtime === undefined ? undefined : timespecToProto(spec.mtime),
    truncEpoch: spec.truncEpoch,
    timeEpoch: spec.timeEpoch,
    killPriv: spec.killPriv,
  };
}

export function commitSpecFromProto(proto: CommitProto): CommitSpec {
  return {
    blocks: blocksFromProto(proto.blocks),
    chunks: chunksFromProto(proto.chunks),
    sizeAtLeast: proto.sizeAtLeast === undefined ? undefined : safeNumber(proto.sizeAtLeast, 'commit.sizeAtLeast'),
    mtime: proto.mtime === undefined ? undefined : timespecFromProto(proto.mtime, 'commit.mtime'),
    truncEpoch: proto.truncEpoch,
    timeEpoch: proto.timeEpoch,
    killPriv: proto.killPriv,
  };
}

export function swapToProto(ino: Ino, spec: SwapSpec): SwapProto {
  return {
    ino: BigInt(ino),
    expected: blocksToProto(spec.expected),
    replacement: blocksToProto(spec.replacement),
    chunks: chunksToProto(spec.chunks),
  };
}

export function swapSpecFromProto(proto: SwapProto): SwapSpec {
  return {
    expected: blocksFromProto(proto.expected),
    replacement: blocksFromProto(proto.replacement),
    chunks: chunksFromProto(proto.chunks),
  };
}

const FALLOCATE_MODES: Readonly<Record<FallocateMode, Fallocate_Mode>> = {
  allocate: Fallocate_Mode.MODE_ALLOCATE,
  punch: Fallocate_Mode.MODE_PUNCH_HOLE,
  zero: Fallocate_Mode.MODE_ZERO_RANGE,
};

export function fallocateToProto(ino: Ino, spec: FallocateSpec): FallocateProto {
  return {
    ino: BigInt(ino),
    mode: FALLOCATE_MODES[spec.mode],
    offset: BigInt(spec.offset),
    length: BigInt(spec.length),
    keepSize: spec.keepSize,
    sizeAtLeast: BigInt(spec.sizeAtLeast),
    killPriv: spec.killPriv,
  };
}

export function fallocateSpecFromProto(proto: FallocateProto): FallocateSpec {
  return {
    mode: fallocateModeFromProto(proto.mode),
    offset: safeNumber(proto.offset, 'fallocate.offset'),
    length: safeNumber(proto.length, 'fallocate.length'),
    keepSize: proto.keepSize,
    sizeAtLeast: safeNumber(proto.sizeAtLeast, 'fallocate.sizeAtLeast'),
    killPriv: proto.killPriv,
  };
}

function fallocateModeFromProto(proto: Fallocate_Mode): FallocateMode {
  for (const mode of ['allocate', 'punch', 'zero'] as const) if (FALLOCATE_MODES[mode] === proto) return mode;
  throw new WireError('unknown-value', 'fallocate.mode', String(proto));
}

export function cloneToProto(ino: Ino, spec: CloneSpec): CloneProto {
  return {
    source: BigInt(spec.source),
    sourceOffset: BigInt(spec.sourceOffset),
    ino: BigInt(ino),
    offset: BigInt(spec.offset),
    length: BigInt(spec.length),
    sizeAtLeast: BigInt(spec.sizeAtLeast),
    killPriv: spec.killPriv,
  };
}

export function cloneSpecFromProto(proto: CloneProto): CloneSpec {
  return {
    source: inoFromProto(proto.source, 'cloneRange.source'),
    sourceOffset: safeNumber(proto.sourceOffset, 'cloneRange.sourceOffset'),
    offset: safeNumber(proto.offset, 'cloneRange.offset'),
    length: safeNumber(proto.length, 'cloneRange.length'),
    sizeAtLeast: safeNumber(proto.sizeAtLeast, 'cloneRange.sizeAtLeast'),
    killPriv: proto.killPriv,
  };
}

export function accessesToProto(accesses: readonly Access[]): UpdateAtimesProto {
  return { accesses: accesses.map(({ ino, atime }) => ({ ino: BigInt(ino), atime: timespecToProto(atime) })) };
}

export function accessesFromProto(proto: UpdateAtimesProto): Access[] {
  return proto.accesses.map(({ ino, atime }) => ({
    ino: inoFromProto(ino, 'updateAtimes.ino'),
    atime: timespecFromProto(atime, 'updateAtimes.atime'),
  }));
}

function setTimeToProto(time: Timespec | 'now' | undefined): SetTimeProto | undefined {
  if (time === undefined) return undefined;
  if (time === 'now') return { value: { $case: 'now', value: true } };
  return { value: { $case: 'at', value: timespecToProto(time) } };
}

function setTimeFromProto(proto: SetTimeProto | undefined, field: string): Timespec | 'now' | undefined {
  if (proto === undefined) return undefined;
  const value = required(proto.value, field);
  if (value.$case === 'at') return timespecFromProto(value.value, field);
  if (!value.value) throw new WireError('unknown-value', field, '"now" must be true');
  return 'now';
}
