import { backoffMs } from '../common/backoff.js';
import type { Clock } from '../common/clock.js';
import { FsError } from '../common/fs-error.js';
import { interruptible } from '../common/interruptible.js';
import type { Logger } from '../common/logger.js';
import type { MaybePromise } from '../common/maybe-promise.js';
import type { ChunkId } from '../model/ids.js';
import { fsErrorOf } from '../wire/grpc-error.js';

/** Asks the MDS for a range. */
export type AllocateRange = (
  count: number,
  signal?: AbortSignal,
) => Promise<{ readonly first: ChunkId; readonly count: number }>;

export interface ChunkIdsOptions {
  /** Ids asked for at once. */
  readonly rangeSize?: number;
  /** How long a caller without an id waits for an MDS that is away, before ETIMEDOUT. */
  readonly giveUpMs?: number;
}

const BACKOFF = { firstMs: 100, maxMs: 2000 };

/**
 * Hands out chunk ids from ranges that the MDS gave to this session. The next range is fetched when half of the last one is used, so that callers
 * rarely wait and an MDS that is briefly away is not noticed. Ids left over at the end are a gap.
 */
export class ChunkIds {
  readonly #deps: { readonly clock: Clock; readonly log: Logger; readonly allocateRange: AllocateRange };
  readonly #rangeSize: number;
  readonly #giveUpMs: number;
  readonly #closing = new AbortController();

  /** Ids that may be handed out: [next, end) first, then the spare range. */
  #next = 0;
  #end = 0;
  #spare: { readonly first: number; readonly end: number } | undefined;
  #fetching: Promise<void> | undefined;

  constructor(
    deps: { readonly clock: Clock; readonly log: Logger; readonly allocateRange: AllocateRange },
    options: ChunkIdsOptions = {},
  ) {
    this.#deps = deps;
    this.#rangeSize = options.rangeSize ?? 1000;
    this.#giveUpMs = options.giveUpMs ?? 30_000;
  }

  /** Ids that can be handed out without asking. */
  get available(): number {
    return this.#end - this.#next + (this.#spare === undefined ? 0 : this.#spare.end - this.#spare.first);
  }

  /** A fresh id; EINTR when aborted, ETIMEDOUT when no MDS can be reached for long. */
  allocate(signal?: AbortSignal): MaybePromise<ChunkId> {
    if (this.#next === this.#end && this.#spare !== undefined) {
      this.#next = this.#spare.first;
      this.#end = this.#spare.end;
      this.#spare = undefined;
    }
    if (this.#next === this.#end) return this.#wait(signal);
    if (this.#spare === undefined && this.#end - this.#next <= this.#rangeSize / 2) this.#prefetch();
    return this.#next++ as ChunkId;
  }

  close(): void {
    this.#closing.abort(new FsError('ESHUTDOWN', 'the metadata client is closed'));
  }

  async #wait(signal: AbortSignal | undefined): Promise<ChunkId> {
    if (signal?.aborted === true) throw new FsError('EINTR');
    await interruptible(this.#fetch(), signal);
    return this.allocate(signal);
  }

  #prefetch(): void {
    if (this.#fetching !== undefined) return;
    this.#fetch().catch((error: unknown) => {
      // Asked again by the next allocation; whoever finds no id left gets the error.
      this.#deps.log.warn('cannot get chunk ids ahead of need', { error, left: this.available });
    });
  }

  /** One fetch at a time; all that wait share it. */
  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetchRange().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #fetchRange(): Promise<void> {
    const { clock, allocateRange } = this.#deps;
    const startMs = clock.monotonicMs();
    for (let attempt = 0; ; attempt++) {
      try {
        const { first, count } = await allocateRange(this.#rangeSize, this.#closing.signal);
        this.#spare = { first, end: first + count };
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) throw this.#closing.signal.reason;
        const problem = fsErrorOf(error, 'the MDS');
        if (problem.code !== 'ETIMEDOUT' || clock.monotonicMs() - startMs > this.#giveUpMs) throw problem;
        await clock.sleep(backoffMs(attempt, BACKOFF), this.#closing.signal);
      }
    }
  }
}
