import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { describeKernel, KernelSandbox, type Daemon } from '../../helpers/kernel.js';
import { buildNullFilesystem, mountNull, READ_HANGING, UNTIL_HANGING } from './null-mount.js';

/** Prints the errno name of a perl system call that must fail. */
const perl = (code: string): string => `perl -MErrno -e '${code}'`;

const VARIANTS: readonly (readonly [string, readonly string[]])[] = [
  ['native device', ['--device', 'native']],
  ['fallback device, mounted by mount(8)', ['--device', 'fallback', '--mount', 'command']],
  ['native device, handlers that wait', ['--device', 'native', '--async']],
  ['fallback device, handlers that wait', ['--device', 'fallback', '--async']],
];

describeKernel('FUSE layer against the kernel', () => {
  beforeAll(buildNullFilesystem, 120_000);

  describe.each(VARIANTS)('%s', (_name, args) => {
    let box: KernelSandbox;
    let daemon: Daemon;

    beforeAll(async () => {
      box = await KernelSandbox.create();
      daemon = await mountNull(box, 'mnt', args);
    }, 30_000);

    afterAll(async () => {
      await box.close();
    }, 30_000);

    test('is mounted with its source and type', async () => {
      expect(await box.sh('findmnt -n -o FSTYPE,SOURCE "$PWD/mnt"')).toMatch(/^fuse\.nullfs\s+nullfs/);
    });

    test('files, directories, links and names', async () => {
      const out = await box.sh(`set -e
        echo hello > mnt/a; cat mnt/a; mkdir -p mnt/d/e; mv mnt/a mnt/d/e/b; ln -s e/b mnt/d/l; readlink mnt/d/l; cat mnt/d/l
        ln mnt/d/e/b mnt/d/hard; stat -c '%h %s' mnt/d/hard; rm mnt/d/hard; stat -c %h mnt/d/e/b
        chmod 640 mnt/d/e/b; touch -d '1969-12-31 23:59:58.25 UTC' mnt/d/e/b; TZ=UTC stat -c '%a %y' mnt/d/e/b
        ! rmdir mnt/d; ! mkdir mnt/d; ! cat mnt/none; mkfifo mnt/p; stat -c %F mnt/p
        rm -r mnt/d mnt/p; ls -a mnt`);
      expect(out.split('\n')).toEqual([
        'hello',
        'e/b',
        'hello',
        '2 6',
        '1',
        '640 1969-12-31 23:59:58.250000000 +0000',
        'fifo',
        '.',
        '..',
        '',
      ]);
    });

    test('large content written by several processes at once comes back', async () => {
      await box.sh(`set -e
        head -c 9000001 /dev/urandom > ref
        for i in 1 2 3 4; do cp ref mnt/big$i & done; wait
        for i in 1 2 3 4; do cmp ref mnt/big$i; done
        dd if=ref of=mnt/big1 bs=1M seek=3 conv=notrunc status=none
        dd if=mnt/big1 bs=1M skip=3 status=none | cmp - ref
        truncate -s 5000 mnt/big2; head -c 5000 ref | cmp - mnt/big2
        rm mnt/big*`);
    }, 60_000);

    test('a directory of many entries is listed whole, with attributes', async () => {
      const out = await box.sh(`set -e
        mkdir mnt/many; for i in $(seq 3000); do : > mnt/many/file-with-a-rather-long-name-$i; done
        ls mnt/many | wc -l; ls -l mnt/many | grep -c ^-rw; rm -r mnt/many`);
      expect(out).toBe('3000\n3000\n');
    }, 60_000);

    test('an unlinked file that is open can still be used', async () => {
      expect(
        await box.sh(
          'exec 5<>mnt/gone; rm mnt/gone; echo text >&5; stat -L -c %h /dev/fd/5; cat mnt/gone 2>&1 | tail -c 26',
        ),
      ).toBe('0\nNo such file or directory\n');
    });

    test('an unknown ioctl is ENOTTY, also the second time', async () => {
      const code =
        'for (1,2) { open(F, "<", "mnt") ; open(G, ">", "mnt/io"); my $b = "\\0" x 64; ioctl(G, 0x5401, $b) or print $!{ENOTTY} ? "ENOTTY\\n" : "$!\\n"; }';
      expect(await box.sh(perl(code))).toBe('ENOTTY\nENOTTY\n');
    });

    test('operations left out are refused as the kernel should see them', async () => {
      expect((await box.run('touch mnt/x; getfattr -n user.a mnt/x')).stderr).toContain('Operation not supported');
    });

    test('a signal that ends the caller ends its request, one that it handles does not', async () => {
      const code =
        '$SIG{ALRM} = sub {}; open(F, "<", "mnt/.hang") or die $!; alarm 1; sysread(F, my $b, 100); print "ended\\n"';
      const handled = await box.run(`: > mnt/.hang; timeout -s KILL 2 ${perl(code)}`, { timeoutMs: 10_000 });
      expect(handled).toMatchObject({ timedOut: false, stdout: '' });
      const killed = await box.run('timeout -s KILL 1 cat mnt/.hang', { timeoutMs: 10_000 });
      expect(killed.timedOut).toBe(false);
      expect(await box.sh('cat mnt/.hang & sleep 0.3; ls mnt | head -1; kill %1', { timeoutMs: 10_000 })).toBe('io\n');
    }, 40_000);

    test('notifications are taken while requests are served', async () => {
      await box.sh('echo 1 > mnt/n1; echo 2 > mnt/n2; cat mnt/n1 mnt/n2 >/dev/null');
      daemon.kill('SIGUSR2');
      await daemon.waitFor(/^notified$/m);
      expect(daemon.output).not.toContain('notification failed');
      expect(await box.sh('cat mnt/n1 mnt/n2')).toBe('1\n2\n');
    });

    test('umount ends the session cleanly', async () => {
      await box.sh('umount mnt', { timeoutMs: 10_000 });
      expect(await daemon.stopped()).toBe(0);
      expect(daemon.output).toContain('ended unmounted');
      expect(daemon.output).not.toMatch(/^(warn|error)/m);
    });
  });

  describe.each(['native', 'fallback'])('a server that dies (%s)', (device) => {
    test('leaves ENOTCONN behind, not a hang', async () => {
      const box = await KernelSandbox.create();
      try {
        const daemon = await mountNull(box, 'mnt', ['--device', device]);
        await box.sh(': > mnt/.hang');
        const reader = box.run(READ_HANGING, { timeoutMs: 10_000 });
        await box.sh(UNTIL_HANGING, { timeoutMs: 10_000 });
        daemon.kill('SIGKILL');
        expect(await reader).toMatchObject({ timedOut: false, status: 1 });
        const after = await box.run('ls mnt', { timeoutMs: 10_000 });
        expect(after.stderr).toContain('Transport endpoint is not connected');
        await box.sh('umount mnt', { timeoutMs: 10_000 });
        expect(box.isMounted(box.path('mnt'))).toBe(false);
      } finally {
        await box.close();
      }
    }, 60_000);
  });
});
