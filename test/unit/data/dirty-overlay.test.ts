import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Batch } from '../../../src/data/upload/batch.js';
import { DirtyOverlay, type DirtyRecord } from '../../../src/data/write/dirty-overlay.js';

const BLOCK = 64;
const UNIT = 8;

function record(sequence: number, length: number, truncEpoch = 0): DirtyRecord {
  return {
    ref: { sequence, segment: 1, position: 0, length },
    mtime: { sec: 0, nsec: 0 },
    truncEpoch,
    timeEpoch: 0,
    live: length,
  };
}

function batchOf(overlay: DirtyOverlay): Batch {
  return {
    blocks: [...overlay.blocks.keys()],
    truncEpoch: 0,
    bytes: 0,
    state: 'queued',
    chunkId: undefined,
    chunkBytes: 0,
    attempts: 0,
  };
}

/** Byte for byte: which record's which byte lies there, and in which batch. */
interface Cell {
  readonly sequence: number;
  readonly at: number;
  batch: Batch | undefined;
}

type Step =
  | { readonly kind: 'write'; readonly start: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'remove'; readonly start: number; readonly length: number; readonly back: number }
  | { readonly kind: 'assign' | 'commit' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      start: fc.nat(300),
      length: fc.integer({ min: 1, max: 150 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), size: fc.nat(400) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('remove' as const),
      start: fc.nat(300),
      length: fc.integer({ min: 1, max: 150 }),
      back: fc.nat(5),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('assign' as const, 'commit' as const) }) },
);

describe('DirtyOverlay', () => {
  test('holds the youngest write of each byte, through cuts, uploads and truncations', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const totals = { pieces: 0, bytes: 0, units: 0 };
        const records = new Map<number, DirtyRecord>();
        const overlay = new DirtyOverlay(
          BLOCK,
          {
            dead: (dead, bytes) => {
              dead.live -= bytes;
              expect(dead.live).toBeGreaterThanOrEqual(0);
            },
            changed: (pieces, bytes, units) => {
              totals.units += units;
              totals.pieces += pieces;
              totals.bytes += bytes;
            },
          },
          UNIT,
        );
        const cells = new Map<number, Cell>();
        const batches: Batch[] = [];
        let sequence = 0;
        for (const next of steps) {
          switch (next.kind) {
            case 'write': {
              const written = record(++sequence, next.length);
              records.set(sequence, written);
              overlay.insert(next.start, next.start + next.length, written);
              for (let i = 0; i < next.length; i++) cells.set(next.start + i, { sequence, at: i, batch: undefined });
              break;
            }
            case 'truncate':
              overlay.truncate(next.size);
              for (const at of [...cells.keys()]) if (at >= next.size) cells.delete(at);
              break;
            case 'remove': {
              const through = sequence - next.back;
              overlay.removeRange(next.start, next.start + next.length, through);
              for (let at = next.start; at < next.start + next.length; at++) {
                if ((cells.get(at)?.sequence ?? Infinity) <= through) cells.delete(at);
              }
              break;
            }
            case 'assign': {
              const batch = batchOf(overlay);
              for (const block of overlay.blocks.values()) {
                for (const piece of block.pieces) if (piece.batch === undefined) overlay.assign(block, piece, batch);
              }
              for (const cell of cells.values()) cell.batch ??= batch;
              batches.push(batch);
              break;
            }
            case 'commit': {
              const batch = batches.shift();
              if (batch === undefined) break;
              overlay.removeBatch(batch);
              for (const [at, cell] of [...cells]) if (cell.batch === batch) cells.delete(at);
              break;
            }
          }
          overlay.checkInvariants();
          const found = new Map<number, Cell>();
          for (const { pieces } of overlay.blocks.values()) {
            for (const piece of pieces) {
              for (let at = piece.start; at < piece.end; at++) {
                const { sequence: number } = piece.record.ref;
                found.set(at, { sequence: number, at: piece.recordOffset + at - piece.start, batch: piece.batch });
              }
            }
          }
          expect(found).toEqual(new Map([...cells].sort(([a], [b]) => a - b).filter(() => true)));
          const units = new Set([...cells.keys()].map((at) => Math.floor(at / UNIT)));
          expect(totals).toEqual({ pieces: overlay.pieceCount, bytes: cells.size, units: units.size });
          for (const { start, end } of [
            { start: 0, end: 7 },
            { start: 3, end: 4 * BLOCK },
            { start: 77, end: 131 },
          ]) {
            let added = 0;
            for (let unit = Math.floor(start / UNIT); unit * UNIT < end; unit++) if (!units.has(unit)) added++;
            expect(overlay.unitsAddedBy(start, end)).toBe(added);
          }
          expect(overlay.end).toBe(Math.max(0, ...[...cells.keys()].map((at) => at + 1)));
          for (const [number, { live }] of records) {
            expect(live).toBe([...cells.values()].filter((cell) => cell.sequence === number).length);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test('a truncation by another session spares what was written after it', () => {
    const overlay = new DirtyOverlay(BLOCK, { dead: () => undefined, changed: () => undefined });
    overlay.insert(0, 50, record(1, 50, 0));
    overlay.insert(30, 60, record(2, 30, 1));
    overlay.truncate(10, 1);
    expect([...overlay.blocks.values()][0]?.pieces.map(({ start, end }) => [start, end])).toEqual([
      [0, 10],
      [30, 60],
    ]);
  });
});
