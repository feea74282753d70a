/**
 * `node tools/dev/test.js [PROJECT…] [-- JEST ARGUMENTS]`: runs the test projects (all, or those named), from dist/ where they spawn programs.
 *
 * unit, conformance and model run in parallel, a file per core; integration, fault and kernel two files at a time on any machine: each has mounts and ports of its own and mostly waits, but
 * what it measures and times out on is the machine's. Ends with what was skipped and why, and a line of totals. Under CURVEFS_REQUIRE_ALL=1 nothing is skipped for a missing prerequisite: it fails.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';

const ROOT = join(import.meta.dirname, '..', '..');
const JEST = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
const GROUPS = [['unit', 'conformance', 'model'], ['integration'], ['fault'], ['kernel']];
const PARALLEL = 'unit';
/** Test files at a time of the projects that mount. */
const HEAVY_FILES = 2;
/** A project that takes longer hangs. */
const GROUP_MINUTES_MAX = 45;
/** Jest waits for ever for handles that a test left open; that is a failure, not a reason to wait. */
const EXIT_SECONDS_MAX = 20;

const split = process.argv.indexOf('--');
const wanted = process.argv.slice(2, split < 0 ? undefined : split);
const jestArgs = split < 0 ? [] : process.argv.slice(split + 1);
const unknown = wanted.filter((name) => !GROUPS.flat().includes(name));
if (unknown.length > 0) {
  console.error(`unknown test project ${unknown.join(', ')}; there are ${GROUPS.flat().join(', ')}`);
  process.exit(2);
}

const work = mkdtempSync(join(tmpdir(), 'curvefs-test-'));
const totals = { passed: 0, failed: 0, skipped: 0 };
const problems = [];
const skippedSuites = new Set();

for (const group of GROUPS) {
  const projects = group.filter((name) => (wanted.length === 0 || wanted.includes(name)) && hasTests(name));
  if (projects.length > 0) await runProjects(projects);
}

if (skippedSuites.size > 0) console.log('\nSkipped suites:');
for (const line of skippedSuites) console.log(`  ${line}`);
rmSync(work, { recursive: true });
for (const problem of problems) console.log(`\n${problem}`);
console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exit(totals.failed > 0 || problems.length > 0 ? 1 : 0);

function hasTests(project) {
  const directory = join(ROOT, 'test', project);
  return existsSync(directory) && readdirSync(directory, { recursive: true }).some((name) => name.endsWith('.test.ts'));
}

/** Runs jest once and adds its numbers to the totals. */
async function runProjects(projects) {
  const name = projects.join(', ');
  console.log(`\n== ${name}`);
  const resultFile = join(work, `${projects.join('-')}.json`);
  const args = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    JEST,
    '--selectProjects',
    ...projects,
  ];
  if (!projects.includes(PARALLEL)) args.push('-w', String(HEAVY_FILES));
  args.push('--passWithNoTests', '--json', `--outputFile=${resultFile}`, ...jestArgs);
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    // --json prints the result on stdout; the report for people goes to stderr
    stdio: ['inherit', 'ignore', 'inherit'],
  });
  const end = await waitFor(child, resultFile);
  if (!existsSync(resultFile)) {
    problems.push(`${name}: jest ended without a result (${end})`);
    return;
  }
  const result = JSON.parse(readFileSync(resultFile, 'utf8'));
  totals.passed += result.numPassedTests;
  // a file that could not be run has no tests to count
  totals.failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
  totals.skipped += result.numPendingTests + result.numTodoTests;
  for (const file of result.testResults) {
    const skipped = file.assertionResults.filter(({ status }) => status === 'pending');
    const titles = new Set(skipped.map(({ ancestorTitles, title }) => ancestorTitles[0] ?? title));
    for (const title of titles) skippedSuites.add(`${relative(ROOT, file.name)}: ${title}`);
  }
  if (!result.success && result.numFailedTests + result.numRuntimeErrorTestSuites === 0)
    problems.push(`${name}: jest failed (${end})`);
  if (end === 'killed')
    problems.push(`${name}: the tests were done, but something they left open kept jest from ending`);
}

/** The end of jest: how it exited, or 'killed' when it did not within the limits. */
function waitFor(child, resultFile) {
  return new Promise((resolve) => {
    const startMs = Date.now();
    let doneMs;
    const timer = setInterval(() => {
      const nowMs = Date.now();
      if (doneMs === undefined && existsSync(resultFile)) doneMs = nowMs;
      const late = nowMs - startMs > GROUP_MINUTES_MAX * 60_000;
      const stuck = doneMs !== undefined && nowMs - doneMs > EXIT_SECONDS_MAX * 1000;
      if (late || stuck) {
        clearInterval(timer);
        child.kill('SIGKILL');
        resolve('killed');
      }
    }, 500);
    child.on('exit', (code, signal) => {
      clearInterval(timer);
      resolve(signal ?? `exit code ${code}`);
    });
  });
}
