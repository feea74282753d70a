import { describe, expect, test } from '@jest/globals';
import { chunkKey, objectPrefix } from '../../../src/model/chunk-key.js';
import type { ChunkId, FsId } from '../../../src/model/ids.js';

describe('chunkKey', () => {
  test.each([
    [1, 1, '1/0/0/1'],
    [7, 1_234_567, '7/1/1234/1234567'],
    [12, 2 ** 53 - 1, '12/9007199254/9007199254740/9007199254740991'],
  ])('of filesystem %d, chunk %d', (fs, chunk, key) => {
    expect(chunkKey(fs as FsId, chunk as ChunkId)).toBe(key);
    expect(key.startsWith(objectPrefix(fs as FsId))).toBe(true);
  });
});
