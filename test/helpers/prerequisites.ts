import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from '@jest/globals';

/** Something of the machine that a suite needs. */
export interface Prerequisite {
  /** For people: what is missing. */
  readonly name: string;
  readonly present: boolean;
}

/** To mount, to change owners, to make namespaces. */
export const root: Prerequisite = { name: 'root', present: process.getuid?.() === 0 };

/** A kernel with FUSE, and permission to use it. */
export const devFuse: Prerequisite = {
  name: '/dev/fuse',
  present: accessible('/dev/fuse', constants.R_OK | constants.W_OK),
};

/** The programs are built: what is spawned runs from dist/. */
export const built: Prerequisite = { name: 'dist/ (npm run build)', present: accessible('dist/bin/curvefs.js') };

/** A program in PATH. */
export function command(name: string): Prerequisite {
  const directories = (process.env['PATH'] ?? '').split(':').filter((directory) => directory !== '');
  return {
    name: `command ${name}`,
    present: directories.some((directory) => accessible(join(directory, name), constants.X_OK)),
  };
}

/** Anything else, found out by the suite itself. */
export function having(name: string, present: boolean): Prerequisite {
  return { name, present };
}

/**
 * `describeIf(root, devFuse, command('fio'))('name', () => { … })`: describes the suite where all is there. Otherwise it is skipped, and `npm test` lists it with
 * what is missing; under CURVEFS_REQUIRE_ALL=1 it fails instead.
 */
export function describeIf(...needed: readonly Prerequisite[]): (name: string, body: () => void) => void {
  const missing = needed.filter(({ present }) => !present).map(({ name }) => name);
  return (name, body) => {
    if (missing.length === 0) {
      describe(name, body);
      return;
    }
    const reason = `${name} (missing: ${missing.join(', ')})`;
    if (process.env['CURVEFS_REQUIRE_ALL'] === '1') {
      test(name, () => {
        throw new Error(reason);
      });
      return;
    }
    describe.skip(reason, body);
  };
}

function accessible(path: string, mode = constants.F_OK): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
