import { FsError } from '../../common/fs-error.js';
import type { Reserve, Statfs } from '../../gen/curvefs/v1/metaserver.js';
import type { FsUsage } from '../../model/filesystem.js';
import { NO_INO, type Ino } from '../../model/ids.js';
import { ALLOCATION_UNIT_BYTES } from '../../model/inode.js';
import { inoFromProto } from '../../wire/attr.js';
import { fsUsageToProto } from '../../wire/filesystem.js';
import { safeNumber } from '../../wire/safe-number.js';
import { firstOfKey } from '../keys.js';
import { freeLingering } from './open.js';
import { roundReservation } from './extents.js';
import type { OpTransaction } from './op-transaction.js';
import { childQuota, quotaChain, quotaRoom, setHold } from './quotas.js';
import type { OpReply } from './reply.js';

export async function usageOf(op: OpTransaction): Promise<FsUsage> {
  const { capacityBytes, inodesMax } = op.scope.info;
  const { usedBytes, usedInodes } = await op.counters();
  return { capacityBytes, usedBytes, inodesMax, usedInodes };
}

/** Usage as the tree of an inode shows it: the limits are those of the innermost quota that has one, what is left of them is what all around it leave. */
async function usageBelow(op: OpTransaction, ino: Ino): Promise<FsUsage> {
  const whole = await usageOf(op);
  const record = ino === NO_INO ? undefined : await op.inode(ino);
  if (record === undefined) return whole;
  let { capacityBytes, inodesMax } = { capacityBytes: 0, inodesMax: 0 };
  let [bytesLeft, inodesLeft] = [Infinity, Infinity];
  const limit = (bytesMax: number, usedBytes: number, nodesMax: number, usedInodes: number): void => {
    capacityBytes ||= bytesMax;
    inodesMax ||= nodesMax;
    if (bytesMax > 0) bytesLeft = Math.min(bytesLeft, Math.max(0, bytesMax - usedBytes));
    if (nodesMax > 0) inodesLeft = Math.min(inodesLeft, Math.max(0, nodesMax - usedInodes));
  };
  const chain = await quotaChain(op, childQuota(record));
  for (const [, quota] of chain) limit(quota.bytesMax, quota.usedBytes, quota.inodesMax, quota.usedInodes);
  limit(whole.capacityBytes, whole.usedBytes, whole.inodesMax, whole.usedInodes);
  const limits = chain.map(([, quota]) => quota);
  const innermost = limits.find(({ bytesMax, inodesMax: nodesMax }) => bytesMax > 0 || nodesMax > 0) ?? whole;
  return {
    capacityBytes,
    usedBytes: capacityBytes > 0 ? Math.max(0, capacityBytes - bytesLeft) : innermost.usedBytes,
    inodesMax,
    usedInodes: inodesMax > 0 ? Math.max(0, inodesMax - inodesLeft) : innermost.usedInodes,
  };
}

export async function statfs(op: OpTransaction, request: Statfs): Promise<OpReply> {
  const usage = await usageBelow(op, inoFromProto(request.ino, 'statfs.ino'));
  return {
    attrs: [],
    result: { kind: 'proto', result: { $case: 'statfs', value: fsUsageToProto(usage) } },
  };
}

/** Makes the session's reservation what it asks for, as far as there is room: used and reserved bytes together never exceed the capacity. */
export async function reserve(op: OpTransaction, request: Reserve): Promise<OpReply> {
  const { tables, keys, info } = op.scope;
  if (request.quota !== 0n) return reserveOfQuota(op, request);
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
  return granted(reservedBytes, reservedBytes < wanted && (await isFreeing(op)));
}

/**
 * As {@link reserve}, of a quota and all around it. What is asked for ahead of need is cut to a share of the least limit, so that mounts do not starve each other.
 */
async function reserveOfQuota(op: OpTransaction, request: Reserve): Promise<OpReply> {
  const { tables, keys } = op.scope;
  const quota = inoFromProto(request.quota, 'reserve.quota');
  const session = await op.tx.get(tables.sessions, keys.session(op.session));
  if (session === undefined || session.endedMs !== 0) throw new FsError('ESHUTDOWN', 'the session is over');
  // the directory and its quota may be gone
  if ((await op.tx.get(tables.quotas, keys.quota(quota))) === undefined) return granted(Number.MAX_SAFE_INTEGER, false);
  const { room: roomNow, held, least } = await quotaRoom(op, quota);
  if (roomNow === Infinity) {
    await setHold(op, quota, held, 0);
    return granted(Number.MAX_SAFE_INTEGER, false);
  }
  const asked = safeNumber(request.bytes, 'reserve.bytes');
  const ahead = Math.min(safeNumber(request.ahead, 'reserve.ahead'), asked);
  const need = roundReservation(asked - ahead);
  const wanted = roundReservation(asked - ahead + Math.min(ahead, Math.floor(least / AHEAD_SHARE)));
  const room = async (): Promise<number> => (await quotaRoom(op, quota)).room;
  if (roomNow < wanted) await freeLingering(op, async () => (await room()) >= wanted);
  const bytes = Math.min(wanted, Math.floor((await room()) / ALLOCATION_UNIT_BYTES) * ALLOCATION_UNIT_BYTES);
  await setHold(op, quota, held, bytes);
  return granted(bytes, bytes < need && (await isFreeingOf(op, await fullFor(op, quota, bytes, need))));
}

/** Blocks of what was removed or cut wait for the background. */
async function isFreeing(op: OpTransaction): Promise<boolean> {
  const { tables, keys } = op.scope;
  const trims = await op.tx.range(tables.trims, keys.trims(), 1);
  return trims.rows.length > 0 || op.scope.opens.lingering.size > 0;
}

/** The quotas, of `quota` and those around it, whose limit is why the session holds less than it needs. */
async function fullFor(op: OpTransaction, quota: Ino, held: number, need: number): Promise<ReadonlySet<Ino>> {
  const full = new Set<Ino>();
  for (const [ino, { bytesMax, usedBytes, reservedBytes }] of await quotaChain(op, quota)) {
    if (bytesMax > 0 && bytesMax - usedBytes - (reservedBytes - held) < need) full.add(ino);
  }
  return full;
}

/** As {@link isFreeing}, of each of the quotas: where one stays full, waiting is in vain. The rows of a file that is gone are charged to none any more. */
async function isFreeingOf(op: OpTransaction, full: ReadonlySet<Ino>): Promise<boolean> {
  const { tables, keys, opens } = op.scope;
  const trims = await op.tx.range(tables.trims, keys.trims(), PENDING_MAX);
  if (trims.next !== undefined || opens.lingering.size > PENDING_MAX) return true;
  const pending = [...opens.lingering.keys(), ...trims.rows.map(({ key }) => firstOfKey(key) as Ino)];
  const records = await op.tx.getMany(
    tables.inodes,
    pending.map((ino) => keys.inode(ino)),
  );
  const freeing = new Set<Ino>();
  for (const quota of new Set(records.map((record) => record?.attr.quota ?? NO_INO))) {
    for (const [ino] of await quotaChain(op, quota)) freeing.add(ino);
  }
  return [...full].every((quota) => freeing.has(quota));
}

/** From so many files on that wait to be freed, it is not looked whose they are. */
const PENDING_MAX = 256;
/** Share of a limit that one mount holds without need. */
const AHEAD_SHARE = 32;

function granted(bytes: number, freeing: boolean): OpReply {
  const value = { granted: BigInt(bytes), freeing };
  return { attrs: [], result: { kind: 'proto', result: { $case: 'reserve', value } } };
}
