import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelSandbox } from '../../helpers/kernel.js';
import { type Answer, type Case, judge, parseCase, type Step } from './case.js';
import { USERS } from './users.js';

const PROGRAM = join(import.meta.dirname, 'syscalls.py');

/**
 * Runs the calls of each script in a directory `<prefix>N`, made where it is missing, of a directory of the sandbox. Fewer results than scripts mean that the
 * run ended early, for the reason in `failure`.
 */
export async function execute(
  box: KernelSandbox,
  directory: string,
  prefix: string,
  scripts: readonly (readonly Step[])[],
): Promise<{ readonly answers: readonly (readonly Answer[])[]; readonly failure: string | undefined }> {
  const job = {
    root: box.path(directory),
    prefix,
    users: USERS,
    cases: scripts.map((steps) => steps.map(({ user, call, args }) => ({ user, call, args }))),
  };
  const jobFile = box.path(`${prefix}.job`);
  const resultFile = box.path(`${prefix}.result`);
  writeFileSync(jobFile, JSON.stringify(job));
  const run = await box.run(`python3 '${PROGRAM}' < '${jobFile}' > '${resultFile}'`, { timeoutMs: 110_000 });
  const lines = readFileSync(resultFile, 'utf8').split('\n').filter(Boolean);
  rmSync(jobFile);
  rmSync(resultFile);
  const answers = lines.map((line) => JSON.parse(line) as Answer[]);
  const complete = run.status === 0 && answers.length === scripts.length;
  return { answers, failure: complete ? undefined : run.timedOut ? 'time-out' : run.stderr };
}

/** Runs the rows of a table; returns a line for each that went wrong. */
export async function runCases(
  box: KernelSandbox,
  directory: string,
  prefix: string,
  cases: readonly Case[],
): Promise<string[]> {
  const scripts = cases.map(({ script }) => parseCase(script));
  const { answers, failure } = await execute(box, directory, prefix, scripts);
  const wrong = answers.flatMap((found, index) => {
    const problem = judge(scripts[index]!, found);
    return problem === undefined ? [] : [`${cases[index]!.name}: ${problem}`];
  });
  if (failure === undefined) return wrong;
  return [...wrong, `the run ended at case "${cases[answers.length]?.name}": ${failure}`];
}
