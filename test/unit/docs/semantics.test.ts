import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

/** docs/SEMANTICS.md names the proof of each statement: a test, or a table of the POSIX suite. */
test('every statement names tests that are there', () => {
  const rows = readFileSync('docs/SEMANTICS.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| A program'));
  expect(rows.length).toBeGreaterThan(20);
  for (const row of rows) {
    const proofs = [...(row.split(' | ').at(-1) ?? '').matchAll(/`([^`]+\.ts)`/g)].map(([, path]) => path!);
    expect({ row, proofs: proofs.length > 0 }).toEqual({ row, proofs: true });
    for (const path of proofs) {
      const file = path.includes('/') ? path : `test/kernel/posix/tables/${path}`;
      expect({ file, there: existsSync(file) }).toEqual({ file, there: true });
    }
  }
});
