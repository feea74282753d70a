import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { promisify } from 'node:util';

const VERSION = 'v1.7.0';
const INSTALL_MAX_MS = 15 * 60_000;
const START_MAX_MS = 20_000;
const STOP_MAX_MS = 5_000;

/** A running versitygw: an S3 server that is not ours. */
export interface Versitygw {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  stop(): Promise<void>;
}

/**
 * The path of versitygw, or undefined where there is none and no Go to make one: then tests are skipped, or fail under
 * `CURVEFS_REQUIRE_ALL=1`. Looks in PATH, then in Go's bin directories; installs it once (minutes, needs the network)
 * when `install` is true.
 */
export async function findVersitygw({ install = process.env['CURVEFS_REQUIRE_ALL'] === '1' } = {}): Promise<
  string | undefined
> {
  const go = await findGo();
  const cache = join(tmpdir(), `curvefs-versitygw-${VERSION}-${process.getuid?.() ?? 0}`);
  const directories = (process.env['PATH'] ?? '').split(':');
  if (go !== undefined) directories.push(await goBin(go));
  for (const directory of [...directories, cache]) {
    const path = join(directory, 'versitygw');
    if (directory !== '' && (await exists(path))) return path;
  }
  if (go === undefined || !install) return undefined;
  await mkdir(cache, { recursive: true, mode: 0o700 });
  await promisify(execFile)(go, ['install', `github.com/versity/versitygw/cmd/versitygw@${VERSION}`], {
    env: { ...process.env, GOBIN: cache },
    timeout: INSTALL_MAX_MS,
  });
  return join(cache, 'versitygw');
}

/** Starts it on a directory of its own and makes one bucket. */
export async function startVersitygw(path: string, bucket = 'curvefs-test'): Promise<Versitygw> {
  const work = await mkdtemp(join(tmpdir(), 'versitygw-'));
  await mkdir(join(work, 'data', bucket), { recursive: true });
  const port = await freePort();
  const accessKeyId = 'curvefs-test';
  const secretAccessKey = randomBytes(16).toString('hex');
  const log = await open(join(work, 'log'), 'w');
  const child = spawn(
    path,
    ['--port', `127.0.0.1:${port}`, '--region', 'us-east-1', '--keep-alive', '--quiet', 'posix', join(work, 'data')],
    {
      cwd: '/',
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: process.env['PATH'], ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
    },
  );
  const exited = once(child, 'exit');
  // A failed spawn ends the wait below; the rejection is nobody else's.
  exited.catch(() => undefined);
  const killOnExit = (): boolean => child.kill('SIGKILL');
  process.once('exit', killOnExit);
  const stop = async (): Promise<void> => {
    process.off('exit', killOnExit);
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MAX_MS);
      await exited;
      clearTimeout(timer);
    }
    await log.close();
    await rm(work, { recursive: true, force: true });
  };
  try {
    await ready(port, () => child.exitCode !== null || child.pid === undefined);
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint: `http://127.0.0.1:${port}`, bucket, accessKeyId, secretAccessKey, stop };
}

async function findGo(): Promise<string | undefined> {
  for (const directory of [...(process.env['PATH'] ?? '').split(':'), '/usr/local/go/bin']) {
    if (directory !== '' && (await exists(join(directory, 'go')))) return join(directory, 'go');
  }
  return undefined;
}

async function goBin(go: string): Promise<string> {
  const { stdout } = await promisify(execFile)(go, ['env', 'GOBIN', 'GOPATH']);
  const [bin = '', path = ''] = stdout.split('\n');
  return bin === '' ? join(path, 'bin') : bin;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function ready(port: number, dead: () => boolean): Promise<void> {
  const end = Date.now() + START_MAX_MS;
  while (Date.now() < end && !dead()) {
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('versitygw did not start');
}
