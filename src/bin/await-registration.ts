import { systemClock } from '../common/clock.js';
import { MdsClient } from '../meta/mds-client.js';

const POLL_MS = 25;

/**
 * Waits until the MDS lists the metaserver at `address` as alive, so that a filesystem can be created as soon as a role says that it is ready. False after `timeoutMs`:
 * the metaserver serves its mounts all the same, and goes on registering.
 */
export async function awaitRegistration(mds: readonly string[], address: string, timeoutMs: number): Promise<boolean> {
  const client = new MdsClient({ clock: systemClock }, { addresses: mds, rounds: 1, deadlineMs: 1000 });
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    while (!signal.aborted) {
      // an MDS that does not answer yet is what is waited for
      const status = await client.status(signal).catch(() => undefined);
      if (status?.metaservers.some((server) => server.alive && server.address === address) === true) return true;
      await systemClock.sleep(POLL_MS, signal).catch(() => undefined);
    }
    return false;
  } finally {
    await client.close();
  }
}
