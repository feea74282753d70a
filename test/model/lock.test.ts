import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { setRange, type LockRange, type LockType } from '../../src/model/lock.js';
import { LockSet } from '../../src/model/lock-set.js';

const BYTES = 24;
const OWNERS = ['a', 'b', 'c'] as const;
type Owner = (typeof OWNERS)[number];

/** The reference: who holds what, byte by byte. */
class ByteLocks {
  readonly #held = new Map<Owner, (LockType | undefined)[]>(
    OWNERS.map((owner) => [owner, new Array<LockType | undefined>(BYTES).fill(undefined)]),
  );

  isFree(owner: Owner, start: number, end: number, type: LockType): boolean {
    return OWNERS.every(
      (other) =>
        other === owner ||
        this.of(other).every(
          (held, at) => at < start || at >= end || held === undefined || (held === 'read' && type === 'read'),
        ),
    );
  }

  set(owner: Owner, start: number, end: number, type: LockType | undefined): void {
    this.of(owner).fill(type, start, end);
  }

  of(owner: Owner): (LockType | undefined)[] {
    return this.#held.get(owner)!;
  }
}

const bytesOf = (ranges: readonly LockRange[]): (LockType | undefined)[] => {
  const bytes = new Array<LockType | undefined>(BYTES).fill(undefined);
  for (const { start, end, type } of ranges) bytes.fill(type, Number(start), Number(end));
  return bytes;
};

test('range locks are what a table of single bytes says', () => {
  const step = fc.record({
    owner: fc.constantFrom(...OWNERS),
    start: fc.integer({ min: 0, max: BYTES - 1 }),
    length: fc.integer({ min: 1, max: BYTES }),
    type: fc.constantFrom<LockType | undefined>('read', 'write', undefined),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const locks = new LockSet<Owner>();
      const bytes = new ByteLocks();
      for (const { owner, start, length, type } of steps) {
        const end = Math.min(BYTES, start + length);
        const range = { start: BigInt(start), end: BigInt(end) };
        if (type !== undefined) {
          const free = locks.firstConflict(owner, { ...range, type }) === undefined;
          expect(free).toBe(bytes.isFree(owner, start, end, type));
          expect(locks.blockers(owner, { ...range, type }).length === 0).toBe(free);
          if (!free) continue;
        }
        locks.put(owner, setRange(locks.of(owner), range, type, 1));
        bytes.set(owner, start, end, type);
        for (const each of OWNERS) {
          const ranges = locks.of(each);
          expect(bytesOf(ranges)).toEqual(bytes.of(each));
          // ascending, disjoint, merged
          for (const [at, { start: from, type: kind }] of ranges.entries()) {
            const before = ranges[at - 1];
            if (before !== undefined)
              expect(before.end < from || (before.end === from && before.type !== kind)).toBe(true);
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});
