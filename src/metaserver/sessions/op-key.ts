import { OpId_Kind, type OpId } from '../../gen/curvefs/v1/common.js';
import { WireError } from '../../wire/wire-error.js';

/** An operation id as a map key: unique in its session, and part of what is stored. */
export function opKeyOf(opId: OpId): string {
  if (opId.kind !== OpId_Kind.KIND_KERNEL && opId.kind !== OpId_Kind.KIND_CLIENT) {
    throw new WireError('unknown-value', 'opId.kind', `${opId.kind} is not a kind`);
  }
  return `${opId.kind}.${opId.number}.${opId.step}`;
}
