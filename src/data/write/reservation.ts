import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { Metadata, SpaceGrant } from '../../meta/metadata.js';
import type { Ino } from '../../model/ids.js';
import { ALLOCATION_UNIT_BYTES } from '../../model/inode.js';

/** How many allocation units dirty pieces touch, each once. */
export interface DirtyUnits {
  units: number;
}

/** What is dirty on this mount, kept by the overlays. */
export interface DirtyTotals extends DirtyUnits {
  bytes: number;
  pieces: number;
}

export interface ReservationOptions {
  /** Held beyond what is dirty, so that writes need not wait for a reply; renewed when half of it is used. */
  readonly aheadBytes: number;
  /** The directory whose quota it is of; left out = of the filesystem's space. */
  readonly quota?: Ino;
}

/** A grant from here on is no limit. */
const UNLIMITED_BYTES = Number.MAX_SAFE_INTEGER;
/** After a grant that was cut short, it is not asked again in the background for this long. */
const SCARCE_MS = 1000;
/** A quota that has no limit may get one: it is asked so often. */
const RECHECK_MS = 1000;

/**
 * The space, of the filesystem or of a quota, that the server holds for this mount's uncommitted data, so that "full" is said to write(2) and never after.
 *
 * What is dirty is counted in the allocation units that it touches, each once: no commit allocates more, one that overwrites less. INVARIANT: `#reserved` less what is dirty is at
 * most what the server holds for what is not dirty yet: commits that are answered while a reserve is under way count against its answer, for it cannot be known which came first.
 */
export class Reservation {
  readonly #metadata: Metadata;
  readonly #totals: DirtyUnits;
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #opts: ReservationOptions;
  #reserved = 0;
  #unlimited: boolean;
  #spent = 0;
  #asking: Promise<void> | undefined;
  #scarceUntilMs = -Infinity;
  /** When the server last said that there is no limit. */
  #askedMs = -Infinity;
  /** Nothing was written since the last {@link giveBackIdle}. */
  #idle = false;

  constructor(
    deps: { metadata: Metadata; totals: DirtyUnits; logger: Logger; nowMs: () => number },
    opts: ReservationOptions,
  ) {
    this.#metadata = deps.metadata;
    this.#totals = deps.totals;
    this.#logger = deps.logger;
    this.#nowMs = deps.nowMs;
    this.#opts = opts;
    this.#unlimited = opts.quota === undefined && deps.metadata.fs.capacityBytes === 0;
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
    if (this.#unlimited) {
      if (this.#opts.quota !== undefined) this.#recheck(units);
      return true;
    }
    this.#idle = false;
    const left = this.#reserved - this.#need(units);
    if (left < this.#opts.aheadBytes / 2 && this.#asking === undefined && this.#nowMs() >= this.#scarceUntilMs) {
      this.#inBackground(this.#ask(this.#need(units), this.#opts.aheadBytes));
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
    const { granted, freeing } = await this.#ask(need, this.#opts.aheadBytes);
    if (granted >= need) return 'enough';
    return freeing ? 'freeing' : 'short';
  }

  /** Called now and then: returns what nobody has used since the last call. */
  giveBackIdle(): void {
    const idle = this.#idle && this.#totals.units === 0;
    this.#idle = true;
    if (!idle || this.#reserved === 0 || this.#asking !== undefined) return;
    this.#reserved = 0;
    this.#inBackground(this.#ask(0, 0));
  }

  /** Returns what is not needed for what is dirty. */
  async giveBack(): Promise<void> {
    while (this.#asking !== undefined) await this.#asking;
    const need = this.#need(0);
    if (this.#unlimited || this.#reserved <= need) return;
    // Before the question: writes that come meanwhile ask for their own.
    this.#reserved = need;
    await this.#ask(need, 0);
  }

  /** REQUIRES: more is wanted than is held, or nothing beyond what is dirty is held: no reserve takes away what a write before its answer counts on. */
  #ask(need: number, ahead: number): Promise<SpaceGrant> {
    const asking = this.#reserve(need, ahead);
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

  async #reserve(need: number, ahead: number): Promise<SpaceGrant> {
    const spentBefore = this.#spent;
    const { quota } = this.#opts;
    const wanted = need + ahead;
    const grant = await this.#metadata.reserve(wanted, undefined, quota === undefined ? undefined : { quota, ahead });
    const { granted } = grant;
    if (granted >= UNLIMITED_BYTES) {
      this.#unlimited = true;
      this.#askedMs = this.#nowMs();
      return grant;
    }
    this.#unlimited = false;
    this.#reserved = Math.max(0, granted - (this.#spent - spentBefore));
    if (granted < wanted) this.#scarceUntilMs = this.#nowMs() + SCARCE_MS;
    return grant;
  }

  #recheck(units: number): void {
    if (this.#asking !== undefined || this.#nowMs() - this.#askedMs < RECHECK_MS) return;
    this.#inBackground(this.#ask(this.#need(units), this.#opts.aheadBytes));
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
