import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Where the server keeps objects: `buckets` of keys. Both kinds keep what PUT's checksum headers said.
 *
 * @typedef {{ body: Buffer, checksums: Record<string, string> }} StoredObject
 */

/** In memory. */
export class MemoryStorage {
  /** @type {Map<string, Map<string, StoredObject>>} */
  #buckets = new Map();

  async createBucket(bucket) {
    if (!this.#buckets.has(bucket)) this.#buckets.set(bucket, new Map());
  }

  async hasBucket(bucket) {
    return this.#buckets.has(bucket);
  }

  async put(bucket, key, body, checksums) {
    this.#buckets.get(bucket)?.set(key, { body, checksums });
  }

  async get(bucket, key) {
    return this.#buckets.get(bucket)?.get(key);
  }

  async delete(bucket, key) {
    this.#buckets.get(bucket)?.delete(key);
  }

  /** Keys and sizes, in key order. */
  async list(bucket, prefix) {
    return [...(this.#buckets.get(bucket) ?? [])]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, { body }]) => ({ key, size: body.length }))
      .sort(byKey);
  }
}

/** On a directory: one file per object, named by the escaped key; not synced, and the checksums are not kept over a restart. */
export class DirectoryStorage {
  #root;
  #serial = 0;
  /** @type {Map<string, Record<string, string>>} */
  #checksums = new Map();

  constructor(root) {
    this.#root = root;
  }

  async createBucket(bucket) {
    await mkdir(join(this.#root, bucket), { recursive: true });
  }

  async hasBucket(bucket) {
    return existsSync(join(this.#root, bucket));
  }

  async put(bucket, key, body, checksums) {
    const path = this.#path(bucket, key);
    const temporary = join(this.#root, `~${this.#serial++}`);
    await writeFile(temporary, body);
    await rename(temporary, path);
    this.#checksums.set(path, checksums);
  }

  async get(bucket, key) {
    const path = this.#path(bucket, key);
    const body = await readFile(path).catch(() => undefined);
    return body === undefined ? undefined : { body, checksums: this.#checksums.get(path) ?? {} };
  }

  async delete(bucket, key) {
    const path = this.#path(bucket, key);
    this.#checksums.delete(path);
    await rm(path, { force: true });
  }

  async list(bucket, prefix) {
    const found = [];
    for (const name of await readdir(join(this.#root, bucket))) {
      const key = decodeURIComponent(name);
      if (!key.startsWith(prefix)) continue;
      const size = await stat(join(this.#root, bucket, name)).then(
        (info) => info.size,
        () => undefined,
      );
      if (size !== undefined) found.push({ key, size });
    }
    return found.sort(byKey);
  }

  #path(bucket, key) {
    return join(this.#root, bucket, encodeURIComponent(key));
  }
}

function byKey(a, b) {
  return a.key < b.key ? -1 : 1;
}
