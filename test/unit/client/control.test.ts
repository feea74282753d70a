import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlServer, type ControlServerDeps } from '../../../src/client/control-server.js';
import { askSupervisor, NoDaemonError } from '../../../src/client/launch/control-client.js';
import { controlPath, type MountStatus, runDir } from '../../../src/client/launch/control-protocol.js';
import { silentLogger } from '../../../src/common/logger.js';

const STATUS: MountStatus = {
  version: 1,
  source: 'h:1:/x',
  mountpoint: '/mnt',
  cacheDir: '/cache',
  state: 'serving',
  supervisorPid: 42,
  workerPid: 43,
  data: undefined,
  startedMs: 0,
};

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'curvefs-control-'));
  path = join(dir, 'run', 'mount.sock');
});
afterEach(() => rmSync(dir, { recursive: true }));

const listen = (deps: Partial<ControlServerDeps> = {}): Promise<ControlServer> =>
  ControlServer.listen(
    {
      logger: silentLogger,
      status: () => Promise.resolve(STATUS),
      umount: async () => ({ type: 'result', unmounted: true, message: undefined }),
      ...deps,
    },
    path,
  );

const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(path, () => socket.write(text));
    let answer = '';
    socket.setEncoding('utf8').on('data', (part: string) => (answer += part));
    socket.on('error', reject).on('close', () => resolve(answer));
  });

describe('the control socket', () => {
  test('answers its owner only', async () => {
    const server = await listen();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await askSupervisor(path, { op: 'status' }, { silenceMs: 2000 })).toEqual({
      type: 'status',
      status: STATUS,
    });
    await server.close();
  });

  test('passes progress on, then the result', async () => {
    const orders: unknown[] = [];
    const server = await listen({
      umount: async (order, progress) => {
        orders.push(order);
        progress('one');
        progress('two');
        return { type: 'result', unmounted: true, message: 'left something' };
      },
    });
    const heard: string[] = [];
    const reply = await askSupervisor(
      path,
      { op: 'umount', lazy: true, drainTimeoutMs: 5 },
      { silenceMs: 2000, progress: (message) => heard.push(message) },
    );
    expect(reply).toEqual({ type: 'result', unmounted: true, message: 'left something' });
    expect(heard).toEqual(['one', 'two']);
    expect(orders).toEqual([{ version: 1, op: 'umount', lazy: true, drainTimeoutMs: 5 }]);
    await server.close();
  });

  test('a result that is on its way is delivered before the socket closes', async () => {
    let finish: () => void = () => undefined;
    const asked = new Promise<void>((started) => {
      void listen({
        umount: () => {
          started();
          return new Promise((resolve) => {
            finish = () => resolve({ type: 'result', unmounted: true, message: undefined });
          });
        },
      }).then((server) => (closing = () => server.close()));
    });
    let closing: () => Promise<void> = async () => undefined;
    await new Promise((resolve) => setImmediate(resolve));
    while (!exists(path)) await new Promise((resolve) => setTimeout(resolve, 5));
    const reply = askSupervisor(path, { op: 'umount', lazy: false, drainTimeoutMs: undefined }, { silenceMs: 5000 });
    await asked;
    const closed = closing();
    finish();
    expect(await reply).toMatchObject({ type: 'result', unmounted: true });
    await closed;
  });

  test('a failure of the unmount is its result', async () => {
    const server = await listen({ umount: () => Promise.reject(new Error('no way')) });
    const reply = await askSupervisor(path, { op: 'umount', lazy: false, drainTimeoutMs: 0 }, { silenceMs: 2000 });
    expect(reply).toEqual({ type: 'result', unmounted: false, message: 'no way' });
    await server.close();
  });

  test.each([
    ['no JSON', 'nonsense\n', /not JSON/],
    ['another version', '{"version":9,"op":"status"}\n', /version 9/],
    ['an unknown request', '{"version":1,"op":"dance"}\n', /dance/],
    ['a bad time-out', '{"version":1,"op":"umount","drainTimeoutMs":-1}\n', /drainTimeoutMs/],
    ['a line without end', 'x'.repeat(70_000), /not JSON/],
  ])('%s is refused in words', async (_name, text, message) => {
    const server = await listen();
    expect(await raw(text)).toMatch(message);
    await server.close();
  });

  test('a live owner is not displaced, a dead one’s socket is', async () => {
    const first = await listen();
    await expect(listen()).rejects.toMatchObject({
      exitCode: 32,
      message: expect.stringContaining('pid 42') as unknown,
    });
    await first.close();
    writeFileSync(path, '');
    const second = await listen();
    await second.close();
  });

  test('nobody there', async () => {
    await expect(askSupervisor(path, { op: 'status' }, { silenceMs: 500 })).rejects.toBeInstanceOf(NoDaemonError);
  });
});

describe('where it is', () => {
  test('by environment, user and mountpoint', () => {
    expect(runDir({ CURVEFS_RUN_DIR: '/x' }, 0)).toBe('/x');
    expect(runDir({}, 0)).toBe('/run/curvefs');
    expect(runDir({ XDG_RUNTIME_DIR: '/run/user/7' }, 7)).toBe('/run/user/7/curvefs');
    expect(controlPath('/run/curvefs', '/mnt/a')).not.toBe(controlPath('/run/curvefs', '/mnt/b'));
  });
});

function exists(file: string): boolean {
  try {
    return statSync(file).isSocket();
  } catch {
    return false;
  }
}
