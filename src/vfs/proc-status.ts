import { readFileSync } from 'node:fs';

/** What the kernel says of a thread's identity, proc_pid_status(5). */
export interface ThreadIdentity {
  /** The uid and gid that file access is checked with. */
  readonly fsuid: number;
  readonly fsgid: number;
  readonly groups: ReadonlySet<number>;
  /** Effective capabilities as a bit mask. */
  readonly capabilities: bigint;
}

/** Reads a thread's identity; undefined when it is gone or may not be seen. */
export type ReadThreadIdentity = (tid: number) => ThreadIdentity | undefined;

/** Reads /proc/<tid>/status: synchronous, as procfs never waits for a disk, and a turn of the event loop costs more than the read. */
export const readProcStatus: ReadThreadIdentity = (tid) => {
  try {
    return parseProcStatus(readFileSync(`/proc/${tid}/status`, 'latin1'));
  } catch {
    return undefined; // the thread has ended or lives in another pid namespace: that is what undefined says
  }
};

/** The identity in the text of a status file; undefined when a line is missing. */
export function parseProcStatus(text: string): ThreadIdentity | undefined {
  const uid = /^Uid:\t\d+\t\d+\t\d+\t(\d+)$/m.exec(text);
  const gid = /^Gid:\t\d+\t\d+\t\d+\t(\d+)$/m.exec(text);
  const groups = /^Groups:\t?([\d ]*)$/m.exec(text);
  const capabilities = /^CapEff:\t([0-9a-f]+)$/m.exec(text);
  if (uid === null || gid === null || groups === null || capabilities === null) return undefined;
  return {
    fsuid: Number(uid[1]),
    fsgid: Number(gid[1]),
    groups: new Set((groups[1] ?? '').split(' ').filter(Boolean).map(Number)),
    capabilities: BigInt(`0x${capabilities[1]}`),
  };
}
