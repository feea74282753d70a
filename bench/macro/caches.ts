import { writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** True when this process may empty the page cache (root): the measures are then called cold. */
export const mayDropCaches = process.getuid?.() === 0;

/** Writes dirty pages back and drops page cache, dentries and inodes of the machine (proc_sys_vm(5)), when allowed. */
export async function dropCaches(): Promise<void> {
  if (!mayDropCaches) return;
  await promisify(execFile)('sync');
  await writeFile('/proc/sys/vm/drop_caches', '3');
}
