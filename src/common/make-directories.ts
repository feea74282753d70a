import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { nodeErrorCode } from './fs-error.js';

/**
 * Makes a directory and its missing parents, as `mkdir -p` does; for start-up: it is synchronous. Throws Node's error.
 * Node's own `recursive` never returns where making a directory in an existing one says ENOENT, as procfs and sysfs do.
 */
export function makeDirectories(path: string, mode = 0o777): void {
  if (makeOne(path, mode) === 'no-parent') {
    makeDirectories(dirname(path), mode);
    mkdirSync(path, mode);
  }
}

function makeOne(path: string, mode: number): 'there' | 'no-parent' {
  try {
    mkdirSync(path, mode);
    return 'there';
  } catch (error) {
    const code = nodeErrorCode(error);
    if (code === 'ENOENT' && dirname(path) !== path) return 'no-parent';
    if (code === 'EEXIST' && statSync(path).isDirectory()) return 'there';
    throw error;
  }
}
