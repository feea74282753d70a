import type { ChunkId, FsId } from './ids.js';

/** Every object of a filesystem has a key with this prefix, and nothing else's has: what `fs delete` may remove. */
export function objectPrefix(fsId: FsId): string {
  return `${fsId}/`;
}

/** The object that holds a chunk, relative to the store's prefix; two levels of folders keep any one of them small (architecture section 3). */
export function chunkKey(fsId: FsId, chunkId: ChunkId): string {
  return `${fsId}/${Math.floor(chunkId / 1_000_000)}/${Math.floor(chunkId / 1000)}/${chunkId}`;
}
