/**
 * `npm run demo [-- --once]`: a service, a filesystem on a `file://` store and a mount, all under ./.demo; the project's own sources are copied in and verified.
 * Stays until Ctrl-C, which unmounts cleanly; with --once it ends after the verification and removes ./.demo.
 *
 * Everything that touches the mount is a child process, so that Ctrl-C works whatever the mount does.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { once as onceEvent } from 'node:events';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..', '..');
const DEMO = join(ROOT, '.demo');
const MNT = join(DEMO, 'mnt');
const CURVEFS = join(ROOT, 'tools', 'curvefs');
const SOURCES = ['src', 'test', 'tools', 'docs', 'proto', 'native', 'bench', 'package.json', 'README.md', 'LICENSE'];
const once = process.argv.includes('--once');

let service;
let mounted = false;
let stopping = false;
const interrupted = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      if (stopping) console.log('unmounting, please wait');
      stopping = true;
      resolve();
    });
  }
});

let exitCode = 0;
try {
  buildIfNeeded();
  startAfresh();
  const mds = await startService();
  run(CURVEFS, 'fs', 'create', 'demo', '--mds', mds, '--storage', `file://${join(DEMO, 'objects')}`);
  run(
    CURVEFS,
    'mount',
    `${mds}:/demo`,
    MNT,
    '-o',
    `cache_dir=${quoted(join(DEMO, 'cache'))},log=${quoted(join(DEMO, 'mount.log'))}`,
  );
  mounted = true;
  copyAndVerify();
  run('df', '-h', MNT);
  if (!once && !stopping) {
    console.log(`
The filesystem is mounted at ${MNT}. In another terminal, try:

  ls -l .demo/mnt
  cp -a /etc .demo/mnt/ 2>/dev/null; du -sh .demo/mnt/etc
  tools/curvefs status --mds ${mds}
  tools/curvefs fs info demo --mds ${mds}
  find .demo/objects -type f | head

Ctrl-C unmounts and ends the service.`);
    await interrupted;
    console.log('');
  }
} catch (error) {
  console.error(`demo: ${error.message}`);
  if (existsSync(join(DEMO, 'service.log'))) console.error(`logs: ${DEMO}/service.log, ${DEMO}/mount.log`);
  exitCode = 1;
}
stopping = true;
if (!(await stop())) exitCode = 1;
if (once && exitCode === 0) rmSync(DEMO, { recursive: true, force: true });
process.exit(exitCode);

function buildIfNeeded() {
  const target = join(ROOT, 'dist', 'bin', 'curvefs.js');
  const newest = Math.max(
    ...readdirSync(join(ROOT, 'src'), { recursive: true })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => statSync(join(ROOT, 'src', name)).mtimeMs),
  );
  const stamp = join(ROOT, 'dist', '.tsbuildinfo');
  if (existsSync(target) && existsSync(stamp) && statSync(stamp).mtimeMs >= newest) return;
  console.log('building');
  run('npm', 'run', '--silent', 'build');
}

/** Removes what an earlier run left, after making sure that nothing is mounted there. */
function startAfresh() {
  const isMounted = () => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${MNT.replaceAll(' ', '\\040')} `);
  if (isMounted()) {
    console.log(`unmounting what an earlier run left at ${MNT}`);
    spawnSync(CURVEFS, ['umount', MNT], { stdio: 'inherit', cwd: '/' });
    if (isMounted()) throw new Error(`${MNT} is still mounted: umount -l ${MNT}`);
  }
  rmSync(DEMO, { recursive: true, force: true });
  mkdirSync(MNT, { recursive: true });
}

/** Starts `curvefs standalone` on a free port; returns its address. */
async function startService() {
  const args = [
    'standalone',
    '--data-dir',
    join(DEMO, 'data'),
    '--listen',
    '127.0.0.1:0',
    '--log',
    join(DEMO, 'service.log'),
  ];
  // a process group of its own: Ctrl-C must reach the mount before it reaches the service
  service = spawn(CURVEFS, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true, cwd: '/' });
  const lines = createInterface({ input: service.stdout });
  const [line] = await Promise.race([
    onceEvent(lines, 'line'),
    onceEvent(service, 'exit').then(([code]) => Promise.reject(new Error(`the service ended with exit code ${code}`))),
  ]);
  console.log(line);
  return line.split(' ').at(-1);
}

function copyAndVerify() {
  const present = SOURCES.filter((name) => existsSync(join(ROOT, name)));
  const target = join(MNT, 'curvefs');
  console.log(`copying ${present.join(', ')} to ${target}`);
  // by way of a snapshot: somebody may be editing the sources
  const snapshot = join(DEMO, 'snapshot');
  mkdirSync(snapshot);
  run('cp', '-a', '--', ...present.map((name) => join(ROOT, name)), snapshot);
  run('cp', '-a', '--', snapshot, target);
  const list = spawnSync('find', [...present, '-type', 'f', '-print0'], { cwd: snapshot, maxBuffer: 2 ** 28 });
  const sums = spawnSync('xargs', ['-0', 'sha256sum', '--'], { cwd: snapshot, input: list.stdout, maxBuffer: 2 ** 28 });
  if (sums.status !== 0) throw new Error('the sources cannot be read');
  const sumsFile = join(DEMO, 'sha256sums');
  writeFileSync(sumsFile, sums.stdout);
  run('sh', '-c', 'cd "$1" && sha256sum --quiet --strict -c "$2"', 'sh', target, sumsFile);
  console.log(`verified ${sums.stdout.toString('latin1').trimEnd().split('\n').length} files by SHA-256`);
}

/** Unmounts, then ends the service; true when both went well. */
async function stop() {
  let good = true;
  if (mounted) {
    console.log(`unmounting ${MNT}`);
    // out of the terminal's process group: another Ctrl-C must not stop it half-way
    const umount = spawn(CURVEFS, ['umount', MNT], {
      stdio: ['ignore', 'inherit', 'inherit'],
      cwd: '/',
      detached: true,
    });
    const [code] = await onceEvent(umount, 'exit');
    good = code === 0;
  }
  if (service !== undefined && service.exitCode === null) {
    const ended = onceEvent(service, 'exit');
    service.kill('SIGTERM');
    const [code] = await ended;
    good &&= code === 0;
  }
  return good;
}

function run(program, ...args) {
  const result = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], cwd: ROOT });
  if (result.status !== 0)
    throw new Error(`${[program.replace(`${ROOT}/`, ''), ...args.slice(0, 2)].join(' ')} failed`);
}

/** A value of an -o list. */
function quoted(text) {
  return `"${text.replaceAll(/[\\"]/g, '\\$&')}"`;
}
