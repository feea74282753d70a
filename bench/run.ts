/**
 * `npm run bench -- --target [NAME=]DIR [--target …] [--rounds N] [--only WORKLOAD,…] [--quick] [--pid [NAME=]PID …] [--json]`
 *
 * Runs the macro workloads on each target in turn, round after round (A B A B), and prints medians and their ratios to the first target.
 * Any directory can be a target: a mount of ours, a local disk, another client's mount, the null filesystem.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { mayDropCaches } from './macro/caches.js';
import { removeSourceTarball } from './macro/source-tree.js';
import { runWorkload, WORKLOADS, type Scale } from './macro/workloads.js';

const FULL: Scale = { fileBytes: 2 ** 30, randomSeconds: 5, files: 3000, smallFiles: 1000, treeEntries: 10_000 };
const QUICK: Scale = { fileBytes: 2 ** 28, randomSeconds: 2, files: 500, smallFiles: 200, treeEntries: 1000 };

interface Target {
  readonly name: string;
  readonly value: string;
}

/** name → target → one value per round. */
type Results = Map<string, { readonly unit: string; readonly values: Map<string, number[]> }>;

function named(text: string): Target {
  const at = text.indexOf('=');
  return at === -1 ? { name: text, value: text } : { name: text.slice(0, at), value: text.slice(at + 1) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function usage(message: string): never {
  process.stderr.write(`bench: ${message}\n`);
  process.stderr.write(
    'usage: npm run bench -- --target [NAME=]DIR [--target …] [--rounds N] [--only NAME,…] [--quick] [--json]\n',
  );
  process.exit(2);
}

function parse(): {
  targets: Target[];
  pids: Target[];
  rounds: number;
  only: readonly string[];
  scale: Scale;
  json: boolean;
} {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true, default: [] },
      pid: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const targets = values.target.map(named);
  if (targets.length === 0) usage('no --target given');
  for (const target of targets) {
    if (!statSync(target.value, { throwIfNoEntry: false })?.isDirectory()) usage(`${target.value} is not a directory`);
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) usage(`--rounds must be a positive integer, not ${values.rounds}`);
  const names = WORKLOADS.map((workload) => workload.name);
  const only = values.only?.split(',') ?? names;
  for (const name of only) if (!names.includes(name)) usage(`no workload ${name}; there are ${names.join(', ')}`);
  return { targets, pids: values.pid.map(named), rounds, only, scale: values.quick ? QUICK : FULL, json: values.json };
}

async function measure(options: ReturnType<typeof parse>): Promise<Results> {
  const results: Results = new Map();
  for (let round = 0; round < options.rounds; round++) {
    for (const workload of WORKLOADS.filter((each) => options.only.includes(each.name))) {
      for (const target of options.targets) {
        for await (const { name, unit, value } of runWorkload(workload, target.value, options.scale)) {
          if (!results.has(name)) results.set(name, { unit, values: new Map() });
          const values = results.get(name)!.values;
          values.set(target.name, [...(values.get(target.name) ?? []), value]);
          process.stderr.write(`round ${round + 1} ${target.name}: ${name} ${value.toFixed(0)} ${unit}\n`);
        }
      }
    }
  }
  return results;
}

function memoryOf(pid: string): { readonly rssMiB: number; readonly peakMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
  return { rssMiB: Math.round(field('VmRSS')), peakMiB: Math.round(field('VmHWM')) };
}

const options = parse();
const results = await measure(options);
await removeSourceTarball();
const first = options.targets[0]!.name;
const rows = [...results].map(([name, { unit, values }]) => ({
  name,
  unit,
  targets: Object.fromEntries(
    [...values].map(([target, all]) => [
      target,
      { median: median(all), values: all, ratio: median(all) / median(values.get(first)!) },
    ]),
  ),
}));
const memory = Object.fromEntries(options.pids.map(({ name, value }) => [name, memoryOf(value)]));

if (options.json) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const report = { commit, cpu: cpus()[0]?.model, cpus: cpus().length, cold: mayDropCaches, scale: options.scale };
  process.stdout.write(`${JSON.stringify({ ...report, rows, memory }, undefined, 2)}\n`);
} else {
  for (const row of rows) {
    const cells = Object.entries(row.targets).map(
      ([target, { median: value, ratio }]) => `${target} ${value.toFixed(0)} (${ratio.toFixed(2)})`,
    );
    process.stdout.write(`${row.name.padEnd(44)} ${row.unit.padEnd(10)} ${cells.join('   ')}\n`);
  }
  for (const [name, { rssMiB, peakMiB }] of Object.entries(memory)) {
    process.stdout.write(`memory of ${name}: ${rssMiB} MiB, peak ${peakMiB} MiB\n`);
  }
}
