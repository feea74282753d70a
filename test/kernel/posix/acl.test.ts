import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';
import { runCases } from './run-cases.js';
import { ACLS } from './tables/acls.js';
import { OWNERSHIP } from './tables/ownership.js';

const kernel = describeIf(root, devFuse, built, command('python3'), command('setfacl'), command('setpriv'));

const as = (uid: number, script: string, groups = '--clear-groups'): string =>
  `setpriv --reuid ${uid} --regid ${uid} ${groups} sh -c '${script}'`;

kernel('POSIX ACLs', () => {
  let cluster: Cluster;
  const sh = (script: string): Promise<string> => cluster.box.sh(`set -e; ${script}`, { timeoutMs: 60_000 });

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt', { options: 'acl,attr_timeout=100ms,entry_timeout=100ms' });
    await cluster.mount('plain', { options: 'attr_timeout=0,entry_timeout=0' });
    cluster.box.mkdir('reference');
    await sh('chmod 711 . && mount -t tmpfs -o mode=755 none reference');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  test(`access, mode, inheritance and refusals: ${ACLS.length} cases`, async () => {
    expect(await runCases(cluster.box, 'mnt', 'acl', ACLS)).toEqual([]);
  }, 120_000);

  test('a local filesystem does the same', async () => {
    expect(await runCases(cluster.box, 'reference', 'acl', ACLS)).toEqual([]);
  }, 60_000);

  test('without any ACL, owners, umask and set-group-ID are as on a mount without acl', async () => {
    const made = OWNERSHIP.filter(({ name }) => /umask|directory as/.test(name));
    expect(made.length).toBeGreaterThan(100);
    expect(await runCases(cluster.box, 'mnt', 'own', made)).toEqual([]);
  }, 120_000);

  test('setfacl and getfacl, recursively; cp, tar and rsync carry ACLs', async () => {
    await sh(`mkdir -p ref/t/a mnt/t/a; touch ref/t/f ref/t/a/g mnt/t/f mnt/t/a/g
      for at in ref mnt; do setfacl -R -m u:1001:rwX,g:2001:r-X,o::--- $at/t; setfacl -R -d -m u:1001:rwX $at/t; touch $at/t/a/new; mkdir $at/t/a/sub
        (cd $at/t; find . | sort | getfacl -) > $at.acl; done; cat mnt.acl; diff ref.acl mnt.acl`);
    await sh(`cp -a mnt/t mnt/copy; rsync -aA mnt/t/ mnt/synced/; tar --acls -cf t.tar -C mnt/t .; mkdir mnt/tarred; tar --acls -xpf t.tar -C mnt/tarred
      for at in copy synced tarred; do (cd mnt/$at; find . | sort | getfacl -) > $at.acl; done
      diff mnt.acl copy.acl; diff mnt.acl synced.acl; diff mnt.acl tarred.acl
      setfacl -R -b mnt/copy; [ -z "$(getfacl -R --skip-base mnt/copy)" ]`);
  });

  describe('a mount without acl', () => {
    test('refuses requests for ACLs with EOPNOTSUPP', async () => {
      await sh(`touch plain/refused; ! setfacl -m u:1001:r plain/refused 2> err; cat err; grep -q 'not supported' err
        touch mnt/shown; setfacl -m u:1001:rw mnt/shown; setfattr -n user.a -v 1 mnt/shown; [ "$(getfattr -m - plain/shown | grep -v '^#')" = user.a ]
        getfattr -m - mnt/shown | grep -q posix_acl_access; ! getfattr -n system.posix_acl_access plain/shown 2> err; grep -q 'not supported' err`);
    });

    test('hands a default ACL down, and its chmod changes the mask', async () => {
      await sh(`mkdir mnt/dir; setfacl -d -m u:1001:rw mnt/dir; (umask 022; touch plain/dir/f; mkdir plain/dir/s)
        sleep 0.2; getfacl -c mnt/dir/f | grep -q '^user:1001:rw-'; getfacl -c mnt/dir/s | grep -q '^default:user:1001:rw-'
        chmod 604 plain/dir/f; sleep 0.2; getfacl -c mnt/dir/f | grep -q '^mask::---'`);
    });

    test('is denied by an ACL what the mode would grant', async () => {
      await sh(`echo x > mnt/denied; chgrp 2001 mnt/denied; setfacl -m g::---,u:1001:r,m::r mnt/denied; stat -c %a mnt/denied
        ! ${as(1002, 'cat plain/denied 2>/dev/null', '--groups 2001')}; ! ${as(1002, 'cat mnt/denied 2>/dev/null', '--groups 2001')}; ${as(1001, 'cat mnt/denied')}`);
    });
  });

  test('another mount sees a changed ACL within its attribute time-out', async () => {
    await cluster.mount('other', { options: 'acl,attr_timeout=100ms,entry_timeout=100ms' });
    await sh(`echo x > mnt/changed; chmod 600 mnt/changed; ! ${as(1001, 'cat other/changed 2>/dev/null')}
      setfacl -m u:1001:r mnt/changed; sleep 0.3; ${as(1001, 'cat other/changed')}
      setfacl -b mnt/changed; sleep 0.3; ! ${as(1001, 'cat other/changed 2>/dev/null')}; cd /`);
    await cluster.umount('other');
  }, 60_000);

  test('acl and noxattr exclude each other; with noxattr every attribute is refused', async () => {
    const result = await cluster.tryMount('never', { options: 'acl,noxattr' });
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain('acl and noxattr exclude each other');
    await cluster.mount('bare', { options: 'noxattr' });
    await sh(`touch bare/f; for name in user.a trusted.a security.a; do ! setfattr -n $name -v 1 bare/f 2> err; grep -q 'not supported' err; done
      ! setfacl -m u:1001:r bare/f 2> err; grep -q 'not supported' err; ! getfattr -n user.a bare/f 2> err; grep -q 'not supported' err; ! setfattr -x user.a bare/f 2> err; grep -q 'not supported' err; cd /`);
    await cluster.umount('bare');
  }, 60_000);
});
