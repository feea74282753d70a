import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('setpriv'));

/** What another user than root sees of the files that the first test makes: a device, a set-user-ID program. */
const LOOK = (mount: string): string => `cd ${mount}
  dd if=zero of=/dev/null bs=1 count=1 status=none 2>&1 | grep -o 'Permission denied' || echo device
  setpriv --reuid=1001 --regid=1001 --clear-groups ./id -u 2>&1 | grep -o 'Permission denied\\|^[0-9]*'`;

kernel('flags of a mount', () => {
  let cluster: Cluster;
  const sh = (script: string): Promise<string> => cluster.box.sh(script);

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('plain');
    await sh(
      'chmod 711 . && cd plain && mknod zero c 1 5 && cp /usr/bin/id id && chmod 4755 id && mkdir d && touch f && sync',
    );
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test('a mount by root has dev, suid and exec, as mount(8) says of its defaults', async () => {
    expect(await sh(LOOK('plain'))).toBe('device\n0\n');
  });

  test('nodev, nosuid and noexec are kept', async () => {
    await cluster.mount('strict', { options: 'nodev,nosuid' });
    expect(await sh(LOOK('strict'))).toBe('Permission denied\n1001\n');
    await cluster.umount('strict');
    await cluster.mount('strict', { options: 'nodev,nosuid,noexec,dev,suid' });
    expect(await sh(LOOK('strict'))).toBe('device\nPermission denied\n');
    await cluster.umount('strict');
  }, 60_000);

  test('ro: EROFS for every change, in the precedence of a local filesystem', async () => {
    await cluster.mount('ro', { options: 'ro' });
    const change = (script: string): string =>
      `( ${script} ) 2>&1 | grep -o 'Read-only file system\\|File exists\\|No such file or directory\\|Permission denied' | head -1`;
    const scripts = [
      'mkdir ro/n',
      'mkdir ro/d',
      'mkdir ro/none/n',
      'touch ro/n',
      'chmod 600 ro/f',
      'ln ro/f ro/g',
      'mv ro/f ro/g',
      'rmdir ro/d',
      'rm -f ro/f',
      'mkfifo ro/p',
      'ln -s x ro/l',
      'truncate -s 1 ro/f',
      'setpriv --reuid=1001 --regid=1001 --clear-groups mkdir ro/n',
    ];
    const out = await sh(scripts.map(change).join('\n'));
    const readOnly = 'Read-only file system';
    expect(out.trim().split('\n')).toEqual(
      scripts.map((_, i) => (i === 1 ? 'File exists' : i === 2 ? 'No such file or directory' : readOnly)),
    );
    expect(await sh('cat ro/f && ls ro')).toBe('d\nf\nid\nzero\n');
    await cluster.umount('ro');
  }, 60_000);
});
