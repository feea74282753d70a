import { FsError } from '../../common/fs-error.js';
import type { AdoptCheckRequest, AdoptEnd, QueryOps } from '../../gen/curvefs/v1/metaserver.js';
import type { SessionId } from '../../model/ids.js';
import { inoFromProto } from '../../wire/attr.js';
import { safeNumber } from '../../wire/safe-number.js';
import type { OpTransaction } from '../operations/op-transaction.js';
import type { OpReply } from '../operations/reply.js';
import type { ReplyGroup } from '../records/reply-group-record.js';
import type { FoundRows } from '../store/transaction.js';
import { opKeyOf } from './op-key.js';
import type { Session } from './session.js';

const ROWS_PER_READ = 256;

/** Which operations of a session were executed: of the live one that asks from memory, of an ended one from what it left. EBUSY for one that lives and may execute more. */
export async function queryOps(op: OpTransaction, request: QueryOps, live: Session | undefined): Promise<OpReply> {
  const id = safeNumber(request.sessionId, 'queryOps.sessionId') as SessionId;
  await mustNotBeForeign(op, id);
  const keys = request.opIds.map(opKeyOf);
  const executed =
    live === undefined
      ? await storedKeys(op, id).then((stored) => keys.map((key) => stored.has(key)))
      : keys.map((key) => live.replies.get(key)?.executed ?? false);
  return { attrs: [], result: { kind: 'proto', result: { $case: 'queryOps', value: { executed } } } };
}

/** Whether records that an ended session wrote on an inode may be placed on it now: nobody else has changed its data or size since. EBUSY while it lives: it could commit them itself. */
export async function adoptCheck(op: OpTransaction, request: AdoptCheckRequest): Promise<OpReply> {
  const session = safeNumber(request.sessionId, 'adoptCheck.sessionId') as SessionId;
  await mustNotBeForeign(op, session);
  const change = safeNumber(request.change, 'adoptCheck.change');
  const record = await op.inode(inoFromProto(request.ino, 'adoptCheck.ino'));
  if (record === undefined) {
    return {
      attrs: [],
      result: { kind: 'proto', result: { $case: 'adoptCheck', value: { exists: false, foreignChange: false } } },
    };
  }
  const foreign = record.attr.lastWriter === session ? record.foreignDataChange : record.dataChange;
  return {
    attrs: [record.attr],
    result: {
      kind: 'proto',
      result: { $case: 'adoptCheck', value: { exists: true, foreignChange: foreign > change } },
    },
  };
}

/** An ended session's journal is adopted: it and its replies are forgotten. EBUSY while it lives. */
export async function adoptEnd(op: OpTransaction, request: AdoptEnd): Promise<OpReply> {
  await forgetSession(op, safeNumber(request.sessionId, 'adoptEnd.sessionId') as SessionId);
  return { attrs: [] };
}

/** Removes an ended session's row and replies; nothing when it is unknown. */
export async function forgetSession(op: OpTransaction, id: SessionId): Promise<void> {
  const { tables, keys } = op.scope;
  const session = await op.tx.get(tables.sessions, keys.session(id));
  if (session === undefined) return;
  if (session.endedMs === 0) throw new FsError('EBUSY', `session ${id} is live`);
  op.tx.delete(tables.sessions, keys.session(id));
  op.tx.deleteRange(keys.repliesOf(id));
}

/** EBUSY for a live session other than the one that asks. */
async function mustNotBeForeign(op: OpTransaction, id: SessionId): Promise<void> {
  if (id === op.session) return;
  const session = await op.tx.get(op.scope.tables.sessions, op.scope.keys.session(id));
  if (session?.endedMs === 0) throw new FsError('EBUSY', `session ${id} is live`);
}

async function storedKeys(op: OpTransaction, id: SessionId): Promise<Set<string>> {
  const { tables, keys } = op.scope;
  const stored = new Set<string>();
  const { start, end } = keys.repliesOf(id);
  let from: string | undefined = start;
  while (from !== undefined) {
    const found: FoundRows<ReplyGroup> = await op.tx.range(tables.replies, { start: from, end }, ROWS_PER_READ);
    for (const { value } of found.rows) for (const { opKey } of value) stored.add(opKey);
    from = found.next;
  }
  return stored;
}
