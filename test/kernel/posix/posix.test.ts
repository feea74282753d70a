import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';
import type { Case } from './case.js';
import { runCases } from './run-cases.js';
import { DATA } from './tables/data.js';
import { ERRORS } from './tables/errors.js';
import { NAMESPACE } from './tables/namespace.js';
import { OWNERSHIP } from './tables/ownership.js';
import { LINKS } from './tables/links.js';
import { PERMISSIONS } from './tables/permissions.js';
import { SPECIAL_FILES } from './tables/special-files.js';
import { STICKY } from './tables/sticky.js';
import { TIMES } from './tables/times.js';
import { XATTRS } from './tables/xattrs.js';

const TABLES: Readonly<Record<string, readonly Case[]>> = {
  errors: ERRORS,
  links: LINKS,
  permissions: PERMISSIONS,
  'special-files': SPECIAL_FILES,
  sticky: STICKY,
  ownership: OWNERSHIP,
  times: TIMES,
  namespace: NAMESPACE,
  data: DATA,
  xattrs: XATTRS,
};

/**
 * Each table runs on a mount, and on a tmpfs beside it, which proves that the expectations are what Linux does and not what we make of it.
 */
const kernel = describeIf(root, devFuse, built, command('python3'));

kernel('POSIX', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt', { options: 'suid,dev' });
    cluster.box.mkdir('reference');
    // The users of the cases must reach what lies in the sandbox.
    await cluster.box.sh('chmod 711 . && mount -t tmpfs -o mode=755 none reference');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  for (const [name, cases] of Object.entries(TABLES)) {
    test(`${name}: ${cases.length} cases`, async () => {
      expect(await runCases(cluster.box, 'mnt', name, cases)).toEqual([]);
    }, 120_000);

    test(`${name}: a local filesystem does the same`, async () => {
      const comparable = cases.filter(({ mountOnly }) => mountOnly === undefined);
      expect(await runCases(cluster.box, 'reference', name, comparable)).toEqual([]);
    }, 60_000);
  }
});
