import type { Logger } from '../../common/logger.js';
import type { Metadata } from '../../meta/metadata.js';
import { NO_INO, type Ino } from '../../model/ids.js';
import { Reservation, type DirtyUnits } from './reservation.js';

export interface ReservationsOptions {
  /** As {@link Reservation} has it. */
  readonly aheadBytes: number;
  /** The same of the filesystem as a whole. */
  readonly wholeAheadBytes: number;
}

interface Account {
  readonly dirty: DirtyUnits;
  readonly reservation: Reservation;
}

/**
 * The reservation of the filesystem's space, and one of every quota that something written here is charged to: a write needs room in both. The server takes a quota's share of those around it.
 * Bounded by the quotas that the filesystem has.
 */
export class Reservations {
  readonly whole: Reservation;
  readonly #deps: { readonly metadata: Metadata; readonly logger: Logger; readonly nowMs: () => number };
  readonly #opts: ReservationsOptions;
  readonly #quotas = new Map<Ino, Account>();

  constructor(
    deps: {
      readonly metadata: Metadata;
      readonly totals: DirtyUnits;
      readonly logger: Logger;
      readonly nowMs: () => number;
    },
    opts: ReservationsOptions,
  ) {
    this.#deps = deps;
    this.#opts = opts;
    this.whole = new Reservation(deps, { aheadBytes: opts.wholeAheadBytes });
  }

  /** Where an inode that is charged to a quota counts what is dirty of it. */
  dirtyOf(quota: Ino): DirtyUnits {
    return this.#account(quota).dirty;
  }

  /** REQUIRES: there is a quota. */
  of(quota: Ino): Reservation {
    return this.#account(quota).reservation;
  }

  /** A commit took at most this much. */
  spend(quota: Ino, bytes: number): void {
    this.whole.spend(bytes);
    if (quota !== NO_INO) this.of(quota).spend(bytes);
  }

  /** Returns what is not needed for what is dirty. */
  async giveBack(): Promise<void> {
    const all = [...this.#quotas.values()].map(({ reservation }) => reservation.giveBack());
    await Promise.all([this.whole.giveBack(), ...all]);
  }

  giveBackIdle(): void {
    this.whole.giveBackIdle();
    for (const { reservation } of this.#quotas.values()) reservation.giveBackIdle();
  }

  #account(quota: Ino): Account {
    let account = this.#quotas.get(quota);
    if (account === undefined) {
      const dirty = { units: 0 };
      const { aheadBytes } = this.#opts;
      account = { dirty, reservation: new Reservation({ ...this.#deps, totals: dirty }, { aheadBytes, quota }) };
      this.#quotas.set(quota, account);
    }
    return account;
  }
}
