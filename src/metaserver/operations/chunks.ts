import { FsError } from '../../common/fs-error.js';
import type { ChunkInfo } from '../../model/extent.js';
import type { ChunkId } from '../../model/ids.js';
import type { LiveBytes } from '../live-bytes.js';
import { MetaserverError } from '../metaserver-error.js';
import type { OpTransaction } from './op-transaction.js';

/** An extent list may be used for 60 s after its reply (architecture section 7): what it named goes after twice that. */
export const DELETE_DELAY_MS = 120_000;

/**
 * Brings the chunk rows in step with a change of extents. `stored`: chunks that the change names, stored by this session just now: ESTALE for one that is dead, belongs to another
 * session or has another size; the client uploads its data again under a fresh id. A chunk that no extent names goes to the delete queue, for ever.
 */
export async function applyLiveBytes(op: OpTransaction, live: LiveBytes, stored: readonly ChunkInfo[]): Promise<void> {
  const { tables, keys } = op.scope;
  const fresh = new Map<ChunkId, number>();
  for (const { chunkId, size } of stored) {
    const row = await op.tx.get(tables.chunks, keys.chunk(chunkId));
    if (row === undefined) fresh.set(chunkId, size);
    else if (row.dead || row.session !== op.session || row.size !== size) {
      throw new FsError('ESTALE', `chunk ${chunkId} cannot be named any more`);
    }
  }
  let dead = 0;
  // a chunk none of whose extents was kept has no delta: it is garbage already
  for (const chunkId of fresh.keys()) if (!live.deltas.has(chunkId)) live.deltas.set(chunkId, 0);
  for (const [chunkId, delta] of live.deltas) {
    const size = fresh.get(chunkId);
    if (delta === 0 && size === undefined) continue;
    const key = keys.chunk(chunkId);
    const row = size === undefined ? await op.tx.get(tables.chunks, key) : newChunk(op, size);
    if (row === undefined || row.dead)
      throw new MetaserverError('corrupt', `extents name chunk ${chunkId}, which is not there`);
    const liveBytes = row.liveBytes + delta;
    if (liveBytes < 0) throw new MetaserverError('corrupt', `chunk ${chunkId} has ${liveBytes} live bytes`);
    op.tx.put(tables.chunks, key, { ...row, liveBytes, dead: liveBytes === 0 });
    if (liveBytes > 0) continue;
    op.tx.put(tables.deletions, keys.deletion(nowMs(op) + DELETE_DELAY_MS, chunkId), 'object');
    dead++;
  }
  if (dead > 0) await op.addCounters({ deletesQueued: dead });
}

function newChunk(op: OpTransaction, size: number) {
  return { size, liveBytes: 0, session: op.session, dead: false };
}

function nowMs(op: OpTransaction): number {
  return Number(op.scope.nowNs() / 1_000_000n);
}
