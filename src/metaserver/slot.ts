import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import type { KvEngine } from '../kv/kv-engine.js';
import type { FsInfo, FsUsage } from '../model/filesystem.js';
import type { SessionId } from '../model/ids.js';
import { Executor } from './executor.js';
import { Locks } from './locks/locks.js';
import { Keys, type KeyRange } from './keys.js';
import { NameHash } from './name-hash.js';
import { OpenFiles } from './open-files.js';
import { OpTransaction } from './operations/op-transaction.js';
import { usageOf } from './operations/space.js';
import type { FilesystemRecord } from './records/filesystem-record.js';
import { OpenKeeper } from './sessions/open-keeper.js';
import { Quotas } from './quota/quotas.js';
import { Requests } from './sessions/requests.js';
import { Sessions } from './sessions/sessions.js';
import type { SlotServices } from './slot-services.js';
import { SlotTables, type CacheOptions } from './slot-tables.js';
import type { Table } from './store/table.js';

export interface SlotDeps {
  readonly engine: KvEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

export interface SlotOptions {
  readonly durable: boolean;
  /** A session without a frame for so long is over. */
  readonly sessionTtlMs: number;
  readonly cache: CacheOptions;
  /** How long a file that is removed just after it was made can still be opened by who has looked it up. */
  readonly lingerMs: number;
}

/** The server's own changes carry no session. */
const NO_SESSION = 0 as SessionId;
const ROWS_PER_READ = 1000;
/** Fill of the metadata database above which growth is refused, so that deletes still find room. */
const NEARLY_FULL = 0.95;
const SPACE_CHECK_MS = 500;

/**
 * One filesystem on this metaserver: its tables, its executor, its sessions and their requests, composed here. Everything that reads or changes the filesystem goes through the executor.
 */
export class Slot implements SlotServices, Closable {
  readonly info: FsInfo;
  readonly keys: Keys;
  readonly hash: NameHash;
  readonly tables: SlotTables;
  readonly opens = new OpenFiles();
  readonly locks: Locks;
  readonly executor: Executor;
  readonly sessions: Sessions;
  readonly requests: Requests;
  readonly lingerMs: number;
  readonly quotas: Quotas;
  readonly #deps: SlotDeps;
  readonly #keeper: OpenKeeper;
  #nearlyFull = false;
  #spaceCheckedMs = -Infinity;
  #closed = false;

  private constructor(deps: SlotDeps, record: FilesystemRecord, opts: SlotOptions) {
    const { engine, clock, logger, metrics } = deps;
    this.#deps = deps;
    this.info = record.info;
    this.lingerMs = opts.lingerMs;
    this.keys = new Keys(record.info.id);
    this.hash = new NameHash(record.hashKey);
    this.tables = new SlotTables(engine, opts.cache);
    this.executor = new Executor(
      {
        engine,
        logger,
        metrics,
        tables: this.tables.all(),
        beforeCommit: (tx) => this.sessions.storeReplies(tx),
        discarded: () => this.sessions.discardReplies(),
        reload: () => this.#reload(),
        clock,
      },
      { durable: opts.durable },
    );
    const { executor } = this;
    this.locks = new Locks({ slot: this, clock, logger });
    const { locks } = this;
    this.#keeper = new OpenKeeper({ slot: this, clock, logger });
    this.sessions = new Sessions(
      { slot: this, executor, keeper: this.#keeper, locks, clock, logger },
      { ttlMs: opts.sessionTtlMs },
    );
    this.quotas = new Quotas({ slot: this, logger });
    this.requests = new Requests({ slot: this, executor, sessions: this.sessions, locks, logger });
  }

  static async open(deps: SlotDeps, record: FilesystemRecord, opts: SlotOptions): Promise<Slot> {
    const slot = new Slot(deps, record, opts);
    try {
      await slot.sessions.load();
      await slot.locks.start(slot.sessions.ids());
      await slot.quotas.start();
      await slot.#keeper.start(slot.sessions.ids(), opts.sessionTtlMs);
    } catch (error) {
      slot.locks.close();
      slot.#keeper.close();
      throw error;
    }
    return slot;
  }

  nowNs(): bigint {
    return this.#deps.clock.nowNs();
  }

  opensIncomplete(): boolean {
    return this.#keeper.incomplete;
  }

  nearlyFull(): boolean {
    const now = this.#deps.clock.monotonicMs();
    if (now - this.#spaceCheckedMs >= SPACE_CHECK_MS) {
      this.#spaceCheckedMs = now;
      const { usedBytes, limitBytes } = this.#deps.engine.space();
      this.#nearlyFull = usedBytes > limitBytes * NEARLY_FULL;
    }
    return this.#nearlyFull;
  }

  usage(): Promise<FsUsage & { readonly deletesQueued: number }> {
    return this.execute(async (op) => ({
      ...(await usageOf(op)),
      deletesQueued: (await op.counters()).deletesQueued,
    }));
  }

  /** What happens by time: once a second, or four times per session TTL. */
  tick(): void {
    this.sessions.expire();
    this.#keeper.checkGrace();
    this.#keeper.freeLingering(Number(this.nowNs() / 1_000_000n));
  }

  execute<Result>(run: (op: OpTransaction) => Promise<Result>): Promise<Result> {
    return this.executor.execute((tx) => run(new OpTransaction(this, tx, NO_SESSION)));
  }

  inBackground(run: (op: OpTransaction) => Promise<void>): void {
    this.executor.submit<void>({
      run: (tx) => {
        tx.soft = true;
        return run(new OpTransaction(this, tx, NO_SESSION));
      },
      done: (error) => {
        if (error !== undefined && !this.#closed) {
          this.#deps.logger.warn('background work failed', { error: error.message });
        }
      },
    });
  }

  async scan<Value>(table: Table<Value>, range: KeyRange, visit: (key: string, value: Value) => void): Promise<void> {
    const end = Buffer.from(range.end, 'latin1');
    let start = Buffer.from(range.start, 'latin1');
    for (;;) {
      const rows = await this.#deps.engine.range(start, end, { limit: ROWS_PER_READ });
      for (const { key, value } of rows) visit(Buffer.from(key).toString('latin1'), table.decode(value));
      if (rows.length < ROWS_PER_READ) return;
      start = Buffer.concat([rows.at(-1)!.key, Buffer.from([0])]);
    }
  }

  /** Ends every stream, executes what is queued and commits it. The sessions live on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#keeper.close();
    this.locks.close();
    this.sessions.close();
    await this.quotas.close();
    await this.executor.close();
  }

  async #reload(): Promise<void> {
    await this.sessions.load();
    await this.locks.reload();
    await this.#keeper.reload();
  }
}
