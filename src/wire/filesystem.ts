import type {
  FsInfo as FsInfoProto,
  FsUsage as FsUsageProto,
  SessionInfo as SessionInfoProto,
  Storage as StorageProto,
} from '../gen/curvefs/v1/common.js';
import type { FsInfo, FsUsage, MountInfo, StorageSpec } from '../model/filesystem.js';
import type { FsId, SessionId } from '../model/ids.js';
import { required, safeNumber } from './safe-number.js';
import { WireError } from './wire-error.js';

export function storageToProto(storage: StorageSpec): StorageProto {
  if (storage.kind === 'file') return { kind: { $case: 'file', value: { path: storage.path } } };
  const { bucket, prefix, endpoint, region, pathStyle } = storage;
  return { kind: { $case: 's3', value: { bucket, prefix, endpoint, region, pathStyle } } };
}

export function storageFromProto(proto: StorageProto | undefined): StorageSpec {
  const kind = required(proto?.kind, 'storage');
  if (kind.$case === 'file') {
    if (!kind.value.path.startsWith('/')) {
      throw new WireError('unknown-value', 'storage.file.path', `${JSON.stringify(kind.value.path)} is not absolute`);
    }
    return { kind: 'file', path: kind.value.path };
  }
  const { bucket, prefix, endpoint, region, pathStyle } = kind.value;
  if (bucket === '') throw new WireError('unset', 'storage.s3.bucket', 'must be set');
  return { kind: 's3', bucket, prefix, endpoint, region, pathStyle };
}

export function fsInfoToProto(fs: FsInfo): FsInfoProto {
  return {
    id: fs.id,
    uuid: fs.uuid,
    name: fs.name,
    storage: storageToProto(fs.storage),
    blockSizeBytes: fs.blockSizeBytes,
    capacityBytes: BigInt(fs.capacityBytes),
    inodesMax: BigInt(fs.inodesMax),
    chunkFormat: fs.chunkFormat,
    metaserver: fs.metaserver,
    createdMs: BigInt(fs.createdMs),
  };
}

export function fsInfoFromProto(proto: FsInfoProto | undefined): FsInfo {
  const fs = required(proto, 'fs');
  if (fs.id === 0) throw new WireError('unset', 'fs.id', 'must be set');
  return {
    id: fs.id as FsId,
    uuid: fs.uuid,
    name: fs.name,
    storage: storageFromProto(fs.storage),
    blockSizeBytes: fs.blockSizeBytes,
    capacityBytes: safeNumber(fs.capacityBytes, 'fs.capacityBytes'),
    inodesMax: safeNumber(fs.inodesMax, 'fs.inodesMax'),
    chunkFormat: fs.chunkFormat,
    metaserver: fs.metaserver,
    createdMs: safeNumber(fs.createdMs, 'fs.createdMs'),
  };
}

export function fsUsageToProto(usage: FsUsage): FsUsageProto {
  return {
    capacityBytes: BigInt(usage.capacityBytes),
    usedBytes: BigInt(usage.usedBytes),
    inodesMax: BigInt(usage.inodesMax),
    usedInodes: BigInt(usage.usedInodes),
  };
}

export function fsUsageFromProto(proto: FsUsageProto | undefined): FsUsage {
  const usage = required(proto, 'usage');
  return {
    capacityBytes: safeNumber(usage.capacityBytes, 'usage.capacityBytes'),
    usedBytes: safeNumber(usage.usedBytes, 'usage.usedBytes'),
    inodesMax: safeNumber(usage.inodesMax, 'usage.inodesMax'),
    usedInodes: safeNumber(usage.usedInodes, 'usage.usedInodes'),
  };
}

export function mountInfoToProto(mount: MountInfo): SessionInfoProto {
  return {
    sessionId: BigInt(mount.sessionId),
    fsId: mount.fsId,
    host: mount.host,
    mountpoint: mount.mountpoint,
    pid: mount.pid,
    version: mount.version,
    readOnly: mount.readOnly,
    startedMs: BigInt(mount.startedMs),
    silentMs: BigInt(mount.silentMs),
  };
}

export function mountInfoFromProto(proto: SessionInfoProto): MountInfo {
  return {
    sessionId: safeNumber(proto.sessionId, 'session.sessionId') as SessionId,
    fsId: proto.fsId as FsId,
    host: proto.host,
    mountpoint: proto.mountpoint,
    pid: proto.pid,
    version: proto.version,
    readOnly: proto.readOnly,
    startedMs: safeNumber(proto.startedMs, 'session.startedMs'),
    silentMs: safeNumber(proto.silentMs, 'session.silentMs'),
  };
}
