import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { built, describeIf } from '../helpers/prerequisites.js';
import { runProgram } from '../helpers/run-program.js';

/** Transfer threads run from dist/ only, and not inside jest: a program of their own uses them and prints what it saw. */
const PROGRAM = `
import { writeFileSync } from 'node:fs';
const { WorkerTransfer } = await import(process.env.DIST + '/data/transfer/worker-transfer.js');
const { silentLogger } = await import(process.env.DIST + '/common/logger.js');
const counts = {};
const metrics = {
  counter: ({ name }) => ({ inc: (by = 1) => (counts[name] = (counts[name] ?? 0) + by) }),
  gauge: () => {},
  histogram: () => ({ observe: () => {} }),
};
const open = (path, more = {}) =>
  new WorkerTransfer(
    { logger: silentLogger, metrics, cacheWritten: () => {} },
    { storage: { kind: 'file', path }, storeOptions: { createRoot: true, attemptsMax: 1 }, workers: 2, concurrency: 8, ...more },
  );
const seen = {};
const code = (promise) => promise.then(() => 'done', (error) => error.code + ':' + error.constructor.name);
const transfer = open(process.env.DIR + '/store');
const payload = Buffer.alloc(100_000, 'abc');
const all = [];
for (let chunkId = 1; chunkId <= 20; chunkId++) {
  all.push(transfer.put({ key: '1/' + chunkId, chunkId, payloadBytes: payload.length, source: { kind: 'bytes', payload } }));
}
await Promise.all(all);
const got = await Promise.all(all.map((_, i) => transfer.get({ key: '1/' + (i + 1), chunkId: i + 1, firstFrame: 1, frames: 2 })));
seen.right = got.every((part) => Buffer.from(part).equals(payload.subarray(32768, 3 * 32768)));
seen.alone = got.every((part) => part.byteOffset === 0 && part.buffer.byteLength < 200_000);
seen.mixedUp = await code(transfer.get({ key: '1/3', chunkId: 4, firstFrame: 0, frames: 1 }));
seen.missing = await code(transfer.get({ key: '1/99', chunkId: 99, firstFrame: 0, frames: 1 }));
writeFileSync(process.env.DIR + '/segment', Buffer.alloc(5000, 1));
const piece = { path: 0, position: 0, recordLength: 4000, sequence: 7, offset: 0, length: 4000 };
seen.journal = await code(
  transfer.put({ key: '1/50', chunkId: 50, payloadBytes: 4000, source: { kind: 'journal', paths: [process.env.DIR + '/segment'], pieces: [piece] } }),
);
const abort = new AbortController();
abort.abort(new Error('not wanted'));
seen.aborted = await transfer.get({ key: '1/1', chunkId: 1, firstFrame: 0, frames: 1 }, abort.signal).catch((error) => error.message);
await transfer.close();
seen.closed = await code(transfer.get({ key: '1/1', chunkId: 1, firstFrame: 0, frames: 1 }));
seen.counted = (counts['object_bytes_total'] ?? 0) > 0;

const broken = open('', { storage: { kind: 'none' } });
seen.broken = await code(broken.put({ key: '1/1', chunkId: 1, payloadBytes: 3, source: { kind: 'bytes', payload: Buffer.from('abc') } }));
await broken.close();
console.log(JSON.stringify(seen));
`;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'curvefs-transfer-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describeIf(built)('transfer threads', () => {
  test('move chunks, check them, pass errors on, and end', async () => {
    const env = { ...(process.env as Record<string, string>), DIR: dir, DIST: pathToFileURL(resolve('dist')).href };
    // From a file: the threads inherit the process's options, and those of a program on the command line are not for threads.
    const program = join(dir, 'program.mjs');
    writeFileSync(program, PROGRAM);
    const result = await runProgram(process.execPath, [program], { env });
    expect(result.stderr).toBe('');
    expect(JSON.parse(result.stdout)).toEqual({
      right: true,
      alone: true,
      mixedUp: 'corrupt:DataError',
      missing: 'missing:DataError',
      journal: 'corrupt:DataError',
      aborted: 'not wanted',
      closed: 'closed:DataError',
      counted: true,
      broken: 'worker:DataError',
    });
  });
});
