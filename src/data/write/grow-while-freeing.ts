import type { Clock } from '../../common/clock.js';
import { interruptible } from '../../common/interruptible.js';
import type { Reservation } from './reservation.js';

/** How long it is waited for the space of files that were removed just before. */
const FREEING_MAX_MS = 30_000;
const FREEING_POLL_MS = 100;

/** Asks for room for so many more units, again and again while the server is freeing space. False when there is none. */
export async function growWhileFreeing(
  reservation: Reservation,
  units: () => number,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const deadline = clock.monotonicMs() + FREEING_MAX_MS;
  for (;;) {
    const grant = await interruptible(reservation.grow(units()), signal);
    if (grant === 'enough') return true;
    if (grant === 'short' || clock.monotonicMs() >= deadline) return false;
    await interruptible(clock.sleep(FREEING_POLL_MS), signal);
  }
}
