import { backoffMs } from '../../common/backoff.js';
import type { Clock } from '../../common/clock.js';
import type { Closable } from '../../common/closable.js';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import type { KvEngine } from '../../kv/kv-engine.js';
import { objectPrefix } from '../../model/chunk-key.js';
import type { FsInfo } from '../../model/filesystem.js';
import type { ObjectStore } from '../../object/object-store.js';
import { filesystemKey, Keys } from '../keys.js';

export interface DestroyerDeps {
  readonly engine: KvEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: ObjectStore;
}

const PAGE = 1000;
const BACKOFF = { firstMs: 1_000, maxMs: 60_000 };

/**
 * Removes a deleted filesystem: first every object under its own prefix and nothing else's, then its rows. Restart-safe: its record stays, marked, until the rest is gone.
 */
export class Destroyer implements Closable {
  readonly info: FsInfo;
  readonly #deps: DestroyerDeps;
  readonly #stop = new AbortController();
  /** Resolves when everything is removed, or the destroyer is closed. */
  readonly finished: Promise<void>;
  #problem: string | undefined;

  constructor(deps: DestroyerDeps, info: FsInfo) {
    this.#deps = deps;
    this.info = info;
    this.finished = this.#run();
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.finished;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#removeObjects(signal);
        await this.#removeRows();
        this.#deps.logger.info('filesystem removed', { fs: this.info.id, name: this.info.name });
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#problem = errorMessage(error);
        this.#deps.logger.warn('a deleted filesystem could not be removed yet', {
          fs: this.info.id,
          error: this.#problem,
        });
        await this.#deps.clock.sleep(backoffMs(attempt, BACKOFF), signal).catch(() => undefined);
      }
    }
  }

  async #removeObjects(signal: AbortSignal): Promise<void> {
    const { store } = this.#deps;
    const prefix = objectPrefix(this.info.id);
    let after = '';
    for (;;) {
      const objects = await store.list(prefix, after, PAGE, signal);
      const last = objects.at(-1);
      if (last === undefined) return;
      const keys = objects.map(({ key }) => key).filter((key) => key.startsWith(prefix));
      await store.delete(keys, signal);
      after = last.key;
    }
  }

  async #removeRows(): Promise<void> {
    const { start, end } = new Keys(this.info.id).everything();
    await this.#deps.engine.commit({
      puts: [],
      deletes: [Buffer.from(filesystemKey(this.info.id), 'latin1')],
      deleteRanges: [{ start: Buffer.from(start, 'latin1'), end: Buffer.from(end, 'latin1') }],
      guards: [],
    });
  }
}
