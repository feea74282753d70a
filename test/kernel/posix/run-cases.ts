import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelSandbox } from '../../helpers/kernel.js';
import { type Answer, type Case, judge, parseCase } from './case.js';
import { USERS } from './users.js';

const PROGRAM = join(import.meta.dirname, 'syscalls.py');

/** Runs the cases in directories `<prefix>N` of a directory of the sandbox; returns a line for each case that went wrong. */
export async function runCases(
  box: KernelSandbox,
  directory: string,
  prefix: string,
  cases: readonly Case[],
): Promise<string[]> {
  const parsed = cases.map(({ script }) => parseCase(script));
  const job = {
    root: box.path(directory),
    prefix,
    users: USERS,
    cases: parsed.map((steps) => steps.map(({ user, call, args }) => ({ user, call, args }))),
  };
  const jobFile = box.path(`${prefix}.job`);
  const resultFile = box.path(`${prefix}.result`);
  writeFileSync(jobFile, JSON.stringify(job));
  const run = await box.run(`python3 '${PROGRAM}' < '${jobFile}' > '${resultFile}'`, { timeoutMs: 120_000 });
  const lines = readFileSync(resultFile, 'utf8').split('\n').filter(Boolean);
  const wrong = lines.flatMap((line, index) => {
    const problem = judge(parsed[index]!, JSON.parse(line) as Answer[]);
    return problem === undefined ? [] : [`${cases[index]!.name}: ${problem}`];
  });
  if (run.status === 0 && lines.length === cases.length) return wrong;
  return [...wrong, `the run ended at case "${cases[lines.length]?.name}": ${run.timedOut ? 'time-out' : run.stderr}`];
}
