import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { nodeErrorCode } from '../common/fs-error.js';
import type { ObjectInfo } from './object-store.js';

export interface ListQuery {
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
}

/**
 * Walks the files below `root` in key order and returns those that {@link ListQuery} asks for.
 * `/` sorts before digits and letters and after `-` and `.`: a directory takes its place as its name with a slash behind.
 * Subtrees that cannot hold an answer are not read. `check` is called before each directory, to stop by throwing.
 */
export async function listFiles(root: string, query: ListQuery, check: () => void): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  await walk(root, '', query, check, found);
  return found;
}

async function walk(
  root: string,
  base: string,
  query: ListQuery,
  check: () => void,
  found: ObjectInfo[],
): Promise<void> {
  check();
  for (const { entry, path } of await sortedEntries(root, base)) {
    if (found.length >= query.limit) return;
    if (entry.isDirectory()) {
      if (mayContain(path, query)) await walk(root, path, query, check, found);
    } else if (entry.isFile() && path.startsWith(query.prefix) && path > query.after) {
      const size = await sizeOf(`${root}/${path}`);
      if (size !== undefined) found.push({ key: path, size });
    }
  }
}

/** Whether a key that begins with `directory` (with its slash) can match the prefix and be greater than `after`. */
function mayContain(directory: string, { prefix, after }: ListQuery): boolean {
  const onPrefix = directory.startsWith(prefix) || prefix.startsWith(directory);
  return onPrefix && (directory > after || after.startsWith(directory));
}

async function sortedEntries(root: string, base: string): Promise<{ entry: Dirent; path: string }[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(`${root}/${base}`, { withFileTypes: true });
  } catch (error) {
    // Removed since its parent was read; the root itself is held open.
    if (nodeErrorCode(error) === 'ENOENT' && base !== '') return [];
    throw error;
  }
  return entries
    .filter((entry) => /^[A-Za-z0-9._-]+$/.test(entry.name))
    .map((entry) => ({ entry, path: entry.isDirectory() ? `${base}${entry.name}/` : `${base}${entry.name}` }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (nodeErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
