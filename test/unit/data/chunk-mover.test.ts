import { beforeEach, describe, expect, test } from '@jest/globals';
import { ChunkMover } from '../../../src/data/transfer/chunk-mover.js';
import { encodeFrames, FRAME_PAYLOAD_BYTES } from '../../../src/model/chunk-frames.js';
import type { ChunkId } from '../../../src/model/ids.js';
import { MemoryStore } from '../../../src/object/memory-store.js';
import { silentLogger } from '../../../src/common/logger.js';
import { bytes, ControlledStore } from './data-harness.js';

const chunkId = 7 as ChunkId;
const key = 'chunk';
const payload = bytes(2 * FRAME_PAYLOAD_BYTES + 100, 1);

describe('getNow', () => {
  let store: ControlledStore;
  let mover: ChunkMover;

  beforeEach(async () => {
    store = new ControlledStore(new MemoryStore());
    store.near = () => Infinity;
    mover = new ChunkMover({ store, logger: silentLogger, cacheWritten: () => undefined });
    await store.put(key, encodeFrames(payload, chunkId));
  });

  const now = (start: number, end: number): Uint8Array | undefined => mover.getNow({ key, chunkId, start, end });

  test.each([
    ['inside a frame', 10, 20],
    ['over a border', FRAME_PAYLOAD_BYTES - 5, FRAME_PAYLOAD_BYTES + 5],
    ['the short last frame', 2 * FRAME_PAYLOAD_BYTES, payload.length],
    ['all of it', 0, payload.length],
  ])('%s', (_name, start, end) => {
    expect(now(start, end)).toEqual(Buffer.from(payload.subarray(start, end)));
  });

  test('what it gave stays as it was', () => {
    const first = now(0, 10);
    now(50, 60);
    expect(first).toEqual(Buffer.from(payload.subarray(0, 10)));
  });

  test.each([0, 3, 1000, FRAME_PAYLOAD_BYTES, FRAME_PAYLOAD_BYTES + 4])(
    'nothing when only %d bytes are near',
    (near) => {
      store.near = () => near;
      expect(now(0, FRAME_PAYLOAD_BYTES + 20)).toBeUndefined();
    },
  );

  test('nothing of an object that is missing, that is shorter, or that does not check', async () => {
    expect(mover.getNow({ key: 'none', chunkId, start: 0, end: 1 })).toBeUndefined();
    expect(now(0, payload.length + 1)).toBeUndefined();
    const damaged = encodeFrames(payload, chunkId);
    damaged.writeUInt8(damaged.readUInt8(100) ^ 1, 100);
    await store.put(key, damaged);
    expect(now(0, 10)).toBeUndefined();
    expect(now(FRAME_PAYLOAD_BYTES, FRAME_PAYLOAD_BYTES + 10)).toBeDefined();
  });
});
