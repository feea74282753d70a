import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import { DirLock } from '../../../src/journal/dir-lock.js';
import { nodeJournalFs, type JournalFs } from '../../../src/journal/journal-fs.js';
import type { RecordRef } from '../../../src/journal/journal.js';
import { replayJournal } from '../../../src/journal/replay-journal.js';
import { SegmentJournal, type SegmentJournalOptions } from '../../../src/journal/segment-journal.js';

const none = Buffer.alloc(0);
const SEGMENT = 64 << 10;

let dir: string;
let opened: SegmentJournal[];

beforeEach(async () => {
  dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'journal-test-'));
  opened = [];
});

afterEach(async () => {
  for (const journal of opened) await journal.close().catch(() => undefined);
  await fs.promises.rm(dir, { recursive: true });
});

async function open(opts: Partial<SegmentJournalOptions> = {}, journalFs?: JournalFs): Promise<SegmentJournal> {
  const journal = await SegmentJournal.open(
    { logger: silentLogger, metrics: noMetrics, ...(journalFs && { fs: journalFs }) },
    { dir, name: 'test', segmentBytes: SEGMENT, capacityBytes: 4 * SEGMENT, lock: false, ...opts },
  );
  opened.push(journal);
  return journal;
}

const replayed = async () => {
  const records: { kind: number; header: string; payload: string; ref: RecordRef }[] = [];
  const result = await replayJournal(nodeJournalFs, dir, ({ kind, header, payload, ref }) => {
    records.push({ kind, header: Buffer.from(header).toString(), payload: Buffer.from(payload).toString(), ref });
  });
  return { ...result, records };
};

const fill = (journal: SegmentJournal, options?: { reserved: boolean }): RecordRef[] => {
  const refs: RecordRef[] = [];
  try {
    for (;;) refs.push(journal.append(1, none, Buffer.alloc(10_000, refs.length), options));
  } catch (error) {
    expect(error).toMatchObject({ code: 'full' });
  }
  return refs;
};

describe('append and read', () => {
  test('gives back what was appended, small and large, whole and in part', async () => {
    const journal = await open();
    const payloads = [
      none,
      Buffer.from('small'),
      Buffer.alloc(8192, 1),
      Buffer.alloc(8193, 2),
      Buffer.alloc(50_000, 3),
    ];
    const refs = payloads.map((payload, i) => journal.append(i, Buffer.from(`h${i}`), payload));
    expect(refs.map((ref) => ref.sequence)).toEqual([1, 2, 3, 4, 5]);
    refs.forEach((ref, i) => expect(journal.read(ref, 0, ref.length)).toEqual(payloads[i]));
    expect(journal.read(refs[1]!, 1, 3).toString()).toBe('mal');
    const file = await fs.promises.open(journal.segmentPath(refs[4]!.segment));
    const bytes = Buffer.alloc(50_000);
    await file.read(bytes, 0, bytes.length, refs[4]!.position);
    await file.close();
    expect(bytes).toEqual(payloads[4]);
  });

  test('notices a changed payload', async () => {
    const journal = await open();
    const ref = journal.append(1, none, Buffer.from('precious'));
    const fd = fs.openSync(journal.segmentPath(ref.segment), 'r+');
    fs.writeSync(fd, 'X', ref.position + 2);
    fs.closeSync(fd);
    expect(() => journal.read(ref, 0, ref.length)).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  test('refuses a record that fits no segment', async () => {
    const journal = await open();
    const max = journal.payloadBytesMax(0);
    journal.append(1, none, Buffer.alloc(max));
    expect(() => journal.append(1, none, Buffer.alloc(max + 1))).toThrow(
      expect.objectContaining({ code: 'too-large' }),
    );
    await expect(journal.waitForSpace(max + 1)).rejects.toMatchObject({ code: 'too-large' });
  });
});

describe('space', () => {
  test('is bounded, and comes back with releases', async () => {
    const journal = await open();
    expect(journal.usedBytes).toBe(0);
    const refs = fill(journal);
    expect(refs.length).toBe(4 * 6);
    expect(journal.usedBytes).toBeGreaterThan(3 * SEGMENT);
    for (const ref of refs) journal.release(ref);
    expect(journal.usedBytes).toBe(0);
    expect(fill(journal).length).toBeGreaterThanOrEqual(3 * 6);
    const size = (await fs.promises.readdir(dir)).filter((name) => name.endsWith('.segment')).length;
    expect(size).toBeLessThanOrEqual(6);
  });

  test('a slice is kept for reserved appends', async () => {
    const journal = await open({ reservedBytes: SEGMENT });
    fill(journal);
    expect(fill(journal, { reserved: true }).length).toBeGreaterThanOrEqual(5);
    expect(() => journal.append(1, none, Buffer.alloc(10_000), { reserved: true })).toThrow('in use');
  });

  test('waiters go first come first served, and can give up', async () => {
    const journal = await open();
    await journal.waitForSpace(10_000);
    const refs = fill(journal);
    const order: string[] = [];
    const giveUp = new AbortController();
    const gone = journal.waitForSpace(50_000, giveUp.signal);
    const first = journal.waitForSpace(50_000).then(() => order.push('first'));
    const second = journal.waitForSpace(10_000).then(() => order.push('second'));
    giveUp.abort(new Error('tired'));
    await expect(gone).rejects.toThrow('tired');
    for (const ref of refs.slice(0, 5)) journal.release(ref);
    expect(order).toEqual([]);
    for (const ref of refs.slice(5)) journal.release(ref);
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });

  test('close rejects waiters', async () => {
    const journal = await open();
    fill(journal);
    const waiting = expect(journal.waitForSpace(20_000)).rejects.toMatchObject({ code: 'closed' });
    await journal.close();
    await waiting;
    expect(() => journal.append(1, none, none)).toThrow('closed');
  });
});

describe('replay', () => {
  test('gives the records of several earlier journals in order, and drops them', async () => {
    const first = await open();
    const refs = Array.from({ length: 20 }, (_, i) => first.append(i, Buffer.from(`h${i}`), Buffer.alloc(10_000, i)));
    await first.close();
    const second = await open();
    const ref = second.append(99, none, Buffer.from('second'));
    expect(ref.sequence).toBeGreaterThan(20);
    await second.close();
    const { records, corrupt, torn, segments, lastSequence } = await replayed();
    expect(records.map((record) => record.kind)).toEqual([...refs.keys(), 99]);
    expect(records[7]).toEqual({ kind: 7, header: 'h7', payload: '\x07'.repeat(10_000), ref: refs[7] });
    expect([corrupt, torn, lastSequence]).toEqual([[], [], ref.sequence]);
    expect(segments.length).toBeGreaterThanOrEqual(5);

    const third = await open();
    expect(third.read(refs[7]!, 0, 10_000)).toEqual(Buffer.alloc(10_000, 7));
    await third.dropEarlier();
    await third.close();
    expect((await replayed()).records).toEqual([]);
    // numbers go on where they were
    const fourth = await open();
    expect(fourth.append(1, none, none).sequence).toBeGreaterThan(ref.sequence);
  });

  test('released records of a recycled file are gone', async () => {
    const journal = await open({ preallocate: 'zeros' });
    for (let i = 0; i < 100; i++) {
      const ref = journal.append(1, none, Buffer.alloc(10_000, i));
      if (i % 10 === 0) await journal.sync();
      if (i < 99) journal.release(ref);
    }
    const { records, corrupt } = await replayed();
    expect(records.at(-1)!.payload).toBe('\x63'.repeat(10_000));
    expect(records.length).toBeLessThanOrEqual(6);
    expect(corrupt).toEqual([]);
  });

  test('a torn last record ends it', async () => {
    const journal = await open();
    journal.append(1, none, Buffer.from('whole'));
    const ref = journal.append(1, none, Buffer.from('torn'));
    fs.writeSync(fs.openSync(journal.segmentPath(ref.segment), 'r+'), 'x', ref.position + 3);
    const { records, torn, corrupt } = await replayed();
    expect(records.map((record) => record.payload)).toEqual(['whole']);
    expect(torn).toHaveLength(1);
    expect(corrupt).toEqual([]);
  });

  test('a broken record that had been synced is corruption; later segments are read', async () => {
    const journal = await open();
    const refs: RecordRef[] = [];
    for (let i = 0; i < 12; i++) {
      refs.push(journal.append(i, none, Buffer.alloc(10_000, i)));
      await journal.sync();
    }
    expect(refs[6]!.segment).toBe(refs[0]!.segment + 1);
    const fd = fs.openSync(journal.segmentPath(refs[2]!.segment), 'r+');
    fs.writeSync(fd, 'x', refs[2]!.position + 3);
    fs.closeSync(fd);
    const { records, torn, corrupt } = await replayed();
    expect(records.map((record) => record.kind)).toEqual([0, 1, 6, 7, 8, 9, 10, 11]);
    expect(torn).toEqual([]);
    expect(corrupt).toHaveLength(1);
    expect(corrupt[0]!.position).toBeLessThan(refs[2]!.position);
    expect(corrupt[0]!.path).toBe(journal.segmentPath(refs[2]!.segment));
  });

  test('a newer version is refused, a broken segment header is corruption', async () => {
    const journal = await open();
    const ref = journal.append(1, none, Buffer.from('x'));
    const fd = fs.openSync(journal.segmentPath(ref.segment), 'r+');
    fs.writeSync(fd, Buffer.from([0x77]), 0, 1, 20);
    expect((await replayed()).corrupt).toEqual([expect.objectContaining({ position: 0 })]);
    fs.writeSync(fd, Buffer.from([0x77]), 0, 1, 4);
    await expect(replayed()).rejects.toMatchObject({ code: 'version' });
    await expect(open()).rejects.toMatchObject({ code: 'version' });
    fs.closeSync(fd);
  });

  test('aborts', async () => {
    const journal = await open();
    journal.append(1, none, none);
    const reason = new Error('stop');
    await expect(replayJournal(nodeJournalFs, dir, () => undefined, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe('failures', () => {
  const fail = (code: string): never => {
    throw Object.assign(new Error(code), { code });
  };

  test('a failed sync is final', async () => {
    let broken = false;
    const journal = await open(
      {},
      { ...nodeJournalFs, sync: (fd) => (broken ? Promise.reject(new Error('EIO')) : nodeJournalFs.sync(fd)) },
    );
    const ref = journal.append(1, none, Buffer.from('x'));
    await journal.sync();
    journal.append(1, none, none);
    broken = true;
    await expect(journal.sync()).rejects.toMatchObject({ code: 'io' });
    broken = false;
    await expect(journal.sync()).rejects.toMatchObject({ code: 'io' });
    expect(() => journal.append(1, none, none)).toThrow(expect.objectContaining({ code: 'io' }));
    expect(journal.read(ref, 0, 1).toString()).toBe('x');
  });

  test('close does not wait for the disk when nothing is needed any more', async () => {
    let hangs = false;
    const sync = (fd: number): Promise<void> => (hangs ? new Promise<void>(() => undefined) : nodeJournalFs.sync(fd));
    const journal = await open({}, { ...nodeJournalFs, sync });
    const ref = journal.append(1, none, Buffer.from('x'));
    await journal.sync();
    hangs = true;
    journal.release(ref);
    await journal.close();
  });

  test('a full disk fails the append and nothing else', async () => {
    let full = false;
    const journal = await open(
      {},
      { ...nodeJournalFs, write: (fd, bytes, at) => (full ? fail('ENOSPC') : nodeJournalFs.write(fd, bytes, at)) },
    );
    journal.append(1, none, Buffer.from('a'));
    full = true;
    expect(() => journal.append(1, none, Buffer.from('b'))).toThrow(expect.objectContaining({ code: 'full' }));
    full = false;
    journal.append(1, none, Buffer.from('c'));
    expect((await replayed()).records.map((record) => record.payload)).toEqual(['a', 'c']);
  });

  test('who waits for space on a full disk is let go later, not at once', async () => {
    let full = true;
    const journal = await open(
      {},
      { ...nodeJournalFs, writev: (fd, parts, at) => (full ? fail('ENOSPC') : nodeJournalFs.writev(fd, parts, at)) },
    );
    const payload = Buffer.alloc(10_000);
    let attempts = 0;
    setTimeout(() => (full = false), 20);
    for (;;) {
      try {
        journal.append(1, none, payload);
        break;
      } catch (error) {
        expect(error).toMatchObject({ code: 'full' });
        attempts++;
        await journal.waitForSpace(payload.length);
      }
    }
    expect(attempts).toBeLessThan(3);
  });

  test('short writes are finished', async () => {
    const short = (bytes: Uint8Array) => bytes.subarray(0, Math.max(1, bytes.length >> 1));
    const journal = await open(
      {},
      {
        ...nodeJournalFs,
        write: (fd, bytes, at) => nodeJournalFs.write(fd, short(bytes), at),
        writev: (fd, parts, at) => nodeJournalFs.writev(fd, parts.slice(0, 2), at),
      },
    );
    const ref = journal.append(1, Buffer.from('h'), Buffer.from('small payload'));
    const large = journal.append(1, Buffer.from('h'), Buffer.alloc(30_000, 7));
    expect(journal.read(ref, 0, ref.length).toString()).toBe('small payload');
    expect(journal.read(large, 0, large.length)).toEqual(Buffer.alloc(30_000, 7));
    const { records } = await replayed();
    expect(records).toHaveLength(2);
  });

  test('syncNow leaves the work to a sync that runs', async () => {
    const journal = await open();
    await journal.sync();
    journal.append(1, none, none);
    await journal.sync();
    journal.append(1, none, none);
    expect(journal.syncNow()).toBe(true);
    journal.append(1, none, none);
    const running = journal.sync();
    expect(journal.syncNow()).toBe(false);
    await running;
  });
});

describe('lock', () => {
  test('keeps a second journal out until the first is closed', async () => {
    const journal = await open({ lock: true });
    await expect(open({ lock: true })).rejects.toMatchObject({ code: 'locked' });
    await expect(DirLock.acquire(dir)).rejects.toThrow(`pid ${process.pid}`);
    await journal.close();
    await (await open({ lock: true })).close();
  });
});
