import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { Metadata, SpaceGrant } from '../../meta/metadata.js';
import { ALLOCATION_UNIT_BYTES } from '../../model/inode.js';

/** What is dirty on this mount, kept by the overlays. */
export interface DirtyTotals {
  bytes: number;
  pieces: number;
  /** Allocation units that they touch, each once. */
  units: number;
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
 * What is dirty is counted in the allocation units that it touches, each once: no commit allocates more, one that overwrites less. INVARIANT: `#reserved` less what is dirty is at
 * most what the server holds for what is not dirty yet: commits that are answered while a reserve is under way count against its answer, for it cannot be known which came first.
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
  /** Nothing was written since the last {@link giveBackIdle}. */
  #idle = false;

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

  /** False where nothing has to be reserved. */
  get limited(): boolean {
    return !this.#unlimited;
  }

  /** Units that may still become dirty. */
  get unitsFree(): number {
    return Math.max(0, Math.floor((this.#reserved - this.#need(0)) / ALLOCATION_UNIT_BYTES));
  }

  /** True when so many more units may become dirty now. */
  covers(units: number): boolean {
    if (this.#unlimited) return true;
    this.#idle = false;
    const left = this.#reserved - this.#need(units);
    if (left < this.#opts.aheadBytes / 2 && this.#asking === undefined && this.#nowMs() >= this.#scarceUntilMs) {
      this.#inBackground(this.#ask(this.#need(units) + this.#opts.aheadBytes));
    }
    return left >= 0;
  }

  /** A commit took at most this much of it. */
  spend(bytes: number): void {
    this.#spent += bytes;
    this.#reserved = Math.max(0, this.#reserved - bytes);
  }

  /**
   * Asks the server for room for so many more units. `enough` is no promise that {@link covers} agrees afterwards, for other writers take from
   * the same grant; what is being committed at the moment counts twice, so that `short` is exact only when nothing is dirty.
   */
  async grow(units: number): Promise<'enough' | 'freeing' | 'short'> {
    while (this.#asking !== undefined) await this.#asking;
    const need = this.#need(units);
    if (this.#unlimited || (units > 0 && this.#reserved >= need)) return 'enough';
    const { granted, freeing } = await this.#ask(need + this.#opts.aheadBytes);
    if (granted >= need) return 'enough';
    return freeing ? 'freeing' : 'short';
  }

  /** Called now and then: returns what nobody has used since the last call. */
  giveBackIdle(): void {
    const idle = this.#idle && this.#totals.units === 0;
    this.#idle = true;
    if (!idle || this.#reserved === 0 || this.#asking !== undefined) return;
    this.#reserved = 0;
    this.#inBackground(this.#ask(0));
  }

  /** Returns what is not needed for what is dirty. */
  async giveBack(): Promise<void> {
    while (this.#asking !== undefined) await this.#asking;
    const need = this.#need(0);
    if (this.#unlimited || this.#reserved <= need) return;
    // Before the question: writes that come meanwhile ask for their own.
    this.#reserved = need;
    await this.#ask(need);
  }

  /** REQUIRES: more is wanted than is held, or nothing beyond what is dirty is held: no reserve takes away what a write before its answer counts on. */
  #ask(wanted: number): Promise<SpaceGrant> {
    const asking = this.#reserve(wanted);
    // Those who wait for it ask again themselves; its failure is this caller's.
    this.#asking = asking
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        this.#asking = undefined;
      });
    return asking;
  }

  async #reserve(wanted: number): Promise<SpaceGrant> {
    const spentBefore = this.#spent;
    const grant = await this.#metadata.reserve(wanted);
    const { granted } = grant;
    if (granted >= UNLIMITED_BYTES) {
      this.#unlimited = true;
      return grant;
    }
    this.#reserved = Math.max(0, granted - (this.#spent - spentBefore));
    if (granted < wanted) this.#scarceUntilMs = this.#nowMs() + SCARCE_MS;
    return grant;
  }

  #inBackground(asking: Promise<unknown>): void {
    asking.catch((error: unknown) =>
      this.#logger.warn('cannot renew the space reservation', { error: errorMessage(error) }),
    );
  }

  #need(units: number): number {
    return (this.#totals.units + units) * ALLOCATION_UNIT_BYTES;
  }
}
