import { afterAll, beforeAll, test } from '@jest/globals';
import { join } from 'node:path';
import { Cluster } from '../../helpers/cluster.js';
import { PROJECT_ROOT } from '../../helpers/kernel.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';

const kernel = describeIf(root, devFuse, built, command('python3'));

/** Where random numbers begin; another one with CURVEFS_FSX_SEED. */
const SEED = Number(process.env['CURVEFS_FSX_SEED'] ?? 1);
/** Runs of so many operations with a remount between them; CURVEFS_FSX_RUNS makes it a soak. */
const RUNS = Number(process.env['CURVEFS_FSX_RUNS'] ?? 4);
const OPERATIONS = 150;

/** Every way to change and read content against a shadow copy, over the borders of frames, pages and blocks, with remounts in between. */
kernel('random changes of a file against a shadow copy', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.create();
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  const soak = async (name: string, options: string): Promise<void> => {
    const program = join(PROJECT_ROOT, 'test', 'kernel', 'posix', 'fsx.py');
    for (let run = 0; run < RUNS; run++) {
      await cluster.mount(name, { options });
      const args = `${name}/${name}.bin ${cluster.box.path(`${name}.shadow`)} ${SEED + run} ${OPERATIONS}`;
      await cluster.box.sh(`python3 '${program}' ${args}`, { timeoutMs: 120_000 });
      await cluster.umount(name);
    }
  };

  test('with the default options', () => soak('plain', 'rw'), 150_000 * RUNS);

  test('with write-back', () => soak('writeback', 'writeback'), 150_000 * RUNS);
});
