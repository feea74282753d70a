import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from '@jest/globals';
import { fsyncCoversRename } from '../../../src/object/fsync-covers-rename.js';

function answer(directory: string): boolean {
  const fd = openSync(directory, 'r');
  try {
    return fsyncCoversRename(fd);
  } finally {
    closeSync(fd);
  }
}

test('only file systems that are known for it count', () => {
  expect(answer('/proc')).toBe(false);
  const type = execFileSync('findmnt', ['-n', '-o', 'FSTYPE', '--target', tmpdir()], { encoding: 'utf8' }).trim();
  expect(answer(tmpdir())).toBe(['ext4', 'xfs', 'btrfs'].includes(type));
});

test('a descriptor that is not open does not count', () => {
  expect(fsyncCoversRename(-1)).toBe(false);
});
