import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../../src/common/logger.js';
import { Reservation } from '../../../src/data/write/reservation.js';
import { MemoryMetadata } from '../../helpers/memory-metadata.js';

const UNIT = 4096;

function make(capacityBytes: number, aheadBytes = 16 * UNIT) {
  const totals = { bytes: 0, pieces: 0, units: 0 };
  const metadata = new MemoryMetadata({ fs: { capacityBytes } });
  const asked: number[] = [];
  const answers: ((granted: number) => void)[] = [];
  let manual = false;
  metadata.reserve = (bytes) => {
    asked.push(bytes);
    const grant = (granted: number) => ({ granted, freeing: false });
    if (capacityBytes === 0) return Promise.resolve(grant(Infinity));
    if (!manual) return Promise.resolve(grant(Math.min(bytes, capacityBytes)));
    return new Promise((resolve) => answers.push((granted) => resolve(grant(granted))));
  };
  const reservation = new Reservation({ metadata, totals, logger: silentLogger, nowMs: () => 0 }, { aheadBytes });
  return { totals, reservation, asked, answers, byHand: () => (manual = true) };
}

describe('Reservation', () => {
  test('asks nothing where there is no limit', () => {
    const { reservation, asked } = make(0);
    expect(reservation.limited).toBe(false);
    expect(reservation.covers(2 ** 40)).toBe(true);
    expect(asked).toEqual([]);
  });

  test('covers what was granted, counts each unit once, and no more than the capacity', async () => {
    const { reservation, totals } = make(20 * UNIT);
    expect(reservation.covers(1)).toBe(false);
    expect(await reservation.grow(30)).toBe('short');
    expect(reservation.covers(20)).toBe(true);
    expect(reservation.covers(21)).toBe(false);
    totals.units = 5;
    expect(reservation.covers(15)).toBe(true);
    expect(reservation.covers(16)).toBe(false);
  });

  test('is renewed before it runs out, and never made smaller than what a write counts on', async () => {
    const { reservation, asked, totals } = make(1000 * UNIT);
    expect(await reservation.grow(1)).toBe('enough');
    expect(asked).toEqual([17 * UNIT]);
    expect(reservation.covers(1)).toBe(true);
    expect(asked).toHaveLength(1);
    totals.units = 2;
    expect(reservation.covers(12)).toBe(true);
    expect(asked).toEqual([17 * UNIT, 30 * UNIT]);
  });

  test('a commit answered while a reserve is under way counts against its answer', async () => {
    const { reservation, answers, byHand } = make(1000 * UNIT);
    await reservation.grow(1);
    byHand();
    const growing = reservation.grow(100);
    await Promise.resolve();
    reservation.spend(10 * UNIT);
    answers[0]!(118 * UNIT);
    await growing;
    expect(reservation.reservedBytes).toBe(108 * UNIT);
  });

  test('what nobody uses is given back', async () => {
    const { reservation, asked, totals } = make(1000 * UNIT);
    await reservation.grow(1);
    totals.units = 1;
    expect(reservation.covers(1)).toBe(true);
    reservation.giveBackIdle();
    reservation.giveBackIdle();
    expect(asked).toHaveLength(1);
    totals.units = 0;
    expect(reservation.covers(1)).toBe(true);
    reservation.giveBackIdle();
    expect(asked).toHaveLength(1);
    reservation.giveBackIdle();
    expect(asked).toEqual([17 * UNIT, 0]);
    expect(reservation.covers(1)).toBe(false);
    expect(await reservation.grow(1)).toBe('enough');
  });
});
