import { OpId_Kind, type OpId as OpIdProto } from '../gen/curvefs/v1/common.js';
import type { OpId } from '../model/operation.js';
import { safeNumber } from './safe-number.js';
import { WireError } from './wire-error.js';

export function opIdToProto(opId: OpId): OpIdProto {
  return {
    kind: opId.kind === 'kernel' ? OpId_Kind.KIND_KERNEL : OpId_Kind.KIND_CLIENT,
    number: BigInt(opId.number),
    step: opId.step,
  };
}

export function opIdFromProto(proto: OpIdProto): OpId {
  return { kind: kindFromProto(proto.kind), number: safeNumber(proto.number, 'opId.number'), step: proto.step };
}

function kindFromProto(kind: OpId_Kind): OpId['kind'] {
  switch (kind) {
    case OpId_Kind.KIND_KERNEL:
      return 'kernel';
    case OpId_Kind.KIND_CLIENT:
      return 'client';
    case OpId_Kind.KIND_UNSPECIFIED:
    case OpId_Kind.UNRECOGNIZED:
      throw new WireError('unknown-value', 'opId.kind', `${kind} is not a kind`);
    default:
      throw new WireError('unknown-value', 'opId.kind', `${String(kind)} is not a kind`);
  }
}
