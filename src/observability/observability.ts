import type { Closable } from '../common/closable.js';
import type { HostPort } from '../config/host-port.js';
import { LogFile } from './log-file.js';
import { MetricsServer, type Health } from './metrics-server.js';
import { PinoLogger, type LoggerOptions } from './pino-logger.js';
import { PromMetrics } from './prom-metrics.js';

export interface ObservabilityOptions extends LoggerOptions {
  /** Log file; undefined = stderr. */
  readonly log: string | undefined;
}

/** What every long-running program has: log, metrics, and, where an address is given, their HTTP server. Opened first, closed last. */
export class Observability implements Closable {
  readonly logger: PinoLogger;
  readonly metrics = new PromMetrics({ processMetrics: true });
  readonly #file: LogFile;
  #server: MetricsServer | undefined;

  /** Throws Node's error when the log cannot be opened. */
  constructor(opts: ObservabilityOptions) {
    this.#file = new LogFile(opts.log);
    this.logger = PinoLogger.create({ file: this.#file }, opts);
    this.metrics.gauge(
      { name: 'log_dropped_lines', help: 'Log lines that could not be written' },
      () => this.#file.droppedLines,
    );
    process.on('SIGHUP', this.#reopen);
  }

  /** Serves `/metrics` and `/healthz`; returns where, or undefined when no address is given. */
  async serve(address: HostPort | undefined, health: () => Health): Promise<HostPort | undefined> {
    if (address === undefined) return undefined;
    this.#server = await MetricsServer.start({ logger: this.logger, metrics: this.metrics, health }, { address });
    return this.#server.address;
  }

  async close(): Promise<void> {
    process.off('SIGHUP', this.#reopen);
    await this.#server?.close();
  }

  readonly #reopen = (): void => {
    try {
      this.#file.reopen();
    } catch (error) {
      this.logger.error('the log cannot be opened anew', { error });
    }
  };
}
