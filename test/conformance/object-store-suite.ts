import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { isObjectError, type ObjectError } from '../../src/object/object-error.js';
import type { ObjectStore } from '../../src/object/object-store.js';
import { probeStore } from '../../src/object/probe.js';

export interface StoreUnderTest {
  readonly store: ObjectStore;
  /** Ends what stands behind the store; the suite closes the store itself. */
  readonly dispose?: () => Promise<void>;
}

/** The code of the ObjectError that a call fails with; the call must fail. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return isObjectError(error) ? error.code : `not an ObjectError: ${String(error)}`;
  }
  return 'no failure';
}

/** What every ObjectStore must do, run over each implementation and decorator. */
export function objectStoreSuite(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`object store: ${name}`, () => {
    let under: StoreUnderTest;
    let store: ObjectStore;

    beforeEach(async () => {
      under = await open();
      store = under.store;
    });
    afterEach(async () => {
      await store.close();
      await under.dispose?.();
    });

    test('properties are sensible', () => {
      expect(store.properties.name).toMatch(/^(memory|file:\/\/\/|s3:\/\/)/);
      expect(store.properties.concurrency).toBeGreaterThan(0);
    });

    test.each([0, 1, 4096, 128 * 1024 + 7, 4 * 1024 * 1024])('put and get %i bytes', async (size) => {
      const body = randomBytes(size);
      await store.put('fs1/0/0/1', body);
      const read = await store.get('fs1/0/0/1');
      expect(body.equals(read)).toBe(true);
      expect(await store.head('fs1/0/0/1')).toBe(size);
    });

    test('a body that is a view of a larger buffer', async () => {
      const large = Uint8Array.from({ length: 100 }, (_, i) => i);
      await store.put('view', large.subarray(10, 20));
      expect([...(await store.get('view'))]).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    });

    test('put replaces', async () => {
      await store.put('k', Buffer.from('one and longer'));
      await store.put('k', Buffer.from('two'));
      expect(Buffer.from(await store.get('k')).toString()).toBe('two');
      expect(await store.head('k')).toBe(3);
    });

    test('the buffer may be reused after put', async () => {
      const body = Buffer.from('before');
      await store.put('reuse', body);
      body.fill(0);
      expect(Buffer.from(await store.get('reuse')).toString()).toBe('before');
    });

    test.each([
      [{ offset: 0, length: 10 }, 0, 10],
      [{ offset: 3, length: 4 }, 3, 7],
      [{ offset: 9, length: 1 }, 9, 10],
      [{ offset: 5, length: 100 }, 5, 10],
      [{ offset: 10, length: 5 }, 10, 10],
      [{ offset: 1000, length: 5 }, 10, 10],
      [{ offset: 4, length: 0 }, 4, 4],
      [{ offset: 2, length: Number.MAX_SAFE_INTEGER }, 2, 10],
    ])('get of the range %j', async (range, first, end) => {
      const body = Buffer.from('0123456789');
      await store.put('a/ranged', body);
      expect(Buffer.from(await store.get('a/ranged', range)).toString()).toBe(body.toString('utf8', first, end));
    });

    test('a range of an empty object is empty', async () => {
      await store.put('empty', Buffer.alloc(0));
      expect(await store.get('empty', { offset: 0, length: 10 })).toHaveLength(0);
    });

    test('a put where nothing may be replaces nothing', async () => {
      // one whose reply was lost hears 'exists' when it is sent again
      const create = (text: string): Promise<string> =>
        store.put('only/once', Buffer.from(text), undefined, 'absent').then(
          () => 'done',
          (error: ObjectError) => error.code,
        );
      expect(['done', 'exists']).toContain(await create('first'));
      expect(await create('second')).toBe('exists');
      expect(Buffer.from(await store.get('only/once')).toString()).toBe('first');
      await store.put('only/once', Buffer.from('again'));
      expect(await create('third')).toBe('exists');
      await store.delete(['only/once']);
      expect(['done', 'exists']).toContain(await create('new'));
      expect(await store.list('only/', '', 10)).toEqual([{ key: 'only/once', size: 3 }]);
    });

    test('a missing object is not-found', async () => {
      expect(await failure(store.get('no/such/key'))).toBe('not-found');
      expect(await failure(store.get('no/such/key', { offset: 0, length: 1 }))).toBe('not-found');
      expect(await failure(store.get('no/such/key', { offset: 0, length: 0 }))).toBe('not-found');
      expect(await failure(store.head('no/such/key'))).toBe('not-found');
    });

    test('delete removes, and is content with what is missing', async () => {
      await store.put('d/1', Buffer.from('1'));
      await store.put('d/2', Buffer.from('2'));
      await store.put('d/3', Buffer.from('3'));
      await store.delete(['d/1', 'd/missing', 'no/dir/missing', 'd/3']);
      await store.delete(['d/1']);
      await store.delete([]);
      expect(await failure(store.get('d/1'))).toBe('not-found');
      expect(await store.list('d/', '', 10)).toEqual([{ key: 'd/2', size: 1 }]);
    });

    test('delete of more keys than a request of S3 takes', async () => {
      const keys = Array.from({ length: 1003 }, (_, i) => `many/${i}`);
      const kept = [keys[0], keys[999], keys[1002]] as string[];
      await Promise.all(kept.map((key) => store.put(key, Buffer.from('x'))));
      await store.delete(keys);
      expect(await store.list('many/', '', 10)).toEqual([]);
    });

    test('list is in key order, by prefix, after a key, up to the limit', async () => {
      // '-' and '.' sort before '/', digits after it: a directory is not where its bare name would be.
      const keys = ['a/b', 'a-b/c', 'a.b', 'a0', 'a/b0', 'a/a/z', 'B', 'z/9', 'z/10'];
      for (const key of keys) await store.put(key, Buffer.from(key));
      const sorted = ['B', 'a-b/c', 'a.b', 'a/a/z', 'a/b', 'a/b0', 'a0', 'z/10', 'z/9'];
      const all = await store.list('', '', 1000);
      expect(all).toEqual(sorted.map((key) => ({ key, size: key.length })));
      const names = async (prefix: string, after: string, limit: number): Promise<string[]> =>
        (await store.list(prefix, after, limit)).map(({ key }) => key);
      expect(await names('a', '', 1000)).toEqual(sorted.slice(1, 7));
      expect(await names('a/', '', 1000)).toEqual(['a/a/z', 'a/b', 'a/b0']);
      expect(await names('a/b', '', 1000)).toEqual(['a/b', 'a/b0']);
      expect(await names('z/1', '', 1000)).toEqual(['z/10']);
      expect(await names('', 'a/b', 1000)).toEqual(['a/b0', 'a0', 'z/10', 'z/9']);
      expect(await names('', 'a/ab', 2)).toEqual(['a/b', 'a/b0']);
      expect(await names('none', '', 5)).toEqual([]);
      for (let limit = 1; limit <= 9; limit += 4) {
        const paged: string[] = [];
        for (;;) {
          const page = await names('', paged.at(-1) ?? '', limit);
          expect(page.length).toBeLessThanOrEqual(limit);
          if (page.length === 0) break;
          paged.push(...page);
        }
        expect(paged).toEqual(sorted);
      }
    });

    const bad = [
      '',
      '/abs',
      'a//b',
      'a/',
      '../x',
      'a/../b',
      './x',
      'a b',
      'a\0b',
      'ü',
      'a\\b',
      'x'.repeat(1000),
      'a?b',
      '~tmp/x',
    ];
    test.each(bad.map((key) => [key.slice(0, 20), key]))('the key %j is invalid everywhere', async (_title, key) => {
      expect(await failure(store.put(key, Buffer.from('x')))).toBe('invalid');
      expect(await failure(store.get(key))).toBe('invalid');
      expect(await failure(store.head(key))).toBe('invalid');
      expect(await failure(store.delete([key]))).toBe('invalid');
    });

    test('bad ranges and list arguments are invalid', async () => {
      await store.put('k', Buffer.from('x'));
      expect(await failure(store.get('k', { offset: -1, length: 1 }))).toBe('invalid');
      expect(await failure(store.get('k', { offset: 0, length: -1 }))).toBe('invalid');
      expect(await failure(store.get('k', { offset: 0.5, length: 1 }))).toBe('invalid');
      expect(await failure(store.list('../', '', 10))).toBe('invalid');
      expect(await failure(store.list('', '', 0))).toBe('invalid');
      expect(await failure(store.list('', '', 1001))).toBe('invalid');
    });

    test('an aborted signal is honoured and nothing is written', async () => {
      const signal = AbortSignal.abort();
      expect(await failure(store.put('aborted', Buffer.from('x'), signal))).toBe('aborted');
      expect(await failure(store.get('aborted', undefined, signal))).toBe('aborted');
      expect(await failure(store.head('aborted', signal))).toBe('aborted');
      expect(await failure(store.delete(['aborted'], signal))).toBe('aborted');
      expect(await failure(store.list('', '', 1, signal))).toBe('aborted');
      expect(await store.list('aborted', '', 1)).toEqual([]);
    });

    test('concurrent puts and gets of many keys', async () => {
      const body = (i: number): Buffer => Buffer.alloc(1000 + i, i);
      await Promise.all(Array.from({ length: 50 }, (_, i) => store.put(`c/${i % 5}/${i}`, body(i))));
      const read = await Promise.all(Array.from({ length: 50 }, (_, i) => store.get(`c/${i % 5}/${i}`)));
      read.forEach((bytes, i) => expect(body(i).equals(bytes)).toBe(true));
      expect(await store.list('c/', '', 1000)).toHaveLength(50);
    });

    test('concurrent puts of one key leave one of the bodies, whole', async () => {
      const bodies = [1, 2, 3, 4].map((i) => Buffer.alloc(100_000, i));
      await Promise.all(bodies.map((body) => store.put('same', body)));
      const read = await store.get('same');
      expect(bodies.some((body) => body.equals(read))).toBe(true);
    });

    test('the probe passes and leaves nothing behind', async () => {
      await probeStore(store);
      expect(await store.list('', '', 10)).toEqual([]);
    });

    test('close is idempotent', async () => {
      await store.put('k', Buffer.from('x'));
      await store.close();
      await store.close();
    });
  });
}
