import { describe, expect, test } from '@jest/globals';
import { runCli } from '../../../src/cli/run-cli.js';
import { fakeDeps } from './fake-deps.js';

describe('quota', () => {
  test('set takes a path of a mount', async () => {
    const { deps, calls, out } = fakeDeps();
    expect(await runCli(['quota', 'set', 'b', '--capacity', '1G'], deps)).toBe(0);
    expect(calls).toContainEqual(['locatePath', '/work dir/b']);
    expect(calls).toContainEqual(['connectQuotas', '127.0.0.1:6701']);
    expect(calls).toContainEqual(['set', Buffer.from('/a//b'), { bytesMax: 1024 ** 3 }]);
    expect(out()).toBe(
      'Path:        /a/b\nCapacity:    1.00 GiB\nUsed:        4.00 KiB\nInodes:      no limit\nUsed inodes: 2\n',
    );
  });

  test('set takes a filesystem and a path in it; a limit of 0 is none', async () => {
    const { deps, calls } = fakeDeps();
    const args = ['quota', 'set', '/x', '--fs', 'demo', '--mds', 'h:1', '--inodes', '0'];
    expect(await runCli(args, deps)).toBe(0);
    expect(calls).toContainEqual(['set', Buffer.from('/x'), { inodesMax: 0 }]);
  });

  test('list, get and delete', async () => {
    const { deps, calls, out } = fakeDeps();
    expect(await runCli(['quota', 'list'], deps)).toBe(0);
    expect(out()).toContain('1.00 GiB  4.00 KiB  no limit  2     /a/b');
    expect(await runCli(['quota', 'get', '/m/b', '-o', 'json'], deps)).toBe(0);
    expect(out()).toContain('"path": "/a/b"');
    expect(await runCli(['quota', 'delete', '/m/b'], deps)).toBe(0);
    expect(calls).toContainEqual(['delete', Buffer.from('/a//b')]);
    expect(calls.filter(([name]) => name === 'closeQuotas')).toHaveLength(3);
  });
});
