import type { Closable } from './closable.js';

/** The parts of `process` that a service needs. */
export interface ServiceProcess {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  exit(code: number): void;
}

export interface ServiceOptions {
  /** Starts everything; resolves when it serves. */
  start(): Promise<Closable>;
  /** Called once it serves, unless it was told to stop meanwhile. */
  ready(): void;
  /** Bound on the clean shutdown. */
  readonly closeTimeoutMs: number;
}

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const SIGNAL_NUMBER: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 2, SIGTERM: 15 };

/**
 * Runs a long-running role until SIGTERM or SIGINT: start, announce, wait, close. A second signal exits at once, as does a shutdown past its
 * bound; a signal during the start is obeyed when the start is done. Resolves with the exit code; rejects when the start or the close fails.
 */
export async function runService(process: ServiceProcess, options: ServiceOptions): Promise<number> {
  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  let signals = 0;
  let overdue: NodeJS.Timeout | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    if (signals > 1) process.exit(128 + (SIGNAL_NUMBER[signal] ?? 0));
    overdue = setTimeout(() => process.exit(1), options.closeTimeoutMs);
    stop();
  };
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  try {
    const service = await options.start();
    if (signals === 0) options.ready();
    await stopped;
    await service.close();
    return 0;
  } finally {
    clearTimeout(overdue);
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
  }
}
