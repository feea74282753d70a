import { expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import { LmdbEngine } from '../../src/kv/lmdb-engine.js';

const dist = (file: string): string => pathToFileURL(path.resolve('dist', file)).href;

/** Commits pairs in eight loops, half of the loops relaxed, and prints what is acknowledged. Layers are small, so that the tree is written all the time. */
const CHILD = `
import { LmdbEngine } from ${JSON.stringify(dist('kv/lmdb-engine.js'))};
import { silentLogger } from ${JSON.stringify(dist('common/logger.js'))};
import { noMetrics } from ${JSON.stringify(dist('common/metrics.js'))};
import fs from 'node:fs';
const [dir, round] = process.argv.slice(1);
const engine = await LmdbEngine.open({ logger: silentLogger, metrics: noMetrics }, { dir, limitBytes: 2 ** 30, layerBytes: 20_000 });
let next = 0;
await Promise.all(Array.from({ length: 8 }, async (_, loop) => {
  for (;;) {
    const id = round + '-' + next++;
    const value = Buffer.alloc(200, id);
    await engine.commit({
      puts: [{ key: Buffer.from('a' + id), value }, { key: Buffer.from('b' + id), value }, { key: Buffer.from('gone' + loop), value }],
      deletes: [], deleteRanges: [{ start: Buffer.from('gone'), end: Buffer.from('gonf') }], guards: [],
    }, { durable: loop < 4 });
    fs.writeSync(1, id + '\\n');
  }
}));
`;

test('SIGKILL at any moment loses nothing acknowledged and tears no batch', async () => {
  const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'kv-crash-'));
  const acknowledged: string[] = [];
  try {
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, dir, String(round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const until = acknowledged.length + 300 + 700 * round;
      // what was printed before the kill is read too
      for await (const line of createInterface(child.stdout)) {
        acknowledged.push(line);
        if (acknowledged.length === until) child.kill('SIGKILL');
      }
      if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
      expect(child.signalCode).toBe('SIGKILL');
    }
    const engine = await LmdbEngine.open({ logger: silentLogger, metrics: noMetrics }, { dir, limitBytes: 2 ** 30 });
    const missing = acknowledged.filter((id) => {
      const value = engine.get(Buffer.from(`a${id}`));
      return value === undefined || !Buffer.alloc(200, id).equals(value);
    });
    expect(missing).toEqual([]);
    const ids = (letter: string): string[] =>
      engine
        .range(Buffer.from(letter), Buffer.from(`${letter}~`), { limit: 1_000_000 })
        .map(({ key }) => Buffer.from(key).toString().slice(1));
    expect(ids('a')).toEqual(ids('b'));
    expect(engine.range(Buffer.from('gone'), Buffer.from('gonf'), { limit: 10 })).toHaveLength(1);
    await engine.close();
  } finally {
    await fs.promises.rm(dir, { recursive: true });
  }
}, 60_000);
