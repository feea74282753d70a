import type { MountConfig } from '../../config/mount-config.js';
import { launchMount, type LaunchOptions } from './launch-mount.js';
import { MountError } from './mount-error.js';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * The mount command: resolves when the mount answers, in the foreground when it has ended; there a signal drains and unmounts. Throws a {@link MountError}.
 */
export async function runMount(config: MountConfig, options: LaunchOptions): Promise<void> {
  const mount = await launchMount(config, options);
  if (!options.foreground) return;
  const stop = (): void => mount.stop();
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  try {
    const code = await mount.ended;
    if (code !== 0) throw new MountError(32, `the mount of ${config.source.text} ended with code ${code}`);
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  }
}
