import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import { LmdbEngine } from '../../src/kv/lmdb-engine.js';
import { MemoryEngine } from '../../src/kv/memory-engine.js';
import { kvConformance } from './kv-conformance.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

for (const [name, sync] of [
  ['MemoryEngine', undefined],
  ['MemoryEngine with a disk', turn],
] as const) {
  kvConformance(name, async () => {
    const engine = new MemoryEngine(sync === undefined ? {} : { sync });
    return { engine, dispose: () => engine.close() };
  });
}

kvConformance(
  'LmdbEngine',
  async () => {
    const dir = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'kv-test-'));
    const open = () =>
      LmdbEngine.open({ logger: silentLogger, metrics: noMetrics }, { dir, limitBytes: 64 << 20, layerAgeMs: 1e6 });
    let engine = await open();
    return {
      engine,
      reopen: async () => {
        await engine.close();
        engine = await open();
        return engine;
      },
      dispose: async () => {
        await engine.close();
        await fs.promises.rm(dir, { recursive: true });
      },
    };
  },
  (engine) => (engine as LmdbEngine).settle(),
);
