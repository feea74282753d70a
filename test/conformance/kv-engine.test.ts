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
