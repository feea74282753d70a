import { formatHostPort } from '../config/host-port.js';
import type { MdsConfig } from '../config/server-options.js';
import { startMds } from '../mds/mds-server.js';
import { serveRole } from './serve-role.js';

/** `curvefs mds`. */
export function runMds(config: MdsConfig): Promise<number> {
  return serveRole('mds', config, async ({ stack, version, ...deps }) => {
    const mds = stack.use(await startMds(deps, { listen: formatHostPort(config.listen), version }));
    return mds.address;
  });
}
