/**
 * The macro workloads: each is a list of measures taken one after another in an empty directory of the target, with cold caches between
 * phases when we may drop them. All figures are "more is better".
 */
import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dropCaches } from './caches.js';
import { runLoad } from './load.js';
import { sourceTarball } from './source-tree.js';
import type { Job } from './worker.js';

export interface Scale {
  /** Bytes of the sequential file; the parallel jobs share it. */
  readonly fileBytes: number;
  readonly randomSeconds: number;
  /** Files that one process creates; eight processes create as many each. */
  readonly files: number;
  readonly smallFiles: number;
  /** Entries of the source tree. */
  readonly treeEntries: number;
}

export interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
}

export interface Workload {
  readonly name: string;
  run(dir: string, scale: Scale): AsyncGenerator<Measure>;
}

const MIB = 2 ** 20;
const exec = promisify(execFile);

const perSecond = (result: { count: number; seconds: number }): number => result.count / result.seconds;

async function* fileIo(dir: string, scale: Scale, processes: number): AsyncGenerator<Measure> {
  const label = processes === 1 ? '' : `, ${processes} processes`;
  const path = (i: number): string => join(dir, `file${i}`);
  const each = (job: (path: string) => Job): Job[] => Array.from({ length: processes }, (_, i) => job(path(i)));
  const sizeBytes = scale.fileBytes / processes;
  const write = await runLoad(each((p) => ({ kind: 'write', path: p, sizeBytes, ioBytes: MIB })));
  yield { name: `sequential write 1 MiB + close${label}`, unit: 'MiB/s', value: perSecond(write) / MIB };
  await dropCaches();
  const read = await runLoad(each((p) => ({ kind: 'read', path: p, ioBytes: MIB })));
  yield { name: `sequential read 1 MiB, cold${label}`, unit: 'MiB/s', value: perSecond(read) / MIB };
  const again = await runLoad(each((p) => ({ kind: 'read', path: p, ioBytes: MIB })));
  yield { name: `sequential read 1 MiB, warm${label}`, unit: 'MiB/s', value: perSecond(again) / MIB };
  await dropCaches();
  const randread = await runLoad(
    each((p) => ({ kind: 'randread', path: p, ioBytes: 4096, seconds: scale.randomSeconds })),
  );
  yield { name: `random read 4 KiB, cold${label}`, unit: 'op/s', value: perSecond(randread) };
  const randwrite = await runLoad(
    each((p) => ({ kind: 'randwrite', path: p, ioBytes: 4096, seconds: scale.randomSeconds })),
  );
  const writing = randwrite.count / (randwrite.seconds - randwrite.closeSeconds);
  yield { name: `random write 4 KiB${label}`, unit: 'op/s', value: writing };
  yield { name: `random write 4 KiB + close${label}`, unit: 'op/s', value: perSecond(randwrite) };
}

async function* metadata(dir: string, scale: Scale, processes: number): AsyncGenerator<Measure> {
  const label = processes === 1 ? '' : `, ${processes} processes`;
  const dirs = Array.from({ length: processes }, (_, i) => join(dir, `d${i}`));
  for (const each of dirs) await mkdir(each);
  const create = await runLoad(dirs.map((each) => ({ kind: 'create', dir: each, count: scale.files })));
  yield { name: `create${label}`, unit: 'files/s', value: perSecond(create) };
  await dropCaches();
  const walk = await runLoad([{ kind: 'walk', dir }]);
  yield { name: `walk + stat${label}`, unit: 'entries/s', value: perSecond(walk) };
  await dropCaches();
  const readdir = await runLoad(dirs.map((each) => ({ kind: 'readdir', dir: each })));
  yield { name: `readdir${label}`, unit: 'entries/s', value: perSecond(readdir) };
  const unlink = await runLoad(dirs.map((each) => ({ kind: 'unlink', dir: each })));
  yield { name: `unlink${label}`, unit: 'files/s', value: perSecond(unlink) };
}

async function* smallFiles(dir: string, scale: Scale): AsyncGenerator<Measure> {
  const job = { kind: 'smallwrite', dir, count: scale.smallFiles, sizeBytes: 128 * 1024 } as const;
  yield { name: '128 KiB create + write + close', unit: 'files/s', value: perSecond(await runLoad([job])) };
  await dropCaches();
  const read = await runLoad([{ kind: 'smallread', dir }]);
  yield { name: '128 KiB open + read + close, cold', unit: 'files/s', value: perSecond(read) };
}

async function* sourceTree(dir: string, scale: Scale): AsyncGenerator<Measure> {
  const { tarball, entries } = await sourceTarball(scale.treeEntries);
  const timed = async (command: string, args: readonly string[]): Promise<number> => {
    const start = performance.now();
    await exec(command, args, { cwd: '/', maxBuffer: 256 * MIB });
    return entries / ((performance.now() - start) / 1000);
  };
  const tree = join(dir, 'tree');
  await mkdir(tree);
  yield { name: 'untar', unit: 'entries/s', value: await timed('tar', ['-xf', tarball, '-C', tree]) };
  await dropCaches();
  yield { name: 'ls -lR', unit: 'entries/s', value: await timed('ls', ['-lR', tree]) };
  yield { name: 'rm -rf', unit: 'entries/s', value: await timed('rm', ['-rf', tree]) };
}

export const WORKLOADS: readonly Workload[] = [
  { name: 'file', run: (dir, scale) => fileIo(dir, scale, 1) },
  { name: 'file4', run: (dir, scale) => fileIo(dir, scale, 4) },
  { name: 'meta', run: (dir, scale) => metadata(dir, scale, 1) },
  { name: 'meta8', run: (dir, scale) => metadata(dir, scale, 8) },
  { name: 'small', run: smallFiles },
  { name: 'tree', run: sourceTree },
];

/** Runs a workload in a fresh directory below the target, which is removed afterwards. */
export async function* runWorkload(workload: Workload, target: string, scale: Scale): AsyncGenerator<Measure> {
  const dir = join(target, `bench-${workload.name}-${process.pid}`);
  await mkdir(dir);
  try {
    await dropCaches();
    yield* workload.run(dir, scale);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
