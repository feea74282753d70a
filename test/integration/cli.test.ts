import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { built, describeIf } from '../helpers/prerequisites.js';
import { runProgram } from '../helpers/run-program.js';

const CURVEFS = resolve('tools/curvefs');
const HELPER = resolve('mount.curvefs');
/** Nothing listens there. */
const NOWHERE = '127.0.0.1:1';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'curvefs-cli-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

describeIf(built)('tools/curvefs', () => {
  test('help, version, usage errors', async () => {
    const help = await runProgram(CURVEFS, ['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const name of ['standalone', 'mds', 'metaserver', 'status', 'fs', 'mount', 'umount']) {
      expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    }
    expect((await runProgram(CURVEFS, ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const wrong = await runProgram(CURVEFS, ['fs', 'list', '--nosuch']);
    expect(wrong).toEqual({ code: 2, stdout: '', stderr: "curvefs fs list: unknown option '--nosuch'\n" });
  });

  test('works through a link, from anywhere, with hardly any environment', async () => {
    const link = join(dir, 'curvefs');
    symlinkSync(CURVEFS, link);
    const result = await runProgram(link, ['--version'], { cwd: '/', env: { CURVEFS_NODE: process.execPath } });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });

  test('an MDS that is away: exit code 1 and one line, soon', async () => {
    for (const args of [
      ['status', '--mds', NOWHERE],
      ['fs', 'list', '--mds', NOWHERE],
      ['fs', 'create', 'x', '--mds', NOWHERE, '--storage', `file://${join(dir, 'objects')}`],
    ]) {
      const result = await runProgram(CURVEFS, args, { timeoutMs: 15_000 });
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expect(result.stderr).toMatch(/^curvefs [a-z ]+: cannot reach the MDS at 127\.0\.0\.1:1: [^\n]+\n$/);
    }
  });

  test('mount has the exit codes of mount(8)', async () => {
    const usage = await runProgram(CURVEFS, ['mount', `${NOWHERE}:/x`, dir, '-o', 'cachesize=1g']);
    expect(usage).toMatchObject({ code: 1, stdout: '' });
    expect(usage.stderr).toBe('curvefs mount: unknown mount option "cachesize"; did you mean "cache_size"?\n');
    const missing = await runProgram(CURVEFS, ['mount', `${NOWHERE}:/x`, join(dir, 'missing')]);
    expect(missing.code).toBe(32);
    expect(missing.stderr).toMatch(/^curvefs mount: [^\n]*does not exist\n$/);
    const umount = await runProgram(CURVEFS, ['umount', dir]);
    expect(umount.code).toBe(32);
    expect(umount.stderr).toMatch(/^curvefs umount: [^\n]*is not mounted\n$/);
  });
});

describeIf(built)('mount.curvefs', () => {
  test.each([
    [[`${NOWHERE}:/x`, '/mnt', '-f', '-o', 'rw']],
    [['-f', '-s', '-n', '-v', '-o', 'rw,quota', '-t', 'fuse.curvefs', `${NOWHERE}:/x`, '/mnt']],
    [[`${NOWHERE}:/x`, '/mnt', '-fr', '-o', 'rw,_netdev,nofail,x-systemd.automount,log="/var/log/a,b"']],
  ])('-f succeeds: %j', async (args) => {
    expect((await runProgram(HELPER, args)).code).toBe(0);
  });

  test('usage is exit code 1', async () => {
    expect((await runProgram(HELPER, [])).code).toBe(1);
    expect((await runProgram(HELPER, [`${NOWHERE}:/x`, '/mnt', '-f', '-o', 'nosuch'])).code).toBe(1);
  });

  test('works when it is linked as /sbin has it, without an environment', async () => {
    for (const name of ['mount.curvefs', 'mount.fuse.curvefs']) {
      const link = join(dir, name);
      symlinkSync(HELPER, link);
      const result = await runProgram(link, [`${NOWHERE}:/x`, '/mnt', '-f', '-o', 'rw'], {
        cwd: '/',
        env: { CURVEFS_NODE: process.execPath },
      });
      expect(result).toEqual({ code: 0, stdout: '', stderr: '' });
    }
  });
});
