import type { MaybePromise } from '../common/maybe-promise.js';
import { isPromise } from '../common/maybe-promise.js';
import { errorMessage } from '../common/fs-error.js';
import type { KvBatch, KvCommitOptions } from './kv-engine.js';
import { isKvError, KvError } from './kv-error.js';

/** What a {@link CommitQueue} drives: an engine's state, log and disk. */
export interface CommitTarget<S> {
  /** Checks the batch against all that was issued and applies it there. Throws with nothing changed. */
  issue(batch: KvBatch, reserve: boolean): void;
  /** Undefined when there is room to go on, else resolves when there is. */
  room(): Promise<void> | undefined;
  /** Writes what was issued since the last call to the log; returns the state that it leads to. */
  write(): S;
  /** Everything written is durable when it is done. */
  sync(): MaybePromise<void>;
  /** Reads see this state from now on. */
  publish(state: S): void;
  /** What was issued and not published is void. */
  discard(): void;
}

interface Waiter {
  readonly durable: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface CommitQueueOptions {
  /** Relaxed commits are on disk this long after, at the latest. */
  readonly flushIntervalMs: number;
  /** Most commits that wait. */
  readonly waitersMax: number;
}

/**
 * Group commit, in the order of the calls: what is issued in one turn of the event loop, or while the previous group is being synced, is written and synced together.
 * A commit that fails takes down all that were issued after it and before the failure was told, for they may be built on it.
 * A failed sync is final: the kernel may have dropped the pages, so nothing later can be trusted to be durable (fsync(2), "fsyncgate").
 */
export class CommitQueue<S> {
  readonly #target: CommitTarget<S>;
  readonly #opts: CommitQueueOptions;
  #queue: Waiter[] = [];
  /** INVARIANT: not empty only while a failed commit waits for earlier ones to be settled; all later ones join it. */
  #failed: { readonly reject: (error: unknown) => void; readonly error: unknown }[] = [];
  /** The running or scheduled flush loop. */
  #running: Promise<void> | undefined;
  #syncTimer: NodeJS.Timeout | undefined;
  /** True when batches were issued that no sync covers. */
  #unsynced = false;
  /** Set once no commit can succeed any more. */
  #end: KvError | undefined;

  constructor(target: CommitTarget<S>, opts: CommitQueueOptions) {
    this.#target = target;
    this.#opts = opts;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  commit(batch: KvBatch, { durable = true, reserve = false }: KvCommitOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failed.length > 0) {
        this.#failed.push({ reject, error: new KvError('aborted', 'an earlier commit failed') });
        return;
      }
      try {
        if (this.#end !== undefined) throw this.#end;
        if (this.#queue.length >= this.#opts.waitersMax) throw new KvError('busy', 'too many commits are waiting');
        this.#target.issue(batch, reserve);
      } catch (error) {
        this.#failed.push({ reject, error });
        this.#start();
        return;
      }
      this.#unsynced = true;
      this.#queue.push({ durable, resolve, reject });
      this.#start();
    });
  }

  /** Everything committed before is durable when it resolves. */
  barrier(): Promise<void> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    if (this.#running === undefined && !this.#unsynced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#queue.push({ durable: true, resolve, reject });
      this.#start();
    });
  }

  /** No commit succeeds any more: those that wait fail with `error`. */
  fail(error: KvError): void {
    this.#end ??= error;
    clearTimeout(this.#syncTimer);
    this.#rejectAll([], error);
  }

  /** Makes everything durable and takes no more. */
  async close(): Promise<void> {
    try {
      if (this.#end === undefined) await this.barrier();
      await this.#running;
    } finally {
      this.fail(new KvError('closed', 'the engine is closed'));
    }
  }

  /** The group forms over the whole turn: its microtasks too, for a commit is often the continuation of another's. */
  #start(): void {
    this.#running ??= new Promise((resolve) => {
      queueMicrotask(() => process.nextTick(resolve));
    })
      .then(() => this.#run())
      .finally(() => {
        this.#running = undefined;
        if (this.#queue.length > 0 || this.#failed.length > 0) this.#start();
      });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      await this.#room();
      const group = this.#queue;
      if (group.length === 0) break;
      this.#queue = [];
      try {
        const state = this.#target.write();
        if (!group.some((waiter) => waiter.durable)) this.#syncLater();
        else if (this.#unsynced) {
          const synced = this.#sync();
          if (isPromise(synced)) await synced;
          if (this.#end !== undefined) throw this.#end;
        }
        this.#target.publish(state);
      } catch (error) {
        this.#rejectAll(group, asKvError(error));
        continue;
      }
      for (const waiter of group) waiter.resolve();
    }
    const failed = this.#failed;
    this.#failed = [];
    for (const { reject, error } of failed) reject(error);
  }

  async #room(): Promise<void> {
    while (this.#end === undefined) {
      const room = this.#target.room();
      if (room === undefined) return;
      await room.catch((error: unknown) => this.fail(asKvError(error)));
    }
  }

  #sync(): MaybePromise<void> {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    this.#unsynced = false;
    const final = (error: unknown): never => {
      const failure = asKvError(error);
      this.fail(failure);
      throw failure;
    };
    try {
      const synced = this.#target.sync();
      return isPromise(synced) ? synced.catch(final) : synced;
    } catch (error) {
      return final(error);
    }
  }

  #syncLater(): void {
    this.#syncTimer ??= setTimeout(() => {
      // its failure fails the engine; there is no waiter to tell
      this.barrier().catch(() => undefined);
    }, this.#opts.flushIntervalMs).unref();
  }

  #rejectAll(group: readonly Waiter[], error: KvError): void {
    const later = this.#queue;
    this.#queue = [];
    this.#target.discard();
    for (const { reject } of group) reject(error);
    const aborted = this.#end ?? new KvError('aborted', 'an earlier commit failed', { cause: error });
    for (const { reject } of later) reject(aborted);
  }
}

function asKvError(error: unknown): KvError {
  return isKvError(error) ? error : new KvError('io', errorMessage(error), { cause: error });
}
