import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Cluster } from '../../helpers/cluster.js';
import { built, command, describeIf, devFuse, root } from '../../helpers/prerequisites.js';
import { type Answer, parseCase, type Step } from './case.js';
import { randomCalls } from './random-calls.js';
import { execute } from './run-cases.js';

const LONG = process.env['CURVEFS_TEST_LONG'] === '1';
const SEED = Number(process.env['CURVEFS_TEST_SEED'] ?? 20261120);
/** The whole tree is compared after so many calls. */
const DUMP_EVERY = 25;

const kernel = describeIf(root, devFuse, built, command('python3'));

/** Random calls of several users on a mount and on a tmpfs at once: every result, errno, attribute and byte must be the same. */
kernel('a mount beside a local filesystem', () => {
  let cluster: Cluster;
  let runs = 0;

  beforeAll(async () => {
    cluster = await Cluster.create();
    await cluster.mount('mnt', { options: 'suid,dev' });
    cluster.box.mkdir('reference');
    await cluster.box.sh('chmod 711 . && mount -t tmpfs -o mode=755 none reference');
  }, 90_000);

  afterAll(async () => {
    await cluster.close();
  }, 60_000);

  const compare = async (prefix: string, lines: readonly string[]): Promise<void> => {
    const script = parseCase(
      lines.flatMap((line, i) => (i % DUMP_EVERY === 0 ? ['dump', line] : [line])).join('\n') + '\ndump',
    );
    const mount = await execute(cluster.box, 'mnt', prefix, [script]);
    const reference = await execute(cluster.box, 'reference', prefix, [script]);
    expect(mount.failure ?? reference.failure).toBeUndefined();
    for (const [i, step] of script.entries()) {
      const wrong = difference(step, mount.answers[0]![i]!, reference.answers[0]![i]!);
      if (wrong !== undefined) throw new Error(`${wrong}\nafter\n${shown(script.slice(0, i + 1))}`);
    }
  };

  test(
    'the same results, attributes and bytes',
    async () => {
      const property = fc.asyncProperty(randomCalls(250), async (lines) => {
        await compare(`r${runs++}-`, lines);
      });
      await fc.assert(property, {
        seed: SEED,
        numRuns: LONG ? 400 : 30,
        interruptAfterTimeLimit: LONG ? 1_200_000 : 60_000,
      });
    },
    LONG ? 1_300_000 : 110_000,
  );

  test(
    'also after the mount was made anew',
    async () => {
      const property = fc.asyncProperty(randomCalls(200), randomCalls(100), async (before, after) => {
        const prefix = `r${runs++}-`;
        await compare(prefix, before);
        await cluster.umount('mnt');
        await cluster.mount('mnt', { options: 'suid,dev' });
        await compare(prefix, after);
      });
      await fc.assert(property, {
        seed: SEED + 1,
        numRuns: LONG ? 40 : 3,
        interruptAfterTimeLimit: LONG ? 1_200_000 : 60_000,
      });
    },
    LONG ? 1_300_000 : 110_000,
  );
});

function difference(step: Step, mount: Answer, reference: Answer): string | undefined {
  const [got, wanted] = [comparable(mount), comparable(reference)];
  if (step.call === 'dump' && typeof mount[1] === 'object' && typeof reference[1] === 'object') {
    const trees = [mount[1] ?? {}, reference[1] ?? {}] as const;
    const path = [...new Set(trees.flatMap((tree) => Object.keys(tree)))].find(
      (key) => trees[0][key] !== trees[1][key],
    );
    return path === undefined ? undefined : `${path} is\n  ${String(trees[0][path])}, not\n  ${String(trees[1][path])}`;
  }
  return got === wanted ? undefined : `${step.line}: ${got}, not ${wanted}`;
}

/** Without what no two filesystems share: inode numbers, the moment of "now", the size of directories, blocks of what is on its way. */
function comparable(answer: Answer): string {
  const value = answer[1];
  if (typeof value !== 'object' || value === null) return JSON.stringify(answer);
  const { type, mode, nlink, uid, gid, size } = value;
  return JSON.stringify({ type, mode, nlink, uid, gid, size: type === 'dir' ? undefined : size });
}

const shown = (steps: readonly Step[]): string =>
  steps
    .filter(({ call }) => call !== 'dump')
    .map(({ line }) => line.replace(/Z{20,}/, 'Z…'))
    .join('\n');
