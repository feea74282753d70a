import type { Readdir } from '../../gen/curvefs/v1/metaserver.js';
import type { DirEntry } from '../../model/operation.js';
import { inoFromProto } from '../../wire/attr.js';
import { safeNumber } from '../../wire/safe-number.js';
import { hashOfKey } from '../keys.js';
import { MetaserverError } from '../metaserver-error.js';
import type { Dentry } from '../records/bucket-record.js';
import type { OpTransaction } from './op-transaction.js';
import type { OpReply } from './reply.js';

/** Low bits of a cookie: the entry's place among those with the same hash. */
const PLACES = 32;
/** Bytes of entries in one reply: below a frame. */
const PAGE_BYTES_MAX = 160 * 1024;
/** Upper bounds of what an entry takes beside its name. */
const ENTRY_BYTES = 40;
const ATTR_BYTES = 160;
const ROWS_PER_READ = 512;

/** Entries behind a cookie, in the order of their cookies: a name that is there throughout a listing is in it once, whatever else changes. */
export async function readdir(op: OpTransaction, request: Readdir): Promise<OpReply> {
  const { tables, keys } = op.scope;
  const directory = await op.mustDirectory(inoFromProto(request.ino, 'readdir.ino'));
  const after = safeNumber(request.afterCookie, 'readdir.afterCookie');
  const range = keys.bucketsFrom(directory.attr.ino, Math.floor(after / PLACES));
  const found: { entry: Dentry; cookie: number }[] = [];
  let bytes = 0;
  let full = false;
  let start: string | undefined = directory.entries === 0 ? undefined : range.start;
  while (start !== undefined && !full) {
    const page = await op.tx.range(tables.buckets, { start, end: range.end }, ROWS_PER_READ);
    start = page.next;
    for (const { key, value } of page.rows) {
      const first = hashOfKey(key) * PLACES;
      for (const entry of value) {
        const cookie = first + entry.place;
        if (cookie <= after) continue;
        bytes += entry.name.length + ENTRY_BYTES + (request.withAttrs ? ATTR_BYTES : 0);
        full ||= bytes > PAGE_BYTES_MAX;
        if (!full) found.push({ entry, cookie });
      }
    }
  }
  const entries = await withAttrs(op, found, request.withAttrs);
  return {
    attrs: [directory.attr],
    result: { kind: 'entries', entries, end: !full },
  };
}

async function withAttrs(
  op: OpTransaction,
  found: readonly { entry: Dentry; cookie: number }[],
  wanted: boolean,
): Promise<DirEntry[]> {
  const { tables, keys } = op.scope;
  const records = wanted
    ? await op.tx.getMany(
        tables.inodes,
        found.map(({ entry }) => keys.inode(entry.ino)),
      )
    : [];
  return found.map(({ entry, cookie }, i) => {
    const record = records[i];
    if (wanted && record === undefined) {
      throw new MetaserverError('corrupt', `an entry names inode ${entry.ino}, which is not there`);
    }
    return {
      name: entry.name,
      ino: entry.ino,
      type: entry.type,
      cookie,
      attr: record?.attr,
    };
  });
}
