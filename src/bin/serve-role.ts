import { join } from 'node:path';
import { systemClock, type Clock } from '../common/clock.js';
import { CloseStack } from '../common/close-stack.js';
import { errorMessage } from '../common/fs-error.js';
import { makeDirectories } from '../common/make-directories.js';
import { packageVersion } from '../common/package-version.js';
import { raisePriority } from '../common/raise-priority.js';
import { runService } from '../common/run-service.js';
import { formatHostPort } from '../config/host-port.js';
import type { MdsConfig } from '../config/server-options.js';
import { LmdbEngine } from '../kv/lmdb-engine.js';
import { Observability } from '../observability/observability.js';

const CLOSE_TIMEOUT_MS = 20_000;
const DATA_DIR_MODE = 0o700;

/** What a role's composition root gets: where to put what it opens, and what every role needs. */
export interface RoleContext extends Pick<Observability, 'logger' | 'metrics'> {
  readonly stack: CloseStack;
  readonly engine: LmdbEngine;
  readonly clock: Clock;
  readonly version: string;
}

/**
 * What the roles have in common: log and metrics, the database in a private data directory (its engine holds a lock on it), one ready line on stdout, the end by
 * a signal. `compose` opens the role's parts onto the stack and returns the address that it serves on.
 */
export async function serveRole(
  name: string,
  config: Omit<MdsConfig, 'listen'>,
  compose: (context: RoleContext) => Promise<string>,
): Promise<number> {
  let address = '';
  process.chdir('/');
  const start = async (): Promise<CloseStack> => {
    const stack = new CloseStack();
    try {
      const observability = stack.use(new Observability({ log: config.log, level: config.logLevel, module: name }));
      const { logger, metrics } = observability;
      raisePriority(logger);
      makeDataDir(config.dataDir);
      const dir = join(config.dataDir, 'db');
      const engine = stack.use(await LmdbEngine.open({ logger, metrics }, { dir, limitBytes: config.dbSizeBytes }));
      address = await compose({ stack, engine, logger, metrics, clock: systemClock, version: packageVersion() });
      const served = await observability.serve(config.metrics, () => ({ ok: true, detail: 'serving' }));
      logger.info('serving', { address, metrics: served === undefined ? undefined : formatHostPort(served) });
      stack.use({ close: async () => logger.info('ending') });
      return stack;
    } catch (error) {
      await stack.close();
      throw error;
    }
  };
  const ready = (): void => void process.stdout.write(`curvefs ${name} ready on ${address}\n`);
  return runService(process, { start, ready, closeTimeoutMs: CLOSE_TIMEOUT_MS });
}

function makeDataDir(dir: string): void {
  try {
    makeDirectories(dir, DATA_DIR_MODE);
  } catch (error) {
    throw new Error(`data directory ${dir}: ${errorMessage(error)}`, { cause: error });
  }
}
