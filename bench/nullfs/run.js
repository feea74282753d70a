/**
 * The null filesystem: `node bench/nullfs/run.js MOUNTPOINT [--device native|fallback] [--async]`, as root; SIGTERM unmounts.
 * It is TypeScript outside src/, so it has a build of its own: `tsc -p tsconfig.bench.json` into dist/bench, done here when needed.
 */
import { spawnSync, spawn } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const built = spawnSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.bench.json'],
  {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  },
);
if (built.status !== 0) process.exit(built.status ?? 1);

const main = join(root, 'dist/bench/bench/nullfs/null-main.js');
// The fallback device holds threads of libuv's pool.
const env = { ...process.env, UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE ?? '8' };
const child = spawn(process.execPath, ['--enable-source-maps', main, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env,
});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill('SIGTERM'));
child.on('exit', (code) => process.exit(code ?? 1));
