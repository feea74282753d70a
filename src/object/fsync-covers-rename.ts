import { readFileSync } from 'node:fs';

/**
 * File systems whose fsync(2) of a file makes an earlier rename(2) of it durable as well: the rename changes the inode (its ctime), and the fsync commits the log up to the
 * last change of the inode: the whole transaction on ext4 and xfs (without a journal, ext4 syncs the parent of a new entry), the names of the inode on btrfs
 * (xfstests generic/322). fsync(2) itself promises only the file, so elsewhere the directory is synced too.
 */
const COVERING = ['ext4', 'xfs', 'btrfs'];

/** Whether the file system of an open directory is one of them, by the mount that the descriptor is on; false when the kernel does not tell. */
export function fsyncCoversRename(fd: number): boolean {
  try {
    const mount = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    // proc_pid_mountinfo(5): the mount's id is first, the type follows the separator " - ".
    const line = readFileSync('/proc/self/mountinfo', 'latin1')
      .split('\n')
      .find((each) => each.startsWith(`${mount} `));
    return COVERING.includes(/ - (\S+) /.exec(line ?? '')?.[1] ?? '');
  } catch {
    return false;
  }
}
