import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import { BlockCache } from '../../../src/data/block-cache/block-cache.js';
import { FrameFetcher } from '../../../src/data/read/frame-fetcher.js';
import { ChunkMover } from '../../../src/data/transfer/chunk-mover.js';
import { chunkKey } from '../../../src/model/chunk-key.js';
import { encodeFrames, FRAME_PAYLOAD_BYTES, FRAME_STORED_BYTES } from '../../../src/model/chunk-frames.js';
import type { ChunkId, FsId } from '../../../src/model/ids.js';
import { MemoryStore } from '../../../src/object/memory-store.js';
import { bytes, ControlledStore } from './data-harness.js';

const fsId = 1 as FsId;
const id = (value: number): ChunkId => value as ChunkId;
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'curvefs-cache-'));
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

function make(sizeBytes = 10 << 20): {
  cache: BlockCache;
  store: ControlledStore;
  fetcher: FrameFetcher;
  stored: () => Promise<string>;
} {
  const cache = new BlockCache({ logger: silentLogger, metrics: noMetrics }, { dir, sizeBytes, filesMax: 100 });
  const store = new ControlledStore(new MemoryStore());
  const waiters: ((file: string) => void)[] = [];
  const transfer = new ChunkMover({
    store,
    logger: silentLogger,
    cacheWritten: (file, size) => {
      cache.written(file, size);
      for (const wake of waiters.splice(0)) wake(file);
    },
  });
  const stored = (): Promise<string> => new Promise((resolve) => waiters.push(resolve));
  return { cache, store, fetcher: new FrameFetcher({ transfer, cache, fsId, logger: silentLogger }), stored };
}

describe('block cache', () => {
  test('what was fetched once is read from the disk, also by the next mount', async () => {
    const { store, fetcher, stored, cache } = make();
    const payload = bytes(3 * FRAME_PAYLOAD_BYTES + 10, 1);
    await store.inner.put(chunkKey(fsId, id(5)), encodeFrames(payload, id(5)));
    const written = stored();
    const first = await fetcher.fetch(id(5), FRAME_PAYLOAD_BYTES, 4 * FRAME_PAYLOAD_BYTES);
    expect(Buffer.from(first).equals(payload.subarray(FRAME_PAYLOAD_BYTES))).toBe(true);
    await written;
    expect(store.gets).toBe(1);
    const again = await fetcher.fetch(id(5), 2 * FRAME_PAYLOAD_BYTES, 3 * FRAME_PAYLOAD_BYTES);
    expect(Buffer.from(again).equals(payload.subarray(2 * FRAME_PAYLOAD_BYTES, 3 * FRAME_PAYLOAD_BYTES))).toBe(true);
    expect(store.gets).toBe(1);
    await cache.close();

    const next = make();
    next.cache.start();
    await next.cache.scanned();
    expect(next.cache.bytes).toBe(2 * FRAME_STORED_BYTES + 14);
    const kept = await next.fetcher.fetch(id(5), FRAME_PAYLOAD_BYTES, 2 * FRAME_PAYLOAD_BYTES);
    expect(Buffer.from(kept).equals(payload.subarray(FRAME_PAYLOAD_BYTES, 2 * FRAME_PAYLOAD_BYTES))).toBe(true);
    expect(next.store.gets).toBe(0);
  });

  test('a corrupt, torn or missing file is dropped and the store is asked', async () => {
    const { store, fetcher, stored, cache } = make();
    const payload = bytes(FRAME_PAYLOAD_BYTES, 1);
    await store.inner.put(chunkKey(fsId, id(5)), encodeFrames(payload, id(5)));
    for (const spoil of [
      (file: string) => fs.writeFileSync(file, fs.readFileSync(file).fill(1, 10, 11)),
      (file: string) => fs.truncateSync(file, 100),
      (file: string) => fs.unlinkSync(file),
    ]) {
      let written = stored();
      await fetcher.fetch(id(5), 0, FRAME_PAYLOAD_BYTES);
      spoil(await written);
      const before = store.gets;
      written = stored();
      expect(Buffer.from(await fetcher.fetch(id(5), 0, FRAME_PAYLOAD_BYTES)).equals(payload)).toBe(true);
      expect(store.gets).toBe(before + 1);
      cache.drop(await written);
    }
  });

  test('its size is bounded; the least recently used go', () => {
    const { cache } = make(3 * FRAME_STORED_BYTES);
    for (let i = 1; i <= 3; i++) cache.written(cache.pathFor(id(i), 0, 1), FRAME_STORED_BYTES);
    expect(cache.find(id(1), 0)).toBeDefined();
    cache.written(cache.pathFor(id(4), 0, 1), FRAME_STORED_BYTES);
    expect([1, 2, 3, 4].map((i) => cache.find(id(i), 0) !== undefined)).toEqual([true, false, true, true]);
    expect(cache.bytes).toBe(3 * FRAME_STORED_BYTES);
  });

  test('a scan removes what is not a cache file', async () => {
    fs.mkdirSync(path.join(dir, '5'));
    fs.writeFileSync(path.join(dir, '5', '5-0-1.tmp'), 'x');
    fs.writeFileSync(path.join(dir, '5', '5-0-1'), 'toolong'.repeat(10_000));
    const { cache } = make();
    cache.start();
    await cache.scanned();
    expect(cache.bytes).toBe(0);
    expect(fs.readdirSync(path.join(dir, '5'))).toEqual([]);
  });
});
