import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import { listSegments } from '../../src/journal/earlier-segments.js';
import { isJournalError } from '../../src/journal/journal-error.js';
import type { RecordRef } from '../../src/journal/journal.js';
import { replayJournal } from '../../src/journal/replay-journal.js';
import { SegmentJournal } from '../../src/journal/segment-journal.js';
import { MemoryJournalFs } from './journal-memory-fs.js';

const DIR = '/j';

interface Known {
  readonly ref: RecordRef;
  readonly kind: number;
  readonly header: Buffer;
  readonly payload: Buffer;
  /** What was durable when it was appended. */
  readonly durable: number;
}

type Step =
  | { readonly op: 'append'; readonly bytes: number; readonly headerBytes: number }
  | { readonly op: 'release'; readonly which: number }
  | { readonly op: 'sync' }
  | { readonly op: 'syncNow' }
  | { readonly op: 'syncLater' }
  | { readonly op: 'restart'; readonly how: 'kill' | 'power' | 'close'; readonly drop: boolean }
  | { readonly op: 'flip'; readonly which: number; readonly at: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      op: fc.constant('append' as const),
      bytes: fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 3000 })),
      headerBytes: fc.integer({ min: 0, max: 30 }),
    }),
  },
  { weight: 14, arbitrary: fc.record({ op: fc.constant('release' as const), which: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('sync' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('syncNow' as const) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('syncLater' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('restart' as const),
      how: fc.constantFrom('kill' as const, 'power' as const, 'close' as const),
      drop: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('flip' as const), which: fc.nat(), at: fc.nat() }) },
);

/** A journal on a disk that loses power, and what is known of it. */
class World {
  readonly fs = new MemoryJournalFs();
  readonly #random: () => number;
  journal!: SegmentJournal;
  /** All records ever appended, by sequence. */
  readonly known = new Map<number, Known>();
  /** Retained by the open journal. */
  live: Known[] = [];
  /** Retained by earlier ones that are not dropped. */
  earlier: Known[] = [];
  durable = 0;
  flipped: Known[] = [];
  /** An earlier journal that is not dropped ends torn. */
  torn = false;

  constructor(
    seed: number,
    readonly preallocate: 'zeros' | 'sparse',
  ) {
    let state = seed | 1;
    this.#random = () => {
      state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
      return (state >>> 0) / 0x1_0000_0000;
    };
  }

  async open(): Promise<void> {
    const opts = {
      dir: DIR,
      name: 'test',
      segmentBytes: 4096,
      capacityBytes: 8 * 4096,
      lock: false,
      preallocate: this.preallocate,
    };
    this.journal = await SegmentJournal.open({ fs: this.fs.process(), logger: silentLogger, metrics: noMetrics }, opts);
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => Math.floor(this.#random() * 256)));
  }

  async apply(s: Step): Promise<void> {
    switch (s.op) {
      case 'append': {
        const record = {
          kind: s.bytes % 7,
          header: this.bytes(s.headerBytes),
          payload: this.bytes(s.bytes),
          durable: this.durable,
        };
        try {
          const ref = this.journal.append(record.kind, record.header, record.payload);
          // a number that a power cut took with its record may come again
          expect([...this.earlier, ...this.live].some((other) => other.ref.sequence === ref.sequence)).toBe(false);
          this.live.push({ ref, ...record });
          this.known.set(ref.sequence, { ref, ...record });
        } catch (error) {
          if (!isJournalError(error, 'full')) throw error;
        }
        break;
      }
      case 'release': {
        const [gone] = this.live.splice(s.which % Math.max(1, this.live.length), 1);
        if (gone !== undefined) this.journal.release(gone.ref);
        break;
      }
      case 'sync':
        await this.journal.sync();
        this.durable = Math.max(0, ...this.known.keys());
        break;
      case 'syncNow':
        if (this.journal.syncNow()) this.durable = Math.max(0, ...this.known.keys());
        break;
      case 'syncLater': {
        const { journal } = this;
        const upTo = Math.max(0, ...this.known.keys());
        journal.sync().then(
          () => {
            if (this.journal === journal) this.durable = Math.max(this.durable, upTo);
          },
          // the process was killed meanwhile: else the next append fails too
          () => undefined,
        );
        break;
      }
      case 'restart':
        await this.restart(s.how, s.drop);
        break;
      case 'flip': {
        const record = this.live[s.which % Math.max(1, this.live.length)];
        if (record === undefined || record.payload.length === 0) break;
        const file = this.fs.files.get(this.journal.segmentPath(record.ref.segment))!;
        const at = record.ref.position + (s.at % record.payload.length);
        file.cache[at]! ^= 1 << (s.at % 8);
        expect(() => this.journal.read(record.ref, 0, record.ref.length)).toThrow('checksum');
        this.flipped.push(record);
        break;
      }
    }
    if (s.op !== 'flip' && this.flipped.length === 0) {
      for (const { ref, payload } of this.live)
        expect(this.journal.read(ref, 0, ref.length).equals(payload)).toBe(true);
    }
  }

  async restart(how: 'kill' | 'power' | 'close', drop: boolean): Promise<void> {
    if (how === 'close') await this.journal.close();
    else if (how === 'kill') this.fs.killed();
    else this.fs.powerCut(() => this.#random() < 0.5);
    const served: number[] = [];
    const result = await replayJournal(this.fs, DIR, (record) => {
      const known = this.known.get(record.ref.sequence);
      // never a wrong record
      expect(known).toBeDefined();
      expect(record.ref).toEqual(known!.ref);
      expect(record.kind).toBe(known!.kind);
      expect(Buffer.from(record.header).equals(known!.header)).toBe(true);
      expect(Buffer.from(record.payload).equals(known!.payload)).toBe(true);
      served.push(record.ref.sequence);
    });
    expect(served).toEqual([...served].sort((a, b) => a - b));
    const retained = [...this.earlier, ...this.live];
    const lost = retained.filter(({ ref }) => !served.includes(ref.sequence));
    if (this.flipped.length === 0) {
      expect(result.corrupt).toEqual([]);
      if (how !== 'power' && !this.torn) expect(result.torn).toEqual([]);
      // all that was promised is there
      expect(lost.filter(({ ref }) => how !== 'power' || ref.sequence <= this.durable)).toEqual([]);
    } else if (how !== 'power') {
      if (result.corrupt.length === 0 && result.torn.length === 0) expect(lost).toEqual([]);
      // a broken record that a later one knows to be durable is corruption, not the end
      const first = this.flipped.find((record) => this.live.includes(record));
      if (first !== undefined && this.live.some((later) => later.durable >= first.ref.sequence)) {
        expect(result.corrupt).not.toEqual([]);
      }
    }
    this.torn = result.torn.length > 0;
    this.earlier = retained.filter(({ ref }) => served.includes(ref.sequence));
    this.live = [];
    await this.open();
    for (const { ref, payload } of this.earlier)
      expect(this.journal.read(ref, 0, ref.length).equals(payload)).toBe(true);
    for (const sequence of [...this.known.keys()]) if (!served.includes(sequence)) this.known.delete(sequence);
    this.durable = Math.max(0, ...this.known.keys());
    if (drop || this.flipped.length > 0) {
      await this.journal.dropEarlier();
      this.earlier = [];
      this.flipped = [];
      this.torn = false;
      expect((await listSegments(this.fs, DIR)).length).toBeLessThanOrEqual(2);
    }
  }
}

test('replay gives what was promised, and never a wrong record', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 100, size: 'max' }),
      fc.integer(),
      fc.constantFrom('zeros' as const, 'sparse' as const),
      async (steps, seed, preallocate) => {
        const world = new World(seed, preallocate);
        await world.open();
        for (const s of steps) await world.apply(s);
        await world.restart('power', false);
        await world.restart('kill', true);
        await world.journal.close();
        expect((await replayJournal(world.fs, DIR, () => undefined)).records).toBe(0);
      },
    ),
    { numRuns: process.env['CURVEFS_TEST_LONG'] === '1' ? 1000 : 40 },
  );
}, 60_000);
