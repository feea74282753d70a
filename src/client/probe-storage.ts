import type { Logger } from '../common/logger.js';
import { noMetrics } from '../common/metrics.js';
import type { StorageSpec } from '../model/filesystem.js';
import { checkCredentialsFile } from '../object/check-credentials-file.js';
import { isObjectError, ObjectError } from '../object/object-error.js';
import { openObjectStore } from '../object/open-object-store.js';
import { probeStore } from '../object/probe.js';
import { MountError } from './launch/mount-error.js';

const PROBE = { attemptsMax: 2, deadlineMs: 8000, requestTimeoutMs: 4000, connectTimeoutMs: 3000 };
const ABSENT_KEY = 'curvefs-mount-probe';

/**
 * Makes sure, before anything is mounted, that the filesystem's objects can be read, and written unless the mount is read-only.
 * Throws a {@link MountError} that says which of it cannot be done and why.
 */
export async function probeStorage(
  storage: StorageSpec,
  opts: { readonly credentialsFile: string | undefined; readonly readOnly: boolean },
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  await checkCredentials(opts.credentialsFile);
  const store = openObjectStore(
    storage,
    { logger, metrics: noMetrics },
    { ...PROBE, credentialsFile: opts.credentialsFile },
  );
  try {
    if (opts.readOnly) await store.get(ABSENT_KEY, undefined, signal);
    else await probeStore(store, signal);
  } catch (error) {
    if (opts.readOnly && isObjectError(error, 'not-found')) return;
    // Without the right to list, S3 does not tell a missing object from a forbidden one.
    if (opts.readOnly && isObjectError(error, 'access-denied')) return;
    const { message } = ObjectError.from(error, 'object store');
    throw new MountError(32, `the object store ${store.properties.name} cannot be used: ${message}`, { cause: error });
  } finally {
    await store.close();
  }
}

async function checkCredentials(path: string | undefined): Promise<void> {
  try {
    await checkCredentialsFile(path);
  } catch (error) {
    throw new MountError(32, ObjectError.from(error, 'credentials').message, { cause: error });
  }
}
