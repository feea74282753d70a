import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from '../../helpers/cluster.js';
import { PROJECT_ROOT } from '../../helpers/kernel.js';
import { command, describeIf, devFuse, built, having, root, type Prerequisite } from '../../helpers/prerequisites.js';
import type { TestStore } from '../../helpers/test-store.js';

const HERE = import.meta.dirname;
const LONG = process.env['CURVEFS_TEST_LONG'] === '1';
const GiB = 1024 ** 3;
const MiB = 1024 ** 2;
const TEST_MAX_MS = LONG ? 900_000 : 120_000;

export interface ProgramsOptions {
  /** Of the machine, beside what every mount needs. */
  readonly needs?: readonly Prerequisite[];
  /** Transactions per journal mode of SQLite. */
  readonly transactions: number;
  /** Bytes that fio writes and verifies, per job. */
  readonly fioBytes: number;
}

/** Every store sees every program; one of them sees the longest runs. */
export const FULL = { transactions: LONG ? 10_000 : 1000, fioBytes: (LONG ? 512 : 48) * MiB } as const;
export const QUICK = LONG ? FULL : ({ transactions: 200, fioBytes: 16 * MiB } as const);

/**
 * Real programs on a kernel mount, all on one filesystem and one mount; then everything is compared again after the mount and the service were ended,
 * started anew, and the mount has an empty cache: what is there then came from the object store and the database.
 */
export function describePrograms(
  name: string,
  openStore: (dir: string) => Promise<TestStore>,
  opts: ProgramsOptions,
): void {
  const programs = ['git', 'rsync', 'sqlite3', 'fio', 'npm', 'getfattr'].map(command);
  const repository = having('a git checkout of the project', existsSync(join(PROJECT_ROOT, '.git')));
  describeIf(
    root,
    devFuse,
    built,
    ...programs,
    repository,
    ...(opts.needs ?? []),
  )(name, () => {
    let cluster: Cluster;
    const sh = (script: string): Promise<string> =>
      cluster.box.sh(`set -e; ${script}`, {
        timeoutMs: TEST_MAX_MS - 5000,
        env: { HOME: cluster.box.path('home'), GIT_TERMINAL_PROMPT: '0' },
      });

    beforeAll(async () => {
      cluster = await Cluster.create({ openStore });
      await cluster.mount('mnt');
      // the checkout may belong to somebody else than the user who runs the tests
      await sh(
        `mkdir -p home; printf '[safe]\\n directory = *\\n[user]\\n name = test\\n email = test@example.com\\n' > home/.gitconfig`,
      );
    }, TEST_MAX_MS);

    afterAll(async () => {
      await cluster.close();
    }, TEST_MAX_MS);

    test(
      'git clones the project, works in the clone, and finds nothing wrong with it',
      async () => {
        await sh(`git clone -q 'file://${PROJECT_ROOT}' mnt/repo`);
        expect(await sh('git -C mnt/repo fsck --full --strict --no-progress 2>&1')).toBe('');
        expect(await sh('git -C mnt/repo status --porcelain --ignored')).toBe('');
        await sh(
          'cd mnt/repo; git checkout -q -b work; git mv README.md READ.md; echo more >> READ.md; git commit -qam more; git gc -q',
        );
        expect(await sh('git -C mnt/repo fsck --full --strict --no-progress 2>&1')).toBe('');
        expect(await sh('git -C mnt/repo status --porcelain --ignored')).toBe('');
      },
      TEST_MAX_MS,
    );

    test(
      'a tree comes back as it was through tar, rsync and diff',
      async () => {
        await sh(`${HERE}/make-tree.sh '${PROJECT_ROOT}' tree`);
        await sh('mkdir mnt/tar; tar -C tree --xattrs -cf - . | tar -C mnt/tar --xattrs -xpf -');
        await sh('mkdir mnt/rsync; rsync -aHX --checksum tree/ mnt/rsync/; rsync -aHX --checksum mnt/rsync/ back/');
        for (const copy of ['mnt/tar', 'back']) {
          // diff cannot compare pipes and devices
          expect(await sh(`diff -r --no-dereference --exclude=pipe --exclude=null-device tree ${copy}`)).toBe('');
          // modes, owners, times, links and attributes too
          expect(await sh(`rsync -aHX --checksum --delete -n -i tree/ ${copy}/`)).toBe('');
        }
      },
      TEST_MAX_MS,
    );

    test(
      'npm installs a package with its dependencies',
      async () => {
        await sh(`
          export npm_config_cache="$PWD/mnt/npm-cache" npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
          mkdir -p mnt/npm/app mnt/npm/linked mnt/npm/packed/bin; cd mnt/npm
          echo '{"name":"linked","version":"1.2.3","main":"index.js"}' > linked/package.json
          echo 'module.exports = "linked"' > linked/index.js
          echo '{"name":"packed","version":"1.0.0","main":"index.js","bin":"bin/packed"}' > packed/package.json
          echo 'module.exports = "packed"' > packed/index.js
          printf '#!/usr/bin/env node\\nconsole.log("ran " + require(".."))\\n' > packed/bin/packed
          (cd packed && npm pack --silent --pack-destination ..)
          echo '{"name":"app","version":"0.0.1","dependencies":{"linked":"file:../linked","packed":"file:../packed-1.0.0.tgz"}}' > app/package.json
          cd app
          npm install --offline --silent --package-lock-only
          npm ci --offline --silent
          npm ls --offline > /dev/null
        `);
        expect(await sh(`cd mnt/npm/app; node -p 'require("linked") + require("packed")'`)).toBe('linkedpacked\n');
        expect(await sh('mnt/npm/app/node_modules/.bin/packed')).toBe('ran packed\n');
      },
      TEST_MAX_MS,
    );

    test(
      'SQLite keeps its databases whole, with a write-ahead log and with a rollback journal',
      async () => {
        await sh(`
          mkdir mnt/sqlite
          transactions() {
            echo "PRAGMA journal_mode=$1; CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT, n INTEGER); CREATE INDEX by_n ON t(n);"
            for i in $(seq ${opts.transactions}); do
              echo "BEGIN; INSERT INTO t(text, n) VALUES(hex(randomblob(50)), $i); UPDATE t SET n = n + 1 WHERE id = $i / 2; COMMIT;"
            done
          }
          for mode in wal delete; do
            transactions $mode | sqlite3 -bail mnt/sqlite/$mode.db > $mode.out & eval "$mode=$!"
          done
          # a reader beside the writer, which sees a whole database whenever it looks
          while kill -0 $wal 2>/dev/null; do
            if [ -s mnt/sqlite/wal.db ]; then sqlite3 -cmd '.timeout 20000' mnt/sqlite/wal.db 'PRAGMA quick_check'; fi
            sleep 0.3
          done > reader.out
          wait $wal; wait $delete
          cat wal.out delete.out
        `).then((out) => expect(out).toBe('wal\ndelete\n'));
        expect(await sh('sort -u reader.out')).toMatch(/^(ok\n)?$/);
        expect(await sh(checkDatabases)).toBe(databasesWhole);
      },
      TEST_MAX_MS,
    );

    const checkDatabases =
      'for mode in wal delete; do sqlite3 mnt/sqlite/$mode.db "PRAGMA integrity_check; SELECT count(*) FROM t"; done';
    const databasesWhole = `ok\n${opts.transactions}\n`.repeat(2);

    test(
      'fio reads back what it wrote',
      async () => {
        await sh(fio('buffered', 'write'));
        await sh(fio('direct', 'write'));
      },
      TEST_MAX_MS,
    );

    /** Random writes, verified by checksum; `mode` 'read' verifies what an earlier run wrote. */
    const fio = (kind: 'buffered' | 'direct', mode: 'write' | 'read'): string =>
      [
        `fio --name=${kind} --filename=mnt/fio-${kind} --rw=randwrite --size=${opts.fioBytes} --ioengine=psync`,
        kind === 'direct' ? '--direct=1 --bs=16k' : '--bs=4k --fsync=1000',
        '--verify=crc32c --verify_fatal=1 --verify_state_save=0 --output-format=terse',
        mode === 'read' ? '--verify_only' : '--do_verify=1',
      ].join(' ');

    test(
      'a sparse file of 5 GiB has its size, its blocks and its holes',
      async () => {
        await sh(`
          head -c ${MiB} /dev/urandom > sample
          for at in 0 ${2.5 * GiB} ${5 * GiB - MiB}; do
            dd if=sample of=mnt/sparse bs=1M seek=$at oflag=seek_bytes conv=notrunc status=none
          done
        `);
        expect(await sh(checkSparse)).toBe(sparseRight);
        if (LONG) await sh('cp --sparse=always mnt/sparse copy; cmp copy mnt/sparse; rm copy');
      },
      TEST_MAX_MS,
    );

    const checkSparse = `
      stat -c '%s %b' mnt/sparse
      for at in 0 ${2.5 * GiB} ${5 * GiB - MiB}; do
        dd if=mnt/sparse bs=1M count=1 skip=$at iflag=skip_bytes status=none | cmp - sample
      done
      for at in ${MiB} ${GiB - 1000} ${2.5 * GiB - MiB} ${5 * GiB - 2 * MiB}; do
        dd if=mnt/sparse bs=1M count=1 skip=$at iflag=skip_bytes status=none | cmp -n ${MiB} - /dev/zero
      done`;
    const sparseRight = `${5 * GiB} ${(3 * MiB) / 512}\n`;

    test(
      'everything is the same after an unmount, a new service and a new mount with an empty cache',
      async () => {
        await sh(`${HERE}/manifest.sh mnt > before`);
        await cluster.umount('mnt');
        await cluster.waitNothingLeft();
        expect(await cluster.stopService()).toBe(0);
        await cluster.restartService();
        await cluster.mount('mnt', { cacheDir: cluster.cacheDir('empty') });
        await sh(`${HERE}/manifest.sh mnt > after`);
        expect(await sh('diff -a before after | head -n 40')).toBe('');
        expect(Number(await sh('wc -l < before'))).toBeGreaterThan(1000);

        expect(await sh('git -C mnt/repo fsck --full --strict --no-progress 2>&1')).toBe('');
        expect(await sh('git -C mnt/repo status --porcelain --ignored')).toBe('');
        expect(await sh('rsync -aHX --checksum --delete -n -i tree/ mnt/tar/')).toBe('');
        expect(await sh(checkDatabases)).toBe(databasesWhole);
        await sh(fio('buffered', 'read'));
        await sh(fio('direct', 'read'));
        expect(await sh(checkSparse)).toBe(sparseRight);
      },
      TEST_MAX_MS,
    );

    test(
      'everything can be removed, and takes no space then',
      async () => {
        expect(await sh('rm -rf mnt/*; ls -A mnt')).toBe('');
        const [, , used] = (await sh('df --output=source,size,used -B1 mnt | tail -n 1')).split(/\s+/);
        expect(used).toBe('0');
      },
      TEST_MAX_MS,
    );
  });
}
