import { readFileSync } from 'node:fs';

const bit = (signal: number): bigint => 1n << BigInt(signal - 1);
/** SIGCHLD, SIGCONT, the stopping ones, SIGURG and SIGWINCH: left to their default they end nothing, signal(7). */
const HARMLESS = [17, 18, 19, 20, 21, 22, 23, 28].reduce((mask, signal) => mask | bit(signal), 0n);

/** Whether a thread is about to end; undefined when that cannot be seen. */
export type IsDying = (tid: number) => boolean | undefined;

/**
 * Reads /proc/<tid>/status: a signal is pending that is neither blocked, ignored nor caught, and ends the process. (SIGKILL alone would not do: the kernel makes it of another deadly
 * signal only where none was pending before.) Synchronous: procfs never waits for a disk, nor for the thread that it tells of.
 */
export const isDying: IsDying = (tid) => {
  if (tid === 0) return undefined; // of a pid namespace that is not ours
  try {
    return parseDying(readFileSync(`/proc/${tid}/status`, 'latin1'));
  } catch {
    return undefined; // not there, or not to be seen: that is what undefined says
  }
};

/** As {@link isDying}, of the text of a status file. */
export function parseDying(status: string): boolean | undefined {
  const masks = new Map(
    [...status.matchAll(/^(SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt):\t([0-9a-f]+)$/gm)].map(
      ([, name, hex]) => [name, BigInt(`0x${hex}`)] as const,
    ),
  );
  const mask = (name: string): bigint => masks.get(name) ?? 0n;
  if (!masks.has('SigPnd')) return undefined;
  const pending = mask('SigPnd') | mask('ShdPnd');
  return (pending & ~(mask('SigBlk') | mask('SigIgn') | mask('SigCgt') | HARMLESS)) !== 0n;
}
