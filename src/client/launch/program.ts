import { fileURLToPath } from 'node:url';

/** The entry points of the mount's processes. */
export const SUPERVISOR_PROGRAM = fileURLToPath(new URL('../../bin/supervisor.js', import.meta.url));
export const WORKER_PROGRAM = fileURLToPath(new URL('../../bin/worker.js', import.meta.url));

/** The environment for a child of ours: as it is, less what would change how Node starts. */
export function childEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_CHANNEL_FD: _channel, ...rest } = env;
  return rest;
}
