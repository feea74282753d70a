import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster, waitFor } from '../../helpers/cluster.js';
import type { Daemon } from '../../helpers/kernel.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

/** A program that takes a signal 20 times a second and goes on with its call. */
const PROGRAM = `
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
os.mkdir(sys.argv[1])
os.chmod(sys.argv[1], 0o700)
signal.setitimer(signal.ITIMER_REAL, 0)
print('done', flush=True)
`;
const SIGALRM_BIT = 0x2000;

/** Waits until the process has a signal that it can take only when its call has ended. */
async function signalled(program: Daemon): Promise<void> {
  await waitFor(() => {
    const pending = /^ShdPnd:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${program.child.pid}/status`, 'latin1'))?.[1];
    return (Number(`0x${pending}`) & SIGALRM_BIT) !== 0;
  }, 10_000);
}

kernel('signals during a call', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt');
  }, 90_000);

  afterAll(async () => {
    cluster.signalService('SIGCONT');
    await cluster.close();
  }, 60_000);

  test('one that is handled does not end the call', async () => {
    cluster.signalService('SIGSTOP');
    const program = cluster.box.spawn('python3', ['-c', PROGRAM, cluster.box.path('mnt', 'a')]);
    await signalled(program);
    cluster.signalService('SIGCONT');
    await program.waitFor(/done/);
    expect(await program.stopped()).toBe(0);
    expect(await cluster.box.sh('stat -c %a mnt/a')).toBe('700\n');
  });

  test('one that ends the process ends the call, though others came before', async () => {
    cluster.signalService('SIGSTOP');
    const program = cluster.box.spawn('python3', ['-c', PROGRAM, cluster.box.path('mnt', 'b')]);
    await signalled(program);
    program.kill('SIGTERM');
    await program.stopped(5000);
    expect(program.child.signalCode).toBe('SIGTERM');
    cluster.signalService('SIGCONT');
    expect(await cluster.box.sh('ls mnt')).toContain('a');
  });
});
