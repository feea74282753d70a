import { nodeJournalFs } from '../journal/journal-fs.js';
import { replayJournal } from '../journal/replay-journal.js';
import type { Logger } from '../common/logger.js';
import { decodeBatch, decodeLogHeader } from './batch-codec.js';
import { KvError } from './kv-error.js';
import type { LmdbTree } from './lmdb-tree.js';
import { OverlayLayer } from './overlay-layer.js';

/** A layer of the replay is applied when its batches take this much. */
const LAYER_BYTES = 4 << 20;

/**
 * Applies to the tree what the log holds beyond it. Returns the last batch's sequence. Throws `corrupt` when a batch is missing that had been
 * acknowledged as durable; the tree then holds a whole prefix of the history.
 */
export async function replayLog(dir: string, tree: LmdbTree, logger: Logger): Promise<number> {
  let last = tree.appliedSequence;
  const applied = last;
  let layer = new OverlayLayer();
  const apply = async (): Promise<void> => {
    // batches without changes count too: the log goes on behind them
    if (last > tree.appliedSequence) await tree.apply(layer, last);
    layer = new OverlayLayer();
  };
  const result = await replayJournal(nodeJournalFs, dir, (record) => {
    const { firstSequence, batches } = decodeLogHeader(Buffer.from(record.header));
    // the layer keeps views of it
    const payload = Buffer.from(record.payload);
    let at = 0;
    for (let sequence = firstSequence; sequence < firstSequence + batches; sequence++) {
      const { batch, end } = decodeBatch(payload, at);
      at = end;
      if (sequence <= last) continue;
      if (sequence !== last + 1) {
        throw new KvError('corrupt', `log: batch ${last + 1} is missing, the next one is ${sequence}`);
      }
      layer.apply(
        batch,
        batch.puts.map((put) => put.value),
      );
      last = sequence;
    }
    if (at !== payload.length)
      throw new KvError('corrupt', `log: bytes behind the batches of record ${record.ref.sequence}`);
    layer.bytes += payload.length;
    return layer.bytes > LAYER_BYTES ? apply() : undefined;
  });
  const broken = result.corrupt[0];
  if (broken !== undefined) {
    throw new KvError('corrupt', `log: ${broken.path} at ${broken.position}: ${broken.reason}`);
  }
  for (const torn of result.torn)
    logger.warn('the log ends in a torn record, which was not acknowledged as durable', { ...torn });
  await apply();
  logger.info('log replayed', { records: result.records, batches: last - applied });
  return last;
}
