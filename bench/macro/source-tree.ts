/** A synthetic source tree as a tarball: the same for every target and every run. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const FILES_PER_DIRECTORY = 20;

/** File sizes as in a source tree: mostly a few KiB, a few large ones. */
const sizeOf = (i: number): number => (i % 50 === 0 ? 65_536 : 500 + ((i * 7919) % 12_000));

let made: Promise<{ tarball: string; entries: number }> | undefined;

/** Makes the tarball once per run of the benchmark; it lies in the machine's temporary directory and goes when the process ends. */
export function sourceTarball(entries: number): Promise<{ tarball: string; entries: number }> {
  made ??= make(entries);
  return made;
}

/** Removes the tarball. */
export async function removeSourceTarball(): Promise<void> {
  if (made !== undefined) await rm(join((await made).tarball, '..'), { recursive: true, force: true });
}

async function make(entries: number): Promise<{ tarball: string; entries: number }> {
  const root = await mkdtemp(join(tmpdir(), 'curvefs-bench-'));
  const tree = join(root, 'tree');
  let count = 0;
  for (let d = 0; count < entries; d++) {
    const dir = join(tree, `pkg${Math.floor(d / 10)}`, `mod${d}`);
    await mkdir(dir, { recursive: true });
    count++;
    for (let f = 0; f < FILES_PER_DIRECTORY && count < entries; f++, count++) {
      await writeFile(join(dir, `source${f}.c`), Buffer.alloc(sizeOf(count), `line ${count}\n`));
    }
  }
  const tarball = join(root, 'tree.tar');
  await promisify(execFile)('tar', ['-cf', tarball, '-C', tree, '.']);
  await rm(tree, { recursive: true });
  await stat(tarball);
  return { tarball, entries: count };
}
