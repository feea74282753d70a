import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SortedMap } from '../../../src/kv/sorted-map.js';

const walk = (map: SortedMap<number>, start = '', end = '\uffff', reverse = false): [string, number][] => {
  const entries: [string, number][] = [];
  for (const cursor = map.cursor(start, end, reverse); cursor.key !== undefined; cursor.next()) {
    entries.push([cursor.key, cursor.value!]);
  }
  return entries;
};

describe('SortedMap', () => {
  test('an empty map has nothing', () => {
    const map = new SortedMap<number>();
    expect(map.get('a')).toBeUndefined();
    expect(map.delete('a')).toBeUndefined();
    expect(map.floor('a')).toBeUndefined();
    expect(walk(map)).toEqual([]);
    expect(walk(map, '', '\uffff', true)).toEqual([]);
  });

  test('holds thousands of keys in order, whichever order they came in', () => {
    const keys = Array.from({ length: 5000 }, (_, i) => String(i).padStart(5, '0'));
    for (const order of [keys, [...keys].reverse(), keys.map((_, i) => keys[(i * 1999) % 5000]!)]) {
      const map = new SortedMap<number>();
      for (const key of order) map.set(key, Number(key));
      expect(map.size).toBe(5000);
      expect(walk(map).map(([key]) => key)).toEqual(keys);
      expect(walk(map, '00100', '00103', true).map(([key]) => key)).toEqual(['00102', '00101', '00100']);
      expect(map.floor('01234x')).toEqual({ key: '01234', value: 1234 });
      for (const key of order) expect(map.delete(key)).toBe(Number(key));
      expect(map.size).toBe(0);
      expect(walk(map)).toEqual([]);
    }
  });

  test('does as a sorted array does, snapshots included', () => {
    const key = fc.integer({ min: 0, max: 700 }).map((n) => n.toString(27).padStart(3, '0'));
    const step = fc.oneof(
      { weight: 200, arbitrary: fc.record({ op: fc.constant('set' as const), key, value: fc.nat() }) },
      { weight: 100, arbitrary: fc.record({ op: fc.constant('delete' as const), key }) },
      { weight: 1, arbitrary: fc.constant({ op: 'snapshot' as const }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 1500, size: 'max' }), key, key, (steps, start, end) => {
        const map = new SortedMap<number>();
        const model = new Map<string, number>();
        const snapshots: [SortedMap<number>, Map<string, number>][] = [];
        for (const s of steps) {
          if (s.op === 'set') {
            expect(map.set(s.key, s.value)).toBe(model.get(s.key));
            model.set(s.key, s.value);
          } else if (s.op === 'delete') {
            expect(map.delete(s.key)).toBe(model.get(s.key));
            model.delete(s.key);
          } else snapshots.push([map.snapshot(), new Map(model)]);
        }
        for (const [got, want] of [...snapshots, [map, model] as const]) {
          const sorted = [...want].sort(([a], [b]) => (a < b ? -1 : 1));
          expect(got.size).toBe(want.size);
          expect(walk(got)).toEqual(sorted);
          const inside = sorted.filter(([k]) => k >= start && k < end);
          expect(walk(got, start, end)).toEqual(inside);
          expect(walk(got, start, end, true)).toEqual(inside.reverse());
          expect(got.floor(start)?.key).toBe(sorted.filter(([k]) => k <= start).at(-1)?.[0]);
          expect(got.get(start)).toBe(want.get(start));
        }
        // changing a snapshot leaves the map alone
        for (const [got] of snapshots) for (const k of ['000', '00a', '0pp']) got.set(k, -1);
        expect(walk(map)).toEqual([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
      }),
      { numRuns: 15 },
    );
  });
});
