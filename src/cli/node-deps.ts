import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { systemClock } from '../common/clock.js';
import { silentLogger } from '../common/logger.js';
import { noMetrics } from '../common/metrics.js';
import { packageVersion } from '../common/package-version.js';
import { formatHostPort } from '../config/host-port.js';
import type { CliDeps } from './cli-deps.js';

/** The long-running roles, which the composition roots in `bin/` know. */
export type Roles = Pick<CliDeps, 'runStandalone' | 'runMds' | 'runMetaserver'>;

const PROBE = {
  attemptsMax: 2,
  deadlineMs: 12_000,
  requestTimeoutMs: 8_000,
  connectTimeoutMs: 3_000,
  createRoot: true,
};
/** systemd and mount(8) may start us without PATH. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The dependencies of the commands in a real process. Modules that are slow to load are imported where they are used. */
export function nodeDeps(roles: Roles): CliDeps {
  return {
    ...roles,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: workingDirectory(),
    uid: process.getuid?.() ?? 0,
    version: packageVersion(),
    ask,
    connectMds: async (addresses) => {
      const { MdsClient } = await import('../meta/mds-client.js');
      return new MdsClient({ clock: systemClock }, { addresses: addresses.map(formatHostPort) });
    },
    connectQuotas: async (fs) => {
      const { QuotaClient } = await import('../meta/quota-client.js');
      return new QuotaClient({ clock: systemClock }, fs);
    },
    locatePath: async (path) => {
      const { locatePath } = await import('../client/launch/locate-path.js');
      return locatePath(path);
    },
    probeStorage: async (storage, credentialsFile) => {
      const [{ openObjectStore }, { probeStore }, { checkCredentialsFile }] = await Promise.all([
        import('../object/open-object-store.js'),
        import('../object/probe.js'),
        import('../object/check-credentials-file.js'),
      ]);
      await checkCredentialsFile(credentialsFile);
      const store = openObjectStore(
        storage,
        { logger: silentLogger, metrics: noMetrics },
        { ...PROBE, credentialsFile },
      );
      try {
        await probeStore(store);
      } finally {
        await store.close();
      }
    },
    launchMount: async (config, options) => {
      const { runMount } = await import('../client/launch/run-mount.js');
      await runMount(config, options);
    },
    unmount: async (mountpoint, { timeoutMs, lazy }) => {
      const { unmount } = await import('../client/launch/unmount.js');
      const progress = (message: string): void => void process.stderr.write(`${message}\n`);
      const { warning } = await unmount({ mountpoint, lazy, drainTimeoutMs: timeoutMs, progress });
      if (warning !== undefined) progress(`warning: ${warning}`);
    },
    mountStatus: async (mountpoint) => {
      const { mountStatus } = await import('../client/launch/unmount.js');
      return mountStatus(mountpoint);
    },
    remount: async (mountpoint, options) => {
      const env = { ...process.env, PATH: process.env['PATH'] ?? DEFAULT_PATH };
      const child = spawn('mount', ['-i', '-o', options, mountpoint], { stdio: 'inherit', env });
      const [code] = (await once(child, 'exit')) as [number | null];
      return code ?? 32;
    },
  };
}

/** A working directory on a dead mount cannot be asked for; only relative paths need it. */
function workingDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return process.env['PWD'] ?? '/';
  }
}

/** The question goes to stderr: stdout is for the result. */
async function ask(question: string): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const ended = new AbortController();
  lines.once('close', () => ended.abort());
  try {
    return await lines.question(question, { signal: ended.signal });
  } catch (error) {
    if (ended.signal.aborted) return undefined;
    throw error;
  } finally {
    lines.close();
  }
}
