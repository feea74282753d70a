import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import { errorMessage, FsError } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { Counter, Histogram, MetricsRegistry } from '../common/metrics.js';
import { commitPatiently } from '../kv/commit-patiently.js';
import type { KvEngine } from '../kv/kv-engine.js';
import { isKvError } from '../kv/kv-error.js';
import { MetaserverError } from './metaserver-error.js';
import { RecordWriter } from './records/record-writer.js';
import { Batch } from './store/batch.js';
import type { Table } from './store/table.js';
import { Transaction } from './store/transaction.js';

/** An operation in the executor's queue. */
export interface Task<Result> {
  /** Reads and changes rows; a throw undoes every change it made. */
  run(tx: Transaction): Result | Promise<Result>;
  /**
   * Called exactly once: when all that the operation saw and changed is durable, or with the reason why it failed.
   * It must not throw.
   */
  done(error: Error | undefined, result: Result | undefined): void;
}

export interface ExecutorDeps {
  readonly engine: KvEngine;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** All tables that operations write. */
  readonly tables: readonly Table<never>[];
  /** Adds to a batch what belongs to it as a whole (replies), just before it is committed. */
  readonly beforeCommit: (tx: Transaction) => void;
  /** What was gathered for the batch being built is void. */
  readonly discarded: () => void;
  /** Makes the state derived in memory again, after a batch failed. */
  readonly reload: () => Promise<void>;
  readonly clock: Clock;
}

export interface ExecutorOptions {
  /** False: batches are acknowledged before they are durable (`--durability relaxed`). */
  readonly durable: boolean;
  /** Rows after which a batch takes no more operations. */
  readonly batchRowsMax?: number;
  /** How long changes that nobody waits for may stay in memory. */
  readonly softFlushMs?: number;
}

/** Operations executed before the event loop gets a turn. */
const TURN_OPERATIONS = 128;
/** Operations executed before a free engine is given what has gathered. */
const COMMIT_OPERATIONS = 32;

/**
 * Executes the operations of one filesystem slot, one after another, against the tables' overlay, and commits what they changed in batches: while one batch syncs the next is built
 * (group commit). An operation is answered when all that it changed and saw is durable. When a batch fails, the one built on it is discarded too, everything in
 * memory is made again from the engine, and the operations in both fail.
 *
 * There is no timer on the way of an operation: a batch is committed as soon as the engine is free. Bounds: rows and bytes of a batch (then execution waits for the engine), bytes of an
 * operation; the queue is bounded by those who submit (`sessions/`). An engine that is busy is waited for.
 */
export class Executor implements Closable {
  readonly #deps: ExecutorDeps;
  readonly #durable: boolean;
  readonly #batchRowsMax: number;
  readonly #batchBytesMax: number;
  readonly #operationBytesMax: number;
  readonly #softFlushMs: number;
  readonly #writer = new RecordWriter();
  readonly #operations: Counter;
  readonly #batches: Counter;
  readonly #commitSeconds: Histogram;

  #queue: Task<never>[] = [];
  /** Next task in `#queue`. */
  #next = 0;
  #running = false;
  #building = new Batch(1);
  /** The batch at the engine; undefined = the engine is free. */
  #committing: Batch | undefined;
  #committed: Promise<void> = Promise.resolve();
  /** Counts failures: an operation that was under way during one is void. */
  #generation = 0;
  /** What is in memory must be made again before the next operation. */
  #stale = false;
  #softTimer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();
  #closed = false;

  constructor(deps: ExecutorDeps, opts: ExecutorOptions) {
    this.#deps = deps;
    this.#durable = opts.durable;
    this.#batchRowsMax = opts.batchRowsMax ?? 8192;
    const { batchBytesMax } = deps.engine.properties;
    // a batch that is not full takes one more operation
    this.#batchBytesMax = Math.floor(batchBytesMax / 4);
    this.#operationBytesMax = Math.floor((batchBytesMax * 2) / 3);
    this.#softFlushMs = opts.softFlushMs ?? 100;
    this.#operations = deps.metrics.counter({
      name: 'metaserver_operations_executed_total',
      help: 'Operations executed.',
    });
    this.#batches = deps.metrics.counter({ name: 'metaserver_batches_total', help: 'Batches committed.' });
    this.#commitSeconds = deps.metrics.histogram({
      name: 'metaserver_commit_seconds',
      help: 'Time from sealing a batch to its commit.',
      // from a fast log device to a struggling disk
      buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1],
    });
  }

  /** Operations that wait for their turn. */
  get queued(): number {
    return this.#queue.length - this.#next;
  }

  /** The newest batch that somebody waits for: what has to be durable before anyone may say that all of it is. 0 = everything is. */
  get pendingSeq(): number {
    if (this.#building.hard) return this.#building.seq;
    return this.#committing?.seq ?? 0;
  }

  submit<Result>(task: Task<Result>): void {
    if (this.#closed) {
      task.done(new MetaserverError('closed', 'the filesystem is closed here'), undefined);
      return;
    }
    this.#queue.push(task as unknown as Task<never>);
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  /** Executes `run` in turn; resolves when what it saw and changed is durable. */
  execute<Result>(run: (tx: Transaction) => Result | Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.submit<Result>({
        run,
        done: (error, result) => (error === undefined ? resolve(result as Result) : reject(error)),
      });
    });
  }

  /** Resolves when everything that was executed and acknowledged before the call is durable. */
  async barrier(): Promise<void> {
    await this.execute((tx) => {
      tx.sawSeq = this.pendingSeq;
    });
    if (!this.#durable) await this.#deps.engine.barrier();
  }

  /** Executes what is queued, commits everything and refuses what comes after. */
  async close(): Promise<void> {
    if (!this.#closed) {
      const drained = this.execute((tx) => {
        tx.sawSeq = this.#building.seq;
      });
      this.#closed = true;
      this.#closing.abort();
      await drained.catch((error: unknown) =>
        this.#deps.logger.warn('the last batch failed', { error: errorMessage(error) }),
      );
      clearTimeout(this.#softTimer);
    }
    await this.#committed;
  }

  async #run(): Promise<void> {
    let turn = 0;
    while (this.#next < this.#queue.length) {
      while (this.#isFull) await this.#makeRoom();
      if (this.#stale && !(await this.#reload())) continue;
      const task = this.#queue[this.#next++]!;
      if (this.#next > 4096 && this.#next * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#next);
        this.#next = 0;
      }
      await this.#execute(task);
      if (++turn % COMMIT_OPERATIONS === 0) this.#commit();
      if (turn % TURN_OPERATIONS === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#queue = [];
    this.#next = 0;
    this.#running = false;
    this.#commit();
  }

  get #isFull(): boolean {
    return this.#building.rows >= this.#batchRowsMax || this.#building.bytes >= this.#batchBytesMax;
  }

  /** Brings the batch that is full a step closer to the engine. */
  async #makeRoom(): Promise<void> {
    if (this.#committing !== undefined) return this.#committed;
    this.#building.hard = true;
    this.#commit();
  }

  async #execute(task: Task<never>): Promise<void> {
    const tx = new Transaction(this.#deps.engine);
    const generation = this.#generation;
    let result: unknown;
    let failure: Error | undefined;
    try {
      result = await task.run(tx);
    } catch (error) {
      failure = error instanceof Error ? error : new Error(errorMessage(error));
    }
    this.#operations.inc();
    if (generation !== this.#generation) {
      task.done(new MetaserverError('stale', 'the batch before failed to commit'), undefined);
      return;
    }
    const bytes = failure === undefined && tx.changed ? tx.bytes : 0;
    if (bytes > this.#operationBytesMax) {
      const most = `at most ${this.#operationBytesMax} are committed at once`;
      failure = new FsError('E2BIG', `the operation changes ${bytes} bytes of metadata, ${most}`);
    }
    const building = this.#building;
    let seq = tx.sawSeq;
    if (failure === undefined && tx.changed) {
      building.add(tx, bytes);
      for (const effect of tx.effects) effect();
      if (tx.soft) this.#armSoftTimer();
      else seq = building.seq;
    }
    if (seq === building.seq) {
      building.hard = true;
      building.wait((error) => task.done(error ?? failure, result as never));
    } else if (seq !== 0 && seq === this.#committing?.seq) {
      this.#committing.wait((error) => task.done(error ?? failure, result as never));
    } else {
      task.done(failure, result as never);
    }
  }

  #armSoftTimer(): void {
    this.#softTimer ??= setTimeout(() => {
      this.#softTimer = undefined;
      this.#building.hard = true;
      this.#commit();
    }, this.#softFlushMs);
  }

  /** Gives the engine what has gathered, when it is free and somebody waits. */
  #commit(): void {
    const batch = this.#building;
    if (this.#committing !== undefined || !batch.hard) return;
    clearTimeout(this.#softTimer);
    this.#softTimer = undefined;
    const tx = new Transaction(this.#deps.engine);
    this.#deps.beforeCommit(tx);
    if (tx.changed) batch.add(tx, tx.bytes);
    this.#building = new Batch(batch.seq + 1);
    if (batch.isEmpty) {
      batch.publish();
      return;
    }
    this.#committing = batch;
    this.#committed = this.#commitBatch(batch);
  }

  async #commitBatch(batch: Batch): Promise<void> {
    const { engine, clock } = this.#deps;
    const started = clock.monotonicMs();
    try {
      const sealed = batch.seal(this.#writer);
      // everything it is built on is durable: a neighbour's failure changes nothing for it
      await commitPatiently({ engine, clock }, sealed, { durable: this.#durable }, this.#closing.signal);
    } catch (error) {
      this.#discard(batch, commitError(error));
      return;
    }
    this.#commitSeconds.observe((clock.monotonicMs() - started) / 1000);
    this.#batches.inc();
    this.#committing = undefined;
    batch.publish();
    if (!this.#running || this.#isFull) this.#commit();
  }

  /** A batch failed: everything that was built on it goes with it. */
  #discard(batch: Batch, error: FsError): void {
    this.#deps.logger.error('a batch failed to commit', { error: error.message, rows: batch.rows });
    const built = this.#building;
    this.#building = new Batch(built.seq + 1);
    this.#committing = undefined;
    this.#generation++;
    this.#stale = true;
    for (const table of this.#deps.tables) table.clear();
    this.#deps.discarded();
    batch.fail(error);
    built.fail(error);
  }

  /** False when it failed: then the first operation in the queue was refused. */
  async #reload(): Promise<boolean> {
    try {
      await this.#deps.reload();
      this.#stale = false;
      return true;
    } catch (error) {
      this.#deps.logger.error('the state could not be read again', { error: errorMessage(error) });
      this.#queue[this.#next++]!.done(new FsError('EIO', 'the metadata database fails', { cause: error }), undefined);
      return false;
    }
  }
}

/** What a client sees when a batch fails. The one errno table of engine errors: a full database is ENOSPC, anything else EIO. */
function commitError(error: unknown): FsError {
  const code = isKvError(error, 'no-space') ? 'ENOSPC' : 'EIO';
  return new FsError(code, `the metadata database: ${errorMessage(error)}`, { cause: error });
}
