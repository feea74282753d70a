/** Starts load processes, lets them go at once, and collects what they did. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Job, JobResult } from './worker.js';

export interface LoadResult {
  /** Sum over the processes. */
  readonly count: number;
  /** From the common start to the last process's end. */
  readonly seconds: number;
  /** The longest close(2). */
  readonly closeSeconds: number;
}

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

async function startWorker(job: Job): Promise<{ go(): Promise<JobResult> }> {
  const child = spawn(process.execPath, [WORKER, JSON.stringify(job)], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const nextLine = async (): Promise<string> => {
    const line = await lines.next();
    if (!line.done) return line.value;
    const [code] = await exited;
    throw new Error(`load process for ${job.kind} ended with ${String(code)}`);
  };
  await nextLine();
  return {
    go: async () => {
      child.stdin.write('\n');
      return JSON.parse(await nextLine()) as JobResult;
    },
  };
}

/** Runs one process per job, all started at the same moment. */
export async function runLoad(jobs: readonly Job[]): Promise<LoadResult> {
  const workers = await Promise.all(jobs.map(startWorker));
  const results = await Promise.all(workers.map((worker) => worker.go()));
  return {
    count: results.reduce((sum, result) => sum + result.count, 0),
    seconds: Math.max(...results.map((result) => result.seconds)),
    closeSeconds: Math.max(...results.map((result) => result.closeSeconds)),
  };
}
