import { writeFile } from 'node:fs/promises';
import { errorMessage } from '../../common/fs-error.js';
import type { Logger } from '../../common/logger.js';
import { findMount, readMountInfo } from './mountinfo.js';

/**
 * Sets a mount's read-ahead: INIT can only lower the kernel's 128 KiB, and with 1 MiB or more READs become that large. Root only; where
 * it cannot be set the mount works with smaller reads.
 */
export async function tuneReadAhead(
  deps: { readonly logger: Logger },
  target: string,
  readAheadBytes: number,
): Promise<void> {
  const mount = findMount(await readMountInfo(), target);
  if (mount === undefined) return;
  const path = `/sys/class/bdi/${mount.device}/read_ahead_kb`;
  try {
    await writeFile(path, String(Math.floor(readAheadBytes / 1024)));
  } catch (error) {
    deps.logger.warn('read-ahead not set', { path, error: errorMessage(error) });
  }
}
