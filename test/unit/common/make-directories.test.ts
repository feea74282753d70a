import { expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeErrorCode } from '../../../src/common/fs-error.js';
import { makeDirectories } from '../../../src/common/make-directories.js';

const failure = (path: string): string | undefined => {
  try {
    makeDirectories(path);
    return undefined;
  } catch (error) {
    return nodeErrorCode(error);
  }
};

test('makes what is missing, and nothing over a file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'curvefs-directories-'));
  try {
    makeDirectories(join(dir, 'a', 'b', 'c'), 0o700);
    expect(statSync(join(dir, 'a', 'b', 'c')).mode & 0o777).toBe(0o700);
    expect(failure(join(dir, 'a', 'b'))).toBeUndefined();
    writeFileSync(join(dir, 'file'), '');
    expect(failure(join(dir, 'file'))).toBe('EEXIST');
    expect(failure(join(dir, 'file', 'x'))).toBe('ENOTDIR');
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('gives up where a file system makes no directories', () => {
  expect(failure('/proc/curvefs/no/such')).toBe('ENOENT');
});
