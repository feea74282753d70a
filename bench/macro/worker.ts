/**
 * One load process: reads a job as JSON from argv, says `ready`, waits for a line on stdin, works with synchronous system calls
 * (one at a time, as a simple program does), prints its result as JSON. Runs in a process of its own so that loads of several processes are real.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';

export type Job =
  | { readonly kind: 'write'; readonly path: string; readonly sizeBytes: number; readonly ioBytes: number }
  | { readonly kind: 'read'; readonly path: string; readonly ioBytes: number }
  | { readonly kind: 'randwrite'; readonly path: string; readonly ioBytes: number; readonly seconds: number }
  | { readonly kind: 'randread'; readonly path: string; readonly ioBytes: number; readonly seconds: number }
  | { readonly kind: 'create'; readonly dir: string; readonly count: number }
  | { readonly kind: 'walk'; readonly dir: string }
  | { readonly kind: 'readdir'; readonly dir: string }
  | { readonly kind: 'unlink'; readonly dir: string }
  | { readonly kind: 'smallwrite'; readonly dir: string; readonly count: number; readonly sizeBytes: number }
  | { readonly kind: 'smallread'; readonly dir: string };

/** `count` is what was done (bytes, operations, files), in the time that the parent measures; `closeSeconds` is what close(2) took of it. */
export interface JobResult {
  readonly count: number;
  readonly seconds: number;
  readonly closeSeconds: number;
}

/** A repeatable pseudo-random sequence (mulberry32): every target sees the same offsets. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function incompressible(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  const random = randomOf(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4) buffer.writeUInt32LE(Math.floor(random() * 4294967296), i);
  return buffer;
}

const seconds = (since: number): number => (performance.now() - since) / 1000;

function closeTimed(fd: number): number {
  const start = performance.now();
  fs.closeSync(fd);
  return seconds(start);
}

function write(job: Job & { kind: 'write' }): { count: number; closeSeconds: number } {
  const buffer = incompressible(job.ioBytes);
  const fd = fs.openSync(job.path, 'w');
  for (let done = 0; done < job.sizeBytes; done += job.ioBytes) fs.writeSync(fd, buffer);
  return { count: job.sizeBytes, closeSeconds: closeTimed(fd) };
}

function read(job: Job & { kind: 'read' }): { count: number; closeSeconds: number } {
  const buffer = Buffer.allocUnsafe(job.ioBytes);
  const fd = fs.openSync(job.path, 'r');
  let count = 0;
  for (;;) {
    const n = fs.readSync(fd, buffer);
    if (n === 0) break;
    count += n;
  }
  return { count, closeSeconds: closeTimed(fd) };
}

function random(job: Job & { kind: 'randwrite' | 'randread' }): { count: number; closeSeconds: number } {
  const buffer = incompressible(job.ioBytes);
  const fd = fs.openSync(job.path, 'r+');
  const blocks = Math.floor(fs.fstatSync(fd).size / job.ioBytes);
  const next = randomOf(42);
  const end = performance.now() + job.seconds * 1000;
  let count = 0;
  while (performance.now() < end) {
    const position = Math.floor(next() * blocks) * job.ioBytes;
    if (job.kind === 'randwrite') fs.writeSync(fd, buffer, 0, job.ioBytes, position);
    else fs.readSync(fd, buffer, 0, job.ioBytes, position);
    count++;
  }
  return { count, closeSeconds: closeTimed(fd) };
}

function walk(dir: string, visit: (path: string) => void): void {
  for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    visit(path);
    if (entry.isDirectory()) walk(path, visit);
  }
}

function run(job: Job): { count: number; closeSeconds: number } {
  let count = 0;
  switch (job.kind) {
    case 'write':
      return write(job);
    case 'read':
      return read(job);
    case 'randwrite':
    case 'randread':
      return random(job);
    case 'create':
      for (; count < job.count; count++) fs.closeSync(fs.openSync(join(job.dir, `f${count}`), 'wx'));
      break;
    case 'walk':
      walk(job.dir, (path) => {
        fs.lstatSync(path);
        count++;
      });
      break;
    case 'readdir':
      count = fs.readdirSync(job.dir).length;
      break;
    case 'unlink':
      for (const name of fs.readdirSync(job.dir)) {
        fs.unlinkSync(join(job.dir, name));
        count++;
      }
      break;
    case 'smallwrite': {
      const data = incompressible(job.sizeBytes);
      for (; count < job.count; count++) fs.writeFileSync(join(job.dir, `s${count}`), data);
      break;
    }
    case 'smallread':
      for (const name of fs.readdirSync(job.dir)) {
        fs.readFileSync(join(job.dir, name));
        count++;
      }
      break;
  }
  return { count, closeSeconds: 0 };
}

const job = JSON.parse(process.argv[2] ?? '') as Job;
process.stdout.write('ready\n');
process.stdin.once('data', () => {
  const start = performance.now();
  const { count, closeSeconds } = run(job);
  process.stdout.write(`${JSON.stringify({ count, closeSeconds, seconds: seconds(start) } satisfies JobResult)}\n`);
  process.stdin.destroy();
});
