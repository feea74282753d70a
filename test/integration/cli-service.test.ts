import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { built, describeIf } from '../helpers/prerequisites.js';
import { runProgram, type ProgramResult } from '../helpers/run-program.js';

const CURVEFS = resolve('tools/curvefs');

let dir: string;
let children: ChildProcess[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'curvefs-service-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(dir, { recursive: true });
});

/** Starts a role; returns the address of its ready line. */
async function start(role: string, ...args: readonly string[]): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(CURVEFS, [role, ...args, '--listen', '127.0.0.1:0', '--log', join(dir, `${role}.log`)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${role} ended with ${String(code)}`)));
  ended.catch(() => undefined);
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
  const match = /^curvefs (\w+) ready on (127\.0\.0\.1:\d+)$/.exec(line);
  expect(match?.[1]).toBe(role);
  return { child, address: match?.[2] ?? '' };
}

async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  const exit = once(child, 'exit');
  child.kill(signal);
  const [code] = (await exit) as [number | null];
  return code;
}

const curvefs = (...args: readonly string[]): Promise<ProgramResult> =>
  runProgram(CURVEFS, args, { timeoutMs: 60_000 });

describeIf(built)('the services', () => {
  test('standalone serves, keeps what it was told over a restart, and ends cleanly', async () => {
    const data = join(dir, 'data');
    const first = await start('standalone', '--data-dir', data);
    const mds = ['--mds', first.address];
    expect(statSync(data).mode & 0o777).toBe(0o700);

    const status = await curvefs('status', ...mds, '-o', 'json');
    expect(status.code).toBe(0);
    expect(JSON.parse(status.stdout)).toMatchObject({ role: 'mds', metaservers: [{ alive: true, filesystems: 0 }] });

    const objects = join(dir, 'objects');
    const create = await curvefs(
      'fs',
      'create',
      'demo',
      ...mds,
      '--storage',
      `file://${objects}`,
      '--capacity',
      '1GiB',
    );
    expect(create).toMatchObject({ code: 0, stderr: '' });
    // the probes left nothing
    expect(readdirSync(objects, { recursive: true }).filter((name) => String(name).includes('probe'))).toEqual([]);

    const again = await curvefs('fs', 'create', 'demo', ...mds, '--storage', `file://${objects}`);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toMatch(/^curvefs fs create: [^\n]*exists[^\n]*\n$/);
    const unknown = await curvefs('fs', 'info', 'other', ...mds);
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toMatch(/^curvefs fs info: [^\n]*other[^\n]*\n$/);

    expect(await stop(first.child)).toBe(0);
    const second = await start('standalone', '--data-dir', data);
    const list = await curvefs('fs', 'list', '--mds', second.address, '-o', 'json');
    expect(JSON.parse(list.stdout)).toMatchObject([
      { name: 'demo', capacityBytes: 1024 ** 3, storageUrl: `file://${objects}` },
    ]);

    const refused = await runProgram(CURVEFS, ['fs', 'delete', 'demo', '--mds', second.address], { input: 'dem\n' });
    expect(refused).toMatchObject({ code: 1 });
    const deleted = await runProgram(CURVEFS, ['fs', 'delete', 'demo', '--mds', second.address], { input: 'demo\n' });
    expect(deleted).toMatchObject({ code: 0, stdout: 'deleted filesystem demo\n' });
    expect((await curvefs('fs', 'list', '--mds', second.address, '-o', 'json')).stdout).toBe('[]\n');
    expect(await stop(second.child, 'SIGINT')).toBe(0);
  }, 120_000);

  test('a data directory in use, or an address in use, is one line and exit code 1', async () => {
    const first = await start('standalone', '--data-dir', join(dir, 'data'));
    const inUse = await curvefs('standalone', '--data-dir', join(dir, 'data'), '--listen', '127.0.0.1:0');
    expect(inUse).toMatchObject({ code: 1, stdout: '' });
    expect(inUse.stderr).toMatch(/curvefs standalone: [^\n]*in use[^\n]*\n$/);
    const port = await curvefs('standalone', '--data-dir', join(dir, 'other'), '--listen', first.address);
    expect(port).toMatchObject({ code: 1, stdout: '' });
    expect(port.stderr).toContain(first.address);
    const credentials = join(dir, 'credentials');
    const role = ['standalone', '--data-dir', join(dir, 'other'), '--listen', '127.0.0.1:0'];
    const missing = await curvefs(...role, '--credentials', credentials);
    expect(missing).toMatchObject({ code: 1, stdout: '' });
    expect(missing.stderr).toMatch(/^curvefs standalone: credentials file [^\n]*cannot be read[^\n]*\n$/);
    writeFileSync(credentials, 'AK:secret', { mode: 0o644 });
    const open = await curvefs('metaserver', ...role.slice(1), '--mds', first.address, '--credentials', credentials);
    expect(open).toMatchObject({ code: 1, stdout: '' });
    expect(open.stderr).toMatch(/^curvefs metaserver: credentials file [^\n]*chmod 600[^\n]*\n$/);
    const metrics = await curvefs(...role, '--metrics', first.address);
    const busy = `metrics cannot be served on ${first.address}: another program listens there`;
    expect(metrics).toMatchObject({ code: 1, stdout: '' });
    expect(metrics.stderr.split('\n').at(-2)).toBe(`curvefs standalone: ${busy}`);
    expect(await stop(first.child)).toBe(0);
  }, 60_000);

  test('the roles apart: a metaserver registers with its MDS and is given filesystems', async () => {
    const mds = await start('mds', '--data-dir', join(dir, 'mds'));
    const objects = `file://${join(dir, 'objects')}`;
    const none = await curvefs('fs', 'create', 'demo', '--mds', mds.address, '--storage', objects);
    expect(none).toMatchObject({ code: 1, stdout: '' });
    expect(none.stderr).toMatch(/metaserver/);
    const metaserver = await start('metaserver', '--data-dir', join(dir, 'meta'), '--mds', mds.address);
    const create = await curvefs('fs', 'create', 'demo', '--mds', mds.address, '--storage', objects);
    expect(create).toMatchObject({ code: 0, stderr: '' });
    const info = await curvefs('fs', 'info', 'demo', '--mds', mds.address, '-o', 'json');
    expect(JSON.parse(info.stdout)).toMatchObject({
      fs: { metaserver: metaserver.address },
      mounts: [],
      metaserverAlive: true,
    });
    expect(await stop(metaserver.child)).toBe(0);
    expect(await stop(mds.child)).toBe(0);
  }, 60_000);

  test('metrics and health', async () => {
    const { child } = await start('standalone', '--data-dir', join(dir, 'data'), '--metrics', '127.0.0.1:0');
    const log = readFileSync(join(dir, 'standalone.log'), 'utf8');
    const address = /"metrics":"([^"]+)"/.exec(log)?.[1];
    const metrics = await fetch(`http://${address}/metrics`);
    expect(await metrics.text()).toContain('process_resident_memory_bytes');
    expect((await fetch(`http://${address}/healthz`)).status).toBe(200);
    expect(await stop(child)).toBe(0);
  }, 60_000);

  test('a wildcard address needs --advertise', async () => {
    const result = await curvefs('standalone', '--data-dir', join(dir, 'data'), '--listen', '0.0.0.0:0');
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toContain('--advertise HOST:PORT is required');
  });
});
