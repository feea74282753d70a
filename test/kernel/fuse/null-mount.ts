import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { PROJECT_ROOT, type Daemon, type KernelSandbox } from '../../helpers/kernel.js';

/** Where `tsc -p tsconfig.bench.json` puts the null filesystem. */
const BUILD = join(PROJECT_ROOT, 'dist/bench');
export const NULL_MAIN = join(BUILD, 'bench/nullfs/null-main.js');
export const NULL_SUPERVISOR = join(PROJECT_ROOT, 'test/kernel/fuse/supervisor.js');
export const NULL_PROBE = join(PROJECT_ROOT, 'test/kernel/fuse/probe.js');

/** Reads the file whose READ is never answered. */
export const READ_HANGING = 'cat mnt/.hang & echo $! > reader.pid; wait $!';
/** Waits until that read is in the server. */
export const UNTIL_HANGING =
  'until grep -qs request_wait_answer /proc/$(cat reader.pid 2>/dev/null)/stack; do sleep 0.05; done';

/** Builds the null filesystem; quick when nothing changed. */
export function buildNullFilesystem(): void {
  const tsc = join(PROJECT_ROOT, 'node_modules/typescript/bin/tsc');
  const built = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.bench.json'], {
    cwd: PROJECT_ROOT,
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`building the null filesystem: ${built.stdout}`);
}

/** The fallback device holds threads of libuv's pool. */
export const POOL = { UV_THREADPOOL_SIZE: '8' };

/** Mounts the null filesystem and waits until it serves. */
export async function mountNull(box: KernelSandbox, name: string, args: readonly string[]): Promise<Daemon> {
  const daemon = box.spawn(
    process.execPath,
    ['--enable-source-maps', NULL_MAIN, box.mkdir(name), '--verbose', ...args],
    {
      env: POOL,
    },
  );
  await daemon.waitFor(/^ready$/m);
  return daemon;
}
