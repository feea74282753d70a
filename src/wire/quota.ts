import type { Quota as QuotaProto } from '../gen/curvefs/v1/metaserver.js';
import type { Quota } from '../model/quota.js';
import { inoFromProto } from './attr.js';
import { bufferOf } from './operation.js';
import { safeNumber } from './safe-number.js';

export function quotaToProto(quota: Quota): QuotaProto {
  return {
    ino: BigInt(quota.ino),
    path: bufferOf(quota.path),
    bytesMax: BigInt(quota.bytesMax),
    inodesMax: BigInt(quota.inodesMax),
    usedBytes: BigInt(quota.usedBytes),
    usedInodes: BigInt(quota.usedInodes),
    counting: quota.counting,
  };
}

export function quotaFromProto(proto: QuotaProto): Quota {
  return {
    ino: inoFromProto(proto.ino, 'quota.ino'),
    path: proto.path,
    bytesMax: safeNumber(proto.bytesMax, 'quota.bytesMax'),
    inodesMax: safeNumber(proto.inodesMax, 'quota.inodesMax'),
    usedBytes: safeNumber(proto.usedBytes, 'quota.usedBytes'),
    usedInodes: safeNumber(proto.usedInodes, 'quota.usedInodes'),
    counting: proto.counting,
  };
}
