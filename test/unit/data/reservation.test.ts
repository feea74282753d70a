import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../../src/common/logger.js';
import { Reservation } from '../../../src/data/write/reservation.js';
import { MemoryMetadata } from '../../helpers/memory-metadata.js';

const UNIT = 4096;

function make(capacityBytes: number, aheadBytes = 16 * UNIT) {
  const totals = { bytes: 0, pieces: 0 };
  const metadata = new MemoryMetadata({ fs: { capacityBytes } });
  const asked: number[] = [];
  const answers: ((granted: number) => void)[] = [];
  let manual = false;
  metadata.reserve = (bytes) => {
    asked.push(bytes);
    if (capacityBytes === 0) return Promise.resolve(Infinity);
    if (!manual) return Promise.resolve(Math.min(bytes, capacityBytes));
    return new Promise((resolve) => answers.push(resolve));
  };
  const reservation = new Reservation({ metadata, totals, logger: silentLogger, nowMs: () => 0 }, { aheadBytes });
  return { totals, reservation, asked, answers, byHand: () => (manual = true) };
}

describe('Reservation', () => {
  test('asks nothing where there is no limit', () => {
    const { reservation, asked } = make(0);
    expect(reservation.covers(2 ** 50)).toBe(true);
    expect(asked).toEqual([]);
  });

  test('covers what was granted, counts pieces high, and no more than the capacity', async () => {
    const { reservation, totals } = make(20 * UNIT);
    expect(reservation.covers(UNIT)).toBe(false);
    expect(await reservation.grow(30 * UNIT)).toBe(false);
    expect(reservation.covers(18 * UNIT)).toBe(true);
    expect(reservation.covers(18 * UNIT + 1)).toBe(false);
    totals.bytes = 5 * UNIT;
    totals.pieces = 5;
    expect(reservation.covers(8 * UNIT)).toBe(true);
    expect(reservation.covers(8 * UNIT + 1)).toBe(false);
  });

  test('is renewed before it runs out', async () => {
    const { reservation, asked, totals } = make(1000 * UNIT);
    expect(await reservation.grow(1)).toBe(true);
    expect(asked).toHaveLength(1);
    expect(reservation.covers(UNIT)).toBe(true);
    expect(asked).toHaveLength(1);
    totals.bytes = 12 * UNIT;
    expect(reservation.covers(UNIT)).toBe(true);
    expect(asked).toHaveLength(2);
  });

  test('a commit answered while a reserve is under way counts against its answer', async () => {
    const { reservation, answers, byHand } = make(1000 * UNIT);
    await reservation.grow(1);
    byHand();
    const growing = reservation.grow(100 * UNIT);
    await Promise.resolve();
    reservation.spend(10 * UNIT, 0);
    answers[0]!(118 * UNIT);
    await growing;
    expect(reservation.reservedBytes).toBe(108 * UNIT);
  });
});
