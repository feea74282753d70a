import { FsError } from '../../common/fs-error.js';
import type { Reserve } from '../../gen/curvefs/v1/metaserver.js';
import type { FsUsage } from '../../model/filesystem.js';
import { fsUsageToProto } from '../../wire/filesystem.js';
import { safeNumber } from '../../wire/safe-number.js';
import { freeLingering } from './open.js';
import { roundReservation } from './extents.js';
import type { OpTransaction } from './op-transaction.js';
import type { OpReply } from './reply.js';

export async function usageOf(op: OpTransaction): Promise<FsUsage> {
  const { capacityBytes, inodesMax } = op.scope.info;
  const { usedBytes, usedInodes } = await op.counters();
  return { capacityBytes, usedBytes, inodesMax, usedInodes };
}

export async function statfs(op: OpTransaction): Promise<OpReply> {
  return {
    attrs: [],
    result: { kind: 'proto', result: { $case: 'statfs', value: fsUsageToProto(await usageOf(op)) } },
  };
}

/** Makes the session's reservation what it asks for, as far as there is room: used and reserved bytes together never exceed the capacity. */
export async function reserve(op: OpTransaction, request: Reserve): Promise<OpReply> {
  const { tables, keys, info } = op.scope;
  if (info.capacityBytes === 0) return granted(Number.MAX_SAFE_INTEGER, false);
  const wanted = roundReservation(safeNumber(request.bytes, 'reserve.bytes'));
  const key = keys.session(op.session);
  const session = await op.tx.get(tables.sessions, key);
  if (session === undefined) throw new FsError('ESHUTDOWN', 'the session is over');
  const free = async (): Promise<number> => {
    const { usedBytes, reservedBytes: promised } = await op.counters();
    return info.capacityBytes - usedBytes - (promised - session.reservedBytes);
  };
  if ((await free()) < wanted) await freeLingering(op, async () => (await free()) >= wanted);
  const reservedBytes = Math.max(0, Math.min(wanted, await free()));
  const counters = await op.counters();
  if (reservedBytes !== session.reservedBytes) {
    op.tx.put(tables.sessions, key, { ...session, reservedBytes });
    op.putCounters({ ...counters, reservedBytes: counters.reservedBytes - session.reservedBytes + reservedBytes });
  }
  if (reservedBytes === wanted) return granted(reservedBytes, false);
  const trims = await op.tx.range(tables.trims, keys.trims(), 1);
  return granted(reservedBytes, trims.rows.length > 0 || op.scope.opens.lingering.size > 0);
}

function granted(bytes: number, freeing: boolean): OpReply {
  const value = { granted: BigInt(bytes), freeing };
  return { attrs: [], result: { kind: 'proto', result: { $case: 'reserve', value } } };
}
