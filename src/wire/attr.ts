import type { Attr as AttrProto, Timespec as TimespecProto } from '../gen/curvefs/v1/common.js';
import type { Ino } from '../model/ids.js';
import type { InodeAttr, Timespec } from '../model/inode.js';
import { required, safeNumber, safeSignedNumber } from './safe-number.js';
import { WireError } from './wire-error.js';

const NSEC_END = 1_000_000_000;

export function timespecToProto(time: Timespec): TimespecProto {
  return { sec: BigInt(time.sec), nsec: time.nsec };
}

export function timespecFromProto(proto: TimespecProto | undefined, field: string): Timespec {
  const { sec, nsec } = required(proto, field);
  if (nsec >= NSEC_END) throw new WireError('out-of-range', field, `${nsec} nanoseconds are a second or more`);
  return { sec: safeSignedNumber(sec, field), nsec };
}

export function inoFromProto(proto: bigint, field: string): Ino {
  return safeNumber(proto, field) as Ino;
}

export function attrToProto(attr: InodeAttr): AttrProto {
  return {
    ino: BigInt(attr.ino),
    mode: attr.mode,
    nlink: attr.nlink,
    uid: attr.uid,
    gid: attr.gid,
    rdev: attr.rdev,
    size: BigInt(attr.size),
    allocatedBytes: BigInt(attr.allocatedBytes),
    atime: timespecToProto(attr.atime),
    mtime: timespecToProto(attr.mtime),
    ctime: timespecToProto(attr.ctime),
    btime: timespecToProto(attr.btime),
    change: BigInt(attr.change),
    writerEpoch: BigInt(attr.writerEpoch),
    lastWriter: BigInt(attr.lastWriter),
    truncEpoch: attr.truncEpoch,
    timeEpoch: attr.timeEpoch,
    parent: BigInt(attr.parent),
    hasXattrs: attr.hasXattrs,
    aclChange: BigInt(attr.aclChange),
    quota: BigInt(attr.quota),
  };
}

export function attrFromProto(proto: AttrProto): InodeAttr {
  const ino = inoFromProto(proto.ino, 'attr.ino');
  if (ino === 0) throw new WireError('unset', 'attr.ino', 'must be set');
  return {
    ino,
    mode: proto.mode,
    nlink: proto.nlink,
    uid: proto.uid,
    gid: proto.gid,
    rdev: proto.rdev,
    size: safeNumber(proto.size, 'attr.size'),
    allocatedBytes: safeNumber(proto.allocatedBytes, 'attr.allocatedBytes'),
    atime: timespecFromProto(proto.atime, 'attr.atime'),
    mtime: timespecFromProto(proto.mtime, 'attr.mtime'),
    ctime: timespecFromProto(proto.ctime, 'attr.ctime'),
    btime: timespecFromProto(proto.btime, 'attr.btime'),
    change: safeNumber(proto.change, 'attr.change'),
    writerEpoch: safeNumber(proto.writerEpoch, 'attr.writerEpoch'),
    lastWriter: safeNumber(proto.lastWriter, 'attr.lastWriter'),
    truncEpoch: proto.truncEpoch,
    timeEpoch: proto.timeEpoch,
    parent: inoFromProto(proto.parent, 'attr.parent'),
    hasXattrs: proto.hasXattrs,
    aclChange: safeNumber(proto.aclChange, 'attr.aclChange'),
    quota: inoFromProto(proto.quota, 'attr.quota'),
  };
}
