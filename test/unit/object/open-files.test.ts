import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { fstatSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileStore } from '../../../src/object/file-store.js';
import { OpenFiles } from '../../../src/object/open-files.js';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'curvefs-open-files-'));
  writeFileSync(join(dir, 'file'), 'content');
});

afterEach(() => rmSync(dir, { recursive: true }));

const opened = (): number => openSync(join(dir, 'file'), 'r');
const isOpen = (fd: number): boolean => {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
};

describe('OpenFiles', () => {
  test('keeps a file for the next reader and closes it at the end', () => {
    const files = new OpenFiles({ filesMax: 2, idleMs: 60_000 });
    expect(files.take('a')).toBeUndefined();
    const file = files.add('a', opened());
    files.giveBack(file);
    expect(files.take('a')).toBe(file);
    files.giveBack(file);
    expect(isOpen(file.fd)).toBe(true);
    files.clear();
    expect(isOpen(file.fd)).toBe(false);
  });

  test('a file that is dropped while it is read is closed by its last reader', () => {
    const files = new OpenFiles({ filesMax: 2, idleMs: 60_000 });
    const file = files.add('a', opened());
    files.take('a');
    files.drop('a');
    expect(files.take('a')).toBeUndefined();
    files.giveBack(file);
    expect(isOpen(file.fd)).toBe(true);
    files.giveBack(file);
    expect(isOpen(file.fd)).toBe(false);
  });

  test('holds at most so many', () => {
    const files = new OpenFiles({ filesMax: 1, idleMs: 60_000 });
    const first = files.add('a', opened());
    files.giveBack(first);
    const second = files.add('b', opened());
    expect([isOpen(first.fd), isOpen(second.fd), files.size]).toEqual([false, true, 1]);
    files.giveBack(second);
    files.clear();
  });
});

test('a ranged get after a replacement or a deletion does not see the old object', async () => {
  const store = new FileStore({ path: dir });
  try {
    const range = { offset: 0, length: 3 };
    await store.put('k', Buffer.from('one'));
    expect(Buffer.from(await store.get('k', range)).toString()).toBe('one');
    await store.put('k', Buffer.from('two'));
    expect(Buffer.from(await store.get('k', range)).toString()).toBe('two');
    await store.delete(['k']);
    await expect(store.get('k', range)).rejects.toMatchObject({ code: 'not-found' });
  } finally {
    await store.close();
  }
});
