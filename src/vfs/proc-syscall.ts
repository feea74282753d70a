import { readFileSync } from 'node:fs';
import type { IsOfdCall } from './lock-ops.js';

const FCNTL_NUMBER: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 72, arm64: 25 };
const F_OFD_GETLK = 36;
const F_OFD_SETLKW = 38;

/**
 * FUSE does not tell a lock of an open file description from one of a process; the system call that the thread waits in does, proc_pid_syscall(5). False where that cannot be known.
 */
export const isOfdCall: IsOfdCall = (tid) => {
  try {
    return isOfdSyscall(readFileSync(`/proc/${tid}/syscall`, 'latin1'), process.arch);
  } catch {
    return false; // the thread has ended, or may not be looked at
  }
};

/** The text of a syscall file: number and arguments of the call, or "running". */
export function isOfdSyscall(text: string, arch: NodeJS.Architecture): boolean {
  const [number, , command] = text.split(' ');
  const value = Number(command);
  return number === String(FCNTL_NUMBER[arch]) && value >= F_OFD_GETLK && value <= F_OFD_SETLKW;
}
