import { ObjectError } from './object-error.js';
import { checkKey, checkList, checkRange, checkSignal } from './object-key.js';
import type { ByteRange, ObjectInfo, ObjectStore, ObjectStoreProperties, PutCondition } from './object-store.js';

/**
 * Objects in memory: the reference of the conformance suite, and the store of tests of the layers above.
 * Bodies are copied in and out, so that a caller that reuses its buffer is caught by a test and not by a user.
 */
export class MemoryStore implements ObjectStore {
  readonly properties: ObjectStoreProperties = { name: 'memory', concurrency: 64 };
  readonly #objects = new Map<string, Buffer>();

  /** How many objects there are. */
  get size(): number {
    return this.#objects.size;
  }

  async put(key: string, body: Uint8Array, signal?: AbortSignal, condition?: PutCondition): Promise<void> {
    checkKey(key);
    checkSignal(signal, `put ${key}`);
    if (condition === 'absent' && this.#objects.has(key)) throw new ObjectError('exists', `put ${key}: it exists`);
    this.#objects.set(key, Buffer.from(body));
  }

  async get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    checkKey(key);
    if (range !== undefined) checkRange(range.offset, range.length);
    checkSignal(signal, `get ${key}`);
    const body = this.#require(key);
    return Buffer.from(range === undefined ? body : body.subarray(range.offset, range.offset + range.length));
  }

  getNow(key: string, offset: number, into: Buffer): number | undefined {
    const body = this.#objects.get(key);
    return body?.copy(into, 0, Math.min(offset, body.length));
  }

  async head(key: string, signal?: AbortSignal): Promise<number> {
    checkKey(key);
    checkSignal(signal, `head ${key}`);
    return this.#require(key).length;
  }

  async delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    keys.forEach(checkKey);
    checkSignal(signal, 'delete');
    for (const key of keys) this.#objects.delete(key);
  }

  async list(prefix: string, after: string, limit: number, signal?: AbortSignal): Promise<readonly ObjectInfo[]> {
    checkList(prefix, after, limit);
    checkSignal(signal, `list ${prefix}`);
    return [...this.#objects]
      .filter(([key]) => key.startsWith(prefix) && key > after)
      .map(([key, body]) => ({ key, size: body.length }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .slice(0, limit);
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  #require(key: string): Buffer {
    const body = this.#objects.get(key);
    if (body === undefined) throw new ObjectError('not-found', `object ${key} does not exist in the memory store`);
    return body;
  }
}
