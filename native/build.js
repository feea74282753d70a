/**
 * Builds the native addon during `npm install`, without a download: the C compiler is called with the headers beside the running node.
 * Only where those are missing does node-gyp, which may fetch them, take over. Never fails the install: without the addon the mount uses
 * the pure-JS fallback device, and says so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, realpathSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const here = import.meta.dirname;
const include = join(dirname(dirname(realpathSync(process.execPath))), 'include', 'node');
const output = join(here, 'build', 'Release', 'curvefs_native.node');

/** Runs a command; undefined when it succeeds, else the line that says why not. */
function run(command, args) {
  const result = spawnSync(command, args, { cwd: here, encoding: 'utf8' });
  if (result.error) return `${command}: ${result.error.message}`;
  if (result.status === 0) return undefined;
  const lines = `${result.stderr}${result.stdout}`.split('\n').filter((line) => /error/i.test(line));
  return `${command}: ${lines[0] ?? `exit status ${result.status ?? result.signal}`}`;
}

function compile() {
  const sources = readdirSync(join(here, 'src')).filter((name) => name.endsWith('.c'));
  mkdirSync(dirname(output), { recursive: true });
  const temporary = `${output}.${process.pid}`;
  const failure = run(process.env.CC ?? 'cc', [
    ...['-shared', '-fPIC', '-O2', '-std=gnu11', '-Wall', '-Wextra', '-pthread', '-DNAPI_VERSION=8'],
    ...['-isystem', include, '-o', temporary],
    ...sources.map((name) => join('src', name)),
  ]);
  // A mount that runs keeps the file it has mapped.
  if (failure === undefined) renameSync(temporary, output);
  return failure;
}

function nodeGyp() {
  const npm = createRequire(
    join(dirname(dirname(realpathSync(process.execPath))), 'lib', 'node_modules', 'npm', 'npm.js'),
  );
  // It wants a home directory for what it fetches, and there may be none.
  const headers = mkdtempSync(join(tmpdir(), 'curvefs-headers-'));
  const args = ['rebuild', '--devdir', headers];
  try {
    return run(process.execPath, [npm.resolve('node-gyp/bin/node-gyp.js'), ...args]);
  } catch {
    return run('node-gyp', args);
  } finally {
    rmSync(headers, { recursive: true, force: true });
  }
}

const failure =
  process.platform !== 'linux'
    ? `FUSE is Linux's, this is ${process.platform}`
    : existsSync(join(include, 'node_api.h')) && existsSync(join(include, 'uv.h'))
      ? compile()
      : nodeGyp();
if (failure !== undefined)
  console.warn(`curvefs: the native addon was not built, mounts will use the slower JavaScript device (${failure})`);
