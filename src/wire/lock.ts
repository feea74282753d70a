import {
  LockKind as KindProto,
  LockType as TypeProto,
  type GetLock,
  type GetLockResult,
  type SetLock,
} from '../gen/curvefs/v1/metaserver.js';
import type { Ino } from '../model/ids.js';
import {
  LOCK_END_MAX,
  type ByteRange,
  type LockKind,
  type LockQuery,
  type LockRange,
  type LockSpec,
  type LockType,
} from '../model/lock.js';
import { WireError } from './wire-error.js';

export function lockSpecToProto(ino: Ino, spec: LockSpec): SetLock {
  const { kind, owner, start, end, type, wait, pid, ofd } = spec;
  return { ino: BigInt(ino), kind: kindToProto(kind), owner, start, end, type: typeToProto(type), wait, pid, ofd };
}

export function lockSpecFromProto(proto: SetLock): LockSpec {
  const { owner, wait, pid, ofd } = proto;
  const kind = kindFromProto(proto.kind);
  return { kind, owner, ...rangeFromProto(proto), type: typeFromProto(proto.type), wait, pid, ofd };
}

export function lockQueryToProto(ino: Ino, query: LockQuery): GetLock {
  const { kind, owner, start, end, type } = query;
  return { ino: BigInt(ino), kind: kindToProto(kind), owner, start, end, type: typeToProto(type) };
}

export function lockQueryFromProto(proto: GetLock): LockQuery {
  const type = typeFromProto(proto.type);
  if (type === undefined) throw new WireError('unknown-value', 'getLock.type', 'a question for no lock');
  return { kind: kindFromProto(proto.kind), owner: proto.owner, ...rangeFromProto(proto), type };
}

/** What is in the way; undefined = nothing. */
export function lockFoundToProto(found: LockRange | undefined): GetLockResult {
  if (found === undefined) return { type: TypeProto.LOCK_TYPE_UNLOCK, start: 0n, end: 0n, pid: 0 };
  return { type: typeToProto(found.type), start: found.start, end: found.end, pid: found.pid };
}

export function lockFoundFromProto(proto: GetLockResult): LockRange | undefined {
  const type = typeFromProto(proto.type);
  return type === undefined ? undefined : { ...rangeFromProto(proto), type, pid: proto.pid };
}

function rangeFromProto({ start, end }: { readonly start: bigint; readonly end: bigint }): ByteRange {
  if (start >= end || end > LOCK_END_MAX) throw new WireError('unknown-value', 'lock.range', `${start} to ${end}`);
  return { start, end };
}

function kindToProto(kind: LockKind): KindProto {
  return kind === 'posix' ? KindProto.LOCK_KIND_POSIX : KindProto.LOCK_KIND_FLOCK;
}

function kindFromProto(kind: KindProto): LockKind {
  if (kind === KindProto.LOCK_KIND_POSIX) return 'posix';
  if (kind === KindProto.LOCK_KIND_FLOCK) return 'flock';
  throw new WireError('unknown-value', 'lock.kind', `${kind} is not a kind`);
}

function typeToProto(type: LockType | undefined): TypeProto {
  if (type === undefined) return TypeProto.LOCK_TYPE_UNLOCK;
  return type === 'read' ? TypeProto.LOCK_TYPE_READ : TypeProto.LOCK_TYPE_WRITE;
}

function typeFromProto(type: TypeProto): LockType | undefined {
  if (type === TypeProto.LOCK_TYPE_UNLOCK) return undefined;
  if (type === TypeProto.LOCK_TYPE_READ) return 'read';
  if (type === TypeProto.LOCK_TYPE_WRITE) return 'write';
  throw new WireError('unknown-value', 'lock.type', `${type} is not a type`);
}
