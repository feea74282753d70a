import { readFileSync } from 'node:fs';

/**
 * Number of a descriptor's FUSE connection: the name of its directory in /sys/fs/fuse/connections. Asking stat(2) of the mountpoint for it
 * would be a request to ourselves. Undefined on kernels that do not show it.
 */
export function fuseConnectionId(fd: number): number | undefined {
  const match = /^fuse_connection:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
  return match === null ? undefined : Number(match[1]);
}
