import { formatHostPort } from '../config/host-port.js';
import type { StandaloneConfig } from '../config/server-options.js';
import { startMds } from '../mds/mds-server.js';
import { startMetaserver } from '../metaserver/metaserver-server.js';
import { checkCredentialsFile } from '../object/check-credentials-file.js';
import { openObjectStore } from '../object/open-object-store.js';
import { GrpcHost } from '../wire/grpc-host.js';
import { advertisedAddress } from './advertised-address.js';
import { awaitRegistration } from './await-registration.js';
import { serveRole } from './serve-role.js';

const REGISTRATION_MAX_MS = 10_000;

/** `curvefs standalone`: both roles on one port and one database. */
export async function runStandalone(config: StandaloneConfig): Promise<number> {
  await checkCredentialsFile(config.credentials);
  const advertise = advertisedAddress(config);
  return serveRole('standalone', config, async ({ stack, version, ...deps }) => {
    const { durability, sessionTtlMs, credentials: credentialsFile } = config;
    const listen = formatHostPort(config.listen);
    const host = stack.use(new GrpcHost());
    stack.use(await startMds({ ...deps, host }, { listen, version }));
    const metaserver = await startMetaserver(
      { ...deps, host, openStore: (spec) => openObjectStore(spec, deps, { credentialsFile }) },
      { listen, advertise, mds: [], durability, sessionTtlMs, version },
    );
    stack.use(metaserver);
    const address = await host.listen(listen);
    if (!(await awaitRegistration([address], advertise ?? address, REGISTRATION_MAX_MS))) {
      throw new Error(`the metaserver did not register with the MDS at ${address}`);
    }
    return address;
  });
}
