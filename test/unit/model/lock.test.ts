import { describe, expect, test } from '@jest/globals';
import { conflict, LOCK_END_MAX, setRange, type LockRange, type LockType } from '../../../src/model/lock.js';
import { LockSet } from '../../../src/model/lock-set.js';

const MAX = LOCK_END_MAX;
type Short = readonly [start: number | bigint, end: number | bigint, type: 'r' | 'w'];
const TYPES = { r: 'read', w: 'write', u: undefined } as const;
const ranges = (...shorts: Short[]): LockRange[] =>
  shorts.map(([start, end, type]) => ({ start: BigInt(start), end: BigInt(end), type: TYPES[type], pid: 1 }));

describe("an owner's ranges", () => {
  test.each<[string, Short[], readonly [number | bigint, number | bigint, 'r' | 'w' | 'u'], Short[]]>([
    ['the first lock', [], [0, 10, 'r'], [[0, 10, 'r']]],
    ['to the end of the file', [], [5, MAX, 'w'], [[5, MAX, 'w']]],
    ['the last byte that there is', [], [MAX - 1n, MAX, 'w'], [[MAX - 1n, MAX, 'w']]],
    [
      'apart',
      [[0, 10, 'r']],
      [20, 30, 'r'],
      [
        [0, 10, 'r'],
        [20, 30, 'r'],
      ],
    ],
    [
      'before',
      [[20, 30, 'r']],
      [0, 10, 'w'],
      [
        [0, 10, 'w'],
        [20, 30, 'r'],
      ],
    ],
    ['merge: adjacent behind', [[0, 10, 'r']], [10, 20, 'r'], [[0, 20, 'r']]],
    ['merge: adjacent before', [[10, 20, 'r']], [0, 10, 'r'], [[0, 20, 'r']]],
    [
      'merge: a gap is filled',
      [
        [0, 10, 'w'],
        [20, 30, 'w'],
      ],
      [10, 20, 'w'],
      [[0, 30, 'w']],
    ],
    ['merge: overlapping', [[0, 10, 'r']], [5, 20, 'r'], [[0, 20, 'r']]],
    ['merge: inside changes nothing', [[0, 30, 'r']], [10, 20, 'r'], [[0, 30, 'r']]],
    [
      'merge: over several',
      [
        [0, 5, 'r'],
        [10, 15, 'r'],
        [20, 25, 'r'],
      ],
      [3, 22, 'r'],
      [[0, 25, 'r']],
    ],
    [
      'adjacent of the other type stay two',
      [[0, 10, 'r']],
      [10, 20, 'w'],
      [
        [0, 10, 'r'],
        [10, 20, 'w'],
      ],
    ],
    ['upgrade of all', [[0, 10, 'r']], [0, 10, 'w'], [[0, 10, 'w']]],
    [
      'upgrade in the middle splits',
      [[0, 30, 'r']],
      [10, 20, 'w'],
      [
        [0, 10, 'r'],
        [10, 20, 'w'],
        [20, 30, 'r'],
      ],
    ],
    [
      'downgrade in the middle splits',
      [[0, 30, 'w']],
      [10, 20, 'r'],
      [
        [0, 10, 'w'],
        [10, 20, 'r'],
        [20, 30, 'w'],
      ],
    ],
    [
      'downgrade back merges',
      [
        [0, 10, 'r'],
        [10, 20, 'w'],
        [20, 30, 'r'],
      ],
      [10, 20, 'r'],
      [[0, 30, 'r']],
    ],
    [
      'over the end of one and the start of another',
      [
        [0, 10, 'r'],
        [20, 30, 'r'],
      ],
      [5, 25, 'w'],
      [
        [0, 5, 'r'],
        [5, 25, 'w'],
        [25, 30, 'r'],
      ],
    ],
    [
      'unlock of all',
      [
        [0, 10, 'r'],
        [20, 30, 'w'],
      ],
      [0, MAX, 'u'],
      [],
    ],
    [
      'unlock in the middle splits',
      [[0, 30, 'w']],
      [10, 20, 'u'],
      [
        [0, 10, 'w'],
        [20, 30, 'w'],
      ],
    ],
    ['unlock of the start', [[0, 30, 'w']], [0, 10, 'u'], [[10, 30, 'w']]],
    ['unlock of the end', [[0, MAX, 'r']], [10, MAX, 'u'], [[0, 10, 'r']]],
    ['unlock of what is not locked', [[10, 20, 'r']], [0, 10, 'u'], [[10, 20, 'r']]],
    [
      'unlock of one byte behind the largest double',
      [[0, MAX, 'r']],
      [(1n << 62n) + 1n, (1n << 62n) + 2n, 'u'],
      [
        [0, (1n << 62n) + 1n, 'r'],
        [(1n << 62n) + 2n, MAX, 'r'],
      ],
    ],
  ])('%s', (_name, before, [start, end, type], after) => {
    const range = { start: BigInt(start), end: BigInt(end) };
    expect(setRange(ranges(...before), range, TYPES[type], 1)).toEqual(ranges(...after));
  });

  test('a lock is of the process that set it last', () => {
    const [merged] = setRange(ranges([0, 10, 'r']), { start: 5n, end: 20n }, 'read', 7);
    expect(merged).toEqual({ start: 0n, end: 20n, type: 'read', pid: 7 });
  });
});

test.each<[Short, Short, boolean]>([
  [[0, 10, 'r'], [0, 10, 'r'], false],
  [[0, 10, 'r'], [9, 20, 'w'], true],
  [[0, 10, 'w'], [9, 20, 'r'], true],
  [[0, 10, 'w'], [10, 20, 'w'], false],
  [[0, MAX, 'w'], [MAX - 1n, MAX, 'r'], true],
])('%p and %p conflict: %p', (a, b, expected) => {
  const [left, right] = ranges(a, b);
  expect(conflict(left!, right!)).toBe(expected);
  expect(conflict(right!, left!)).toBe(expected);
});

describe('the locks of an inode', () => {
  const wanted = (start: number, end: number, type: LockType) => ({ start: BigInt(start), end: BigInt(end), type });

  test('what is in the way: of others only, the lowest first', () => {
    const set = new LockSet<string>();
    set.put('a', ranges([50, 60, 'w']));
    set.put('b', ranges([0, 10, 'r'], [20, 30, 'w']));
    expect(set.size).toBe(3);
    expect(set.firstConflict('c', wanted(0, 100, 'write'))).toEqual({ owner: 'b', range: ranges([0, 10, 'r'])[0] });
    expect(set.firstConflict('c', wanted(0, 100, 'read'))).toEqual({ owner: 'b', range: ranges([20, 30, 'w'])[0] });
    expect(set.firstConflict('b', wanted(0, 100, 'write'))).toEqual({ owner: 'a', range: ranges([50, 60, 'w'])[0] });
    expect(set.firstConflict('c', wanted(0, 15, 'read'))).toBeUndefined();
    expect(set.blockers('c', wanted(0, 100, 'write')).sort()).toEqual(['a', 'b']);
    expect(set.blockers('a', wanted(0, 100, 'read'))).toEqual(['b']);
  });

  test('an owner without ranges is gone', () => {
    const set = new LockSet<string>();
    set.put('a', ranges([0, 1, 'w']));
    set.put('a', []);
    expect(set.isEmpty).toBe(true);
    expect(set.of('a')).toEqual([]);
  });
});
