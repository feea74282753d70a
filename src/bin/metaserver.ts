import { formatHostPort } from '../config/host-port.js';
import type { MetaserverConfig } from '../config/server-options.js';
import { startMetaserver } from '../metaserver/metaserver-server.js';
import { checkCredentialsFile } from '../object/check-credentials-file.js';
import { openObjectStore } from '../object/open-object-store.js';
import { advertisedAddress } from './advertised-address.js';
import { awaitRegistration } from './await-registration.js';
import { serveRole } from './serve-role.js';

/** An MDS that is away does not keep the metaserver from serving its mounts. */
const REGISTRATION_WAIT_MS = 3000;

/** `curvefs metaserver`. */
export async function runMetaserver(config: MetaserverConfig): Promise<number> {
  await checkCredentialsFile(config.credentials);
  const advertise = advertisedAddress(config);
  return serveRole('metaserver', config, async ({ stack, version, ...deps }) => {
    const { durability, sessionTtlMs, credentials: credentialsFile } = config;
    const mds = config.mds.map(formatHostPort);
    const metaserver = await startMetaserver(
      { ...deps, openStore: (spec) => openObjectStore(spec, deps, { credentialsFile }) },
      { listen: formatHostPort(config.listen), advertise, mds, durability, sessionTtlMs, version },
    );
    stack.use(metaserver);
    const address = await metaserver.address;
    if (!(await awaitRegistration(mds, advertise ?? address, REGISTRATION_WAIT_MS))) {
      deps.logger.warn('the MDS does not know this metaserver yet', { mds });
    }
    return address;
  });
}
