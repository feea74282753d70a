import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { KvBatch, KvEngine, KvEntry, KvGuard, KvReader } from '../../src/kv/kv-engine.js';

/** An engine under test and how to open the same database again; `sync` holds back or fails what durable commits wait for. */
export interface EngineFixture {
  readonly engine: KvEngine;
  reopen?(): Promise<KvEngine>;
  dispose(): Promise<void>;
}

export const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

export function batch(changes: {
  puts?: Readonly<Record<string, string>> | Iterable<readonly [string, string]>;
  deletes?: readonly string[];
  deleteRanges?: readonly (readonly [string, string])[];
  guards?: readonly KvGuard[];
}): KvBatch {
  const given = changes.puts ?? {};
  const puts = Symbol.iterator in given ? [...given] : Object.entries(given);
  return {
    puts: puts.map(([key, value]) => ({ key: bytes(key), value: bytes(value) })),
    deletes: (changes.deletes ?? []).map(bytes),
    deleteRanges: (changes.deleteRanges ?? []).map(([start, end]) => ({ start: bytes(start), end: bytes(end) })),
    guards: changes.guards ?? [],
  };
}

export async function get(reader: KvReader, key: string): Promise<string | undefined> {
  const value = await reader.get(bytes(key));
  return value === undefined ? undefined : Buffer.from(value).toString('latin1');
}

export async function range(
  reader: KvReader,
  start: string,
  end: string,
  limit = 1000,
  reverse = false,
): Promise<[string, string][]> {
  const entries: readonly KvEntry[] = await reader.range(bytes(start), bytes(end), { limit, reverse });
  return entries.map(({ key, value }) => [Buffer.from(key).toString('latin1'), Buffer.from(value).toString('latin1')]);
}

const keys = async (reader: KvReader, start: string, end: string, limit = 1000, reverse = false) =>
  (await range(reader, start, end, limit, reverse)).map(([key]) => key);

/** What every engine promises (src/kv/kv-engine.ts). `settle` waits until the engine's background work is done, when it has any. */
export function kvConformance(
  name: string,
  open: () => Promise<EngineFixture>,
  settle: (engine: KvEngine) => Promise<void> = async () => undefined,
): void {
  describe(name, () => {
    let fixture: EngineFixture;
    let engine: KvEngine;
    beforeEach(async () => {
      fixture = await open();
      engine = fixture.engine;
    });
    afterEach(async () => {
      await fixture.dispose();
    });

    describe.each([
      ['fresh', async (): Promise<void> => undefined],
      ['settled', (): Promise<void> => settle(engine)],
    ] as const)('%s state', (_state, rest) => {
      test('orders keys as memcmp does', async () => {
        const sorted = [
          '\0',
          '\0\0',
          '\0\xff',
          'a',
          'a\0',
          'a\0b',
          'aa',
          'a\xff',
          'b',
          '\x7f',
          '\x80',
          '\xff',
          '\xff\0',
          '\xff\xff',
        ];
        await engine.commit(batch({ puts: [...sorted].reverse().map((key) => [key, `v${key}`] as const) }));
        await rest();
        expect(await keys(engine, '\0', '\xff\xff\xff')).toEqual(sorted);
        expect(await keys(engine, '\0', '\xff\xff\xff', 1000, true)).toEqual([...sorted].reverse());
        expect(await get(engine, '\xff\0')).toBe('v\xff\0');
        expect(await get(engine, 'zz')).toBeUndefined();
        const many = await engine.getMany([bytes('a'), bytes('zz'), bytes('b')]);
        expect(many.map((value) => value && Buffer.from(value).toString('latin1'))).toEqual(['va', undefined, 'vb']);
      });

      test('limits ranges at both ends and in number', async () => {
        await engine.commit(batch({ puts: { a: '1', b: '2', c: '3', d: '4', e: '' } }));
        await rest();
        expect(await range(engine, 'b', 'd')).toEqual([
          ['b', '2'],
          ['c', '3'],
        ]);
        expect(await keys(engine, 'b', 'd', 10, true)).toEqual(['c', 'b']);
        expect(await keys(engine, 'aa', 'dd', 2)).toEqual(['b', 'c']);
        expect(await keys(engine, 'aa', 'dd', 2, true)).toEqual(['d', 'c']);
        expect(await keys(engine, 'c', 'c')).toEqual([]);
        expect(await keys(engine, 'd', 'b')).toEqual([]);
        expect(await keys(engine, 'f', 'z')).toEqual([]);
        expect(await keys(engine, 'f', 'z', 5, true)).toEqual([]);
        expect(await get(engine, 'e')).toBe('');
      });

      test('applies range deletes, then deletes, then puts', async () => {
        await engine.commit(batch({ puts: { a: '1', b: '2', c: '3', d: '4', e: '5' } }));
        await rest();
        await engine.commit(batch({ deleteRanges: [['b', 'e']], deletes: ['a'], puts: { c: 'new', f: '6' } }));
        expect(await range(engine, 'a', 'z')).toEqual([
          ['c', 'new'],
          ['e', '5'],
          ['f', '6'],
        ]);
        await rest();
        expect(await keys(engine, 'a', 'z', 10, true)).toEqual(['f', 'e', 'c']);
        await engine.commit(batch({ deleteRanges: [['a', 'g']] }));
        expect(await keys(engine, 'a', 'z')).toEqual([]);
        await rest();
        expect(await keys(engine, 'a', 'z')).toEqual([]);
      });

      test('overwrites and deletes again', async () => {
        await engine.commit(batch({ puts: { a: '1', b: '1' } }));
        await rest();
        await engine.commit(batch({ puts: { a: '2' }, deletes: ['b', 'not there'] }));
        expect(await range(engine, 'a', 'z')).toEqual([['a', '2']]);
        await rest();
        await engine.commit(batch({ puts: { b: '3' }, deletes: ['a'] }));
        expect(await range(engine, 'a', 'z')).toEqual([['b', '3']]);
      });

      test('checks guards', async () => {
        await engine.commit(batch({ puts: { a: '1', m: '' } }));
        await rest();
        const holds: KvGuard[] = [
          { kind: 'exists', key: bytes('a') },
          { kind: 'absent', key: bytes('b') },
          { kind: 'unchanged', key: bytes('a'), value: bytes('1') },
          { kind: 'unchanged', key: bytes('m'), value: bytes('') },
          { kind: 'unchanged', key: bytes('b'), value: undefined },
          { kind: 'emptyRange', start: bytes('b'), end: bytes('m') },
        ];
        const fails: KvGuard[] = [
          { kind: 'exists', key: bytes('b') },
          { kind: 'absent', key: bytes('a') },
          { kind: 'unchanged', key: bytes('a'), value: bytes('2') },
          { kind: 'unchanged', key: bytes('a'), value: undefined },
          { kind: 'unchanged', key: bytes('m'), value: undefined },
          { kind: 'unchanged', key: bytes('b'), value: bytes('') },
          { kind: 'emptyRange', start: bytes('a'), end: bytes('b') },
          { kind: 'emptyRange', start: bytes('b'), end: bytes('m\0') },
        ];
        for (const guard of fails) {
          await expect(engine.commit(batch({ puts: { z: '1' }, guards: [...holds, guard] }))).rejects.toMatchObject({
            code: 'guard-failed',
          });
        }
        expect(await get(engine, 'z')).toBeUndefined();
        await engine.commit(batch({ puts: { z: '1' }, guards: holds }));
        expect(await get(engine, 'z')).toBe('1');
      });

      test('guards see what range deletes and puts did to their range', async () => {
        const empty: KvGuard = { kind: 'emptyRange', start: bytes('d/'), end: bytes('d0') };
        await engine.commit(batch({ puts: { 'd/x': '1', 'd/y': '2' } }));
        await rest();
        await engine.commit(batch({ deletes: ['d/x'] }));
        await expect(engine.commit(batch({ guards: [empty] }))).rejects.toMatchObject({ code: 'guard-failed' });
        await engine.commit(batch({ deleteRanges: [['d/', 'd0']] }));
        await engine.commit(batch({ puts: { ok: '1' }, guards: [empty] }));
        await engine.commit(batch({ puts: { 'd/z': '1' } }));
        await expect(engine.commit(batch({ guards: [empty] }))).rejects.toMatchObject({ code: 'guard-failed' });
      });

      test('a snapshot stays at its version', async () => {
        await engine.commit(batch({ puts: { a: '1', b: '2', c: '3' } }));
        await rest();
        await engine.commit(batch({ puts: { b: '2b' } }));
        using snapshot = engine.snapshot();
        await engine.commit(batch({ puts: { a: 'new', aa: 'x' }, deletes: ['b'] }));
        await engine.commit(batch({ deleteRanges: [['c', 'd']] }));
        await rest();
        await engine.commit(batch({ puts: { q: '1' } }));
        expect(await range(snapshot, 'a', 'z')).toEqual([
          ['a', '1'],
          ['b', '2b'],
          ['c', '3'],
        ]);
        expect(await get(snapshot, 'aa')).toBeUndefined();
        expect(await get(snapshot, 'c')).toBe('3');
        expect(await range(engine, 'a', 'z')).toEqual([
          ['a', 'new'],
          ['aa', 'x'],
          ['q', '1'],
        ]);
      });
    });

    test('guards see commits that are issued and not resolved (no phantom)', async () => {
      const first = engine.commit(batch({ puts: { 'd/x': '1' } }));
      const second = engine.commit(
        batch({ deletes: ['d'], guards: [{ kind: 'emptyRange', start: bytes('d/'), end: bytes('d0') }] }),
      );
      await expect(second).rejects.toMatchObject({ code: 'guard-failed' });
      await first;
      expect(await get(engine, 'd/x')).toBe('1');
    });

    test('a failed commit fails those issued after it, and none before or later', async () => {
      const first = engine.commit(batch({ puts: { a: '1' } }));
      const second = engine.commit(batch({ puts: { b: '1' }, guards: [{ kind: 'exists', key: bytes('no') }] }));
      const third = engine.commit(batch({ puts: { c: '1' } }));
      const results = await Promise.allSettled([first, second, third]);
      expect(
        results.map((result) => (result.status === 'fulfilled' ? 'ok' : (result.reason as { code: string }).code)),
      ).toEqual(['ok', 'guard-failed', 'aborted']);
      expect(await keys(engine, 'a', 'z')).toEqual(['a']);
      await engine.commit(batch({ puts: { d: '1' } }));
      expect(await keys(engine, 'a', 'z')).toEqual(['a', 'd']);
    });

    test('commits issued together take effect in order', async () => {
      await Promise.all(
        Array.from({ length: 200 }, (_, i) => engine.commit(batch({ puts: { k: `${i}`, [`n${i % 7}`]: `${i}` } }))),
      );
      expect(await get(engine, 'k')).toBe('199');
      expect(await get(engine, 'n0')).toBe('196');
    });

    test('a resolved relaxed commit is visible, also behind a durable one', async () => {
      const durable = engine.commit(batch({ puts: { a: '1' } }));
      await engine.commit(batch({ puts: { b: '1' } }), { durable: false });
      expect(await keys(engine, 'a', 'z')).toEqual(['a', 'b']);
      await durable;
      await engine.commit(batch({ puts: { c: '1' } }), { durable: false });
      expect(await get(engine, 'c')).toBe('1');
      await engine.barrier();
    });

    test('bytes belong to the caller on both sides', async () => {
      const key = bytes('key');
      const value = bytes('value');
      const done = engine.commit({ puts: [{ key, value }], deletes: [], deleteRanges: [], guards: [] });
      key.fill(0);
      value.fill(0);
      await done;
      const got = await engine.get(bytes('key'));
      expect(Buffer.from(got!).toString()).toBe('value');
      got!.fill(0);
      const [entry] = await engine.range(bytes('a'), bytes('z'), { limit: 1 });
      entry!.value.fill(0);
      expect(await get(engine, 'key')).toBe('value');
    });

    test('refuses what is too large', async () => {
      const { keyBytesMax, valueBytesMax } = engine.properties;
      const put = (key: Buffer, value: Buffer) =>
        engine.commit({ puts: [{ key, value }], deletes: [], deleteRanges: [], guards: [] });
      await put(Buffer.alloc(keyBytesMax, 7), bytes('x'));
      expect(await engine.get(Buffer.alloc(keyBytesMax, 7))).toBeDefined();
      await expect(put(Buffer.alloc(keyBytesMax + 1, 7), bytes('x'))).rejects.toMatchObject({ code: 'too-large' });
      await expect(put(bytes('x'), Buffer.alloc(valueBytesMax + 1))).rejects.toMatchObject({ code: 'too-large' });
    });

    test('space grows with what is stored and says its limit', async () => {
      await engine.commit(batch({ puts: { a: 'x'.repeat(300_000) } }));
      const { usedBytes, limitBytes } = engine.space();
      expect(usedBytes).toBeGreaterThan(299_999);
      expect(limitBytes).toBeGreaterThan(usedBytes);
    });

    test('refuses commits after close, and closes twice', async () => {
      await engine.commit(batch({ puts: { a: '1' } }), { durable: false });
      await engine.close();
      await engine.close();
      await expect(engine.commit(batch({ puts: { a: '2' } }))).rejects.toMatchObject({ code: 'closed' });
    });

    test('what was committed is there when the database is opened again', async () => {
      if (fixture.reopen === undefined) return;
      await engine.commit(batch({ puts: { a: '1', b: '2', c: '3' } }));
      await engine.commit(batch({ deletes: ['b'] }));
      engine = await fixture.reopen();
      expect(await range(engine, 'a', 'z')).toEqual([
        ['a', '1'],
        ['c', '3'],
      ]);
      await engine.commit(batch({ deleteRanges: [['c', 'd']], puts: { e: '5' } }));
      await settle(engine);
      await engine.commit(batch({ puts: { f: '6' } }), { durable: false });
      engine = await fixture.reopen();
      expect(await keys(engine, 'a', 'z')).toEqual(['a', 'e', 'f']);
    });
  });
}
