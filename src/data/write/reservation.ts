import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { Metadata } from '../../meta/metadata.js';
import { ALLOCATION_UNIT_BYTES } from '../../model/inode.js';

/** What is dirty on this mount, kept by the overlays. */
export interface DirtyTotals {
  bytes: number;
  pieces: number;
}

export interface ReservationOptions {
  /** Held beyond what is dirty, so that writes need not wait for a reply; renewed when half of it is used. */
  readonly aheadBytes: number;
}

/** A grant from here on is no limit. */
const UNLIMITED_BYTES = Number.MAX_SAFE_INTEGER;
/** After a grant that was cut short, it is not asked again in the background for this long. */
const SCARCE_MS = 1000;

/**
 * The space that the server holds for this mount's uncommitted data, so that "full" is said to write(2) and never after.
 *
 * What is dirty is counted high: each piece with the allocation unit that its edges may add. INVARIANT: `#reserved` is at most what the server holds: commits that are
 * answered while a reserve is under way count against its answer, for it cannot be known which came first.
 */
export class Reservation {
  readonly #metadata: Metadata;
  readonly #totals: DirtyTotals;
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #opts: ReservationOptions;
  #reserved = 0;
  #unlimited: boolean;
  #spent = 0;
  #asking: Promise<void> | undefined;
  #scarceUntilMs = -Infinity;

  constructor(
    deps: { metadata: Metadata; totals: DirtyTotals; logger: Logger; nowMs: () => number },
    opts: ReservationOptions,
  ) {
    this.#metadata = deps.metadata;
    this.#totals = deps.totals;
    this.#logger = deps.logger;
    this.#nowMs = deps.nowMs;
    this.#opts = opts;
    this.#unlimited = deps.metadata.fs.capacityBytes === 0;
  }

  get reservedBytes(): number {
    return this.#unlimited ? 0 : this.#reserved;
  }

  /** True when `bytes` more may be written now. */
  covers(bytes: number): boolean {
    if (this.#unlimited) return true;
    const left = this.#reserved - this.#need(bytes);
    if (left < this.#opts.aheadBytes / 2 && this.#asking === undefined && this.#nowMs() >= this.#scarceUntilMs) {
      this.grow(0).catch((error: unknown) =>
        this.#logger.warn('cannot renew the space reservation', { error: errorMessage(error) }),
      );
    }
    return left >= 0;
  }

  /** A commit took this much of it. */
  spend(bytes: number, extents: number): void {
    const taken = bytes + extents * ALLOCATION_UNIT_BYTES;
    this.#spent += taken;
    this.#reserved = Math.max(0, this.#reserved - taken);
  }

  /**
   * Asks the server for room for `bytes` more. False when it granted less than that; true is no promise that {@link covers} agrees afterwards, for other writers take from
   * the same grant.
   */
  async grow(bytes: number): Promise<boolean> {
    while (this.#asking !== undefined) await this.#asking;
    if (this.#unlimited || (bytes > 0 && this.#reserved >= this.#need(bytes))) return true;
    const need = this.#need(bytes);
    const asking = this.#ask(need + this.#opts.aheadBytes);
    // Those who wait for it ask again themselves; its failure is this caller's.
    this.#asking = asking
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        this.#asking = undefined;
      });
    return (await asking) >= need;
  }

  async #ask(wanted: number): Promise<number> {
    const spentBefore = this.#spent;
    const granted = await this.#metadata.reserve(wanted);
    if (granted >= UNLIMITED_BYTES) {
      this.#unlimited = true;
      return granted;
    }
    this.#reserved = Math.max(0, granted - (this.#spent - spentBefore));
    if (granted < wanted) this.#scarceUntilMs = this.#nowMs() + SCARCE_MS;
    return granted;
  }

  #need(bytes: number): number {
    return this.#totals.bytes + bytes + (this.#totals.pieces + 2) * ALLOCATION_UNIT_BYTES;
  }
}
