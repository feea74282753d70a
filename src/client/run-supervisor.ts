import { once } from 'node:events';
import { systemClock } from '../common/clock.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import { loadNativeAddon } from '../fuse/device/native-addon.js';
import { Observability } from '../observability/observability.js';
import { runDir } from './launch/control-protocol.js';
import type { Failure, MountOrder, SupervisorReport } from './messages.js';
import { asMountError, Supervisor } from './supervisor.js';

const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** The supervisor's program: takes its order from the launcher, reports how it went, runs until the mount has ended. Resolves with the exit code. */
export async function runSupervisor(): Promise<number> {
  process.chdir('/');
  const [order] = (await once(process, 'message')) as [MountOrder];
  const { config, foreground } = order;
  let observability: Observability;
  try {
    observability = new Observability({ log: config.log, level: config.logLevel, module: 'supervisor' });
  } catch (error) {
    await report({ type: 'failed', message: `log ${config.log}: ${errorMessage(error)}`, exitCode: 2 });
    return 2;
  }
  const { logger } = observability;
  setIoFlusher(logger);
  const uid = process.getuid?.() ?? 0;
  const supervisor = new Supervisor({ logger, clock: systemClock }, { config, runDir: runDir(process.env, uid), uid });
  const start = new AbortController();
  const stopper = new Stopper(supervisor, start, logger);
  for (const signal of STOP_SIGNALS) process.on(signal, () => stopper.stop(signal));
  // Until it is told, and in the foreground always, the launcher's end is ours.
  const onDisconnect = (): void => stopper.stop('the end of the launcher');
  process.on('disconnect', onDisconnect);
  try {
    await supervisor.start(start.signal);
  } catch (error) {
    const failure = asMountError(error);
    logger.error('not mounted', { error: failure.message });
    await report({ type: 'failed', message: failure.message, exitCode: failure.exitCode });
    await observability.close();
    return failure.exitCode;
  }
  if (!foreground) process.off('disconnect', onDisconnect);
  await report({ type: 'ready', supervisorPid: process.pid, workerPid: supervisor.workerPid ?? 0 });
  const code = await supervisor.ended;
  await observability.close();
  return code;
}

/** What a signal does: the first drains and unmounts, the second detaches without waiting for files that are open or uploads. */
class Stopper {
  readonly #supervisor: Supervisor;
  readonly #start: AbortController;
  readonly #logger: Logger;
  #stops = 0;

  constructor(supervisor: Supervisor, start: AbortController, logger: Logger) {
    this.#supervisor = supervisor;
    this.#start = start;
    this.#logger = logger;
  }

  stop(why: string): void {
    this.#stops += 1;
    this.#logger.info('stopping', { why, count: this.#stops });
    this.#start.abort(new Error(`stopped by ${why}`));
    void this.#umount(this.#stops > 1);
  }

  async #umount(hurry: boolean): Promise<void> {
    const tell = (message: string): void => this.#logger.info(message);
    const drainTimeoutMs = hurry ? 0 : undefined;
    const first = await this.#supervisor.umount({ lazy: hurry, drainTimeoutMs }, tell);
    if (first.unmounted) return;
    this.#logger.warn('cannot unmount, detaching', { reason: first.message });
    await this.#supervisor.umount({ lazy: true, drainTimeoutMs: 0 }, tell);
  }
}

/** Dirty pages of this mount are written back through the worker: the kernel must not make it wait for that (inherited by the worker). */
function setIoFlusher(logger: Logger): void {
  const load = loadNativeAddon();
  if (!load.ok) return;
  const result = load.addon.setIoFlusher();
  if (result < 0) logger.debug('PR_SET_IO_FLUSHER not permitted', { errno: -result });
}

function report(message: SupervisorReport | Failure): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}
