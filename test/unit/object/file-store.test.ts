import { readSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FileStore } from '../../../src/object/file-store.js';
import { GroupSync } from '../../../src/object/group-sync.js';
import { failure } from '../../conformance/object-store-suite.js';

let parent: string;
let root: string;
let store: FileStore;
const body = Buffer.from('body');

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'curvefs-file-'));
  root = join(parent, 'root');
  await mkdir(root);
  store = new FileStore({ path: root });
});
afterEach(async () => {
  await store.close();
  await rm(parent, { recursive: true, force: true });
});

test('a missing root is no-bucket, also for delete and list, and found when it appears', async () => {
  await rm(root, { recursive: true });
  for (const call of [store.put('k', body), store.get('k'), store.delete(['k']), store.list('', '', 1)]) {
    expect(await failure(call)).toBe('no-bucket');
  }
  await expect(store.get('k')).rejects.toThrow(`the directory ${root} does not exist`);
  await mkdir(root);
  await store.put('k', body);
});

test('createRoot makes it, for its owner only', async () => {
  await rm(root, { recursive: true });
  const creating = new FileStore({ path: join(root, 'deep'), createRoot: true });
  await creating.put('k', body);
  expect((await stat(join(root, 'deep'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(root, 'deep', 'k'))).mode & 0o777).toBe(0o600);
  await creating.close();
});

test('a root that is a file, or not absolute', async () => {
  await writeFile(join(parent, 'file'), '');
  expect(await failure(new FileStore({ path: join(parent, 'file') }).put('k', body))).toBe('no-bucket');
  expect(await failure(new FileStore({ path: 'relative' }).put('k', body))).toBe('invalid');
});

test('a root renamed and replaced under the store keeps its objects', async () => {
  await store.put('a/k', body);
  await rename(root, join(parent, 'moved'));
  await mkdir(root);
  await store.put('a/k2', body);
  expect(await readdir(root)).toEqual([]);
  expect((await readdir(join(parent, 'moved', 'a'))).sort()).toEqual(['k', 'k2']);
});

test('a directory removed under the store is made again', async () => {
  await store.put('a/b/k', body);
  await rm(join(root, 'a'), { recursive: true });
  await store.put('a/b/k2', body);
  expect(await store.list('', '', 10)).toEqual([{ key: 'a/b/k2', size: 4 }]);
});

test('a temporary directory removed under the store is made again', async () => {
  await store.put('k', body);
  await rm(join(root, '~tmp'), { recursive: true });
  await store.put('k2', body);
  expect(await store.list('', '', 10)).toHaveLength(2);
});

test('symbolic links lead nowhere', async () => {
  const outside = join(parent, 'outside');
  await mkdir(outside);
  await writeFile(join(outside, 'secret'), 'secret');
  await symlink(join(outside, 'secret'), join(root, 'link'));
  await symlink(outside, join(root, 'dir'));
  expect(await failure(store.get('link'))).toBe('invalid');
  expect(await failure(store.put('dir/new', body))).toBe('invalid');
  expect(await store.list('', '', 10)).toEqual([]);
  expect(await readdir(outside)).toEqual(['secret']);
  // A link in the place of an object is replaced, not followed.
  await store.put('link', body);
  expect(await store.head('link')).toBe(4);
});

test('a key through an object, and a key that is a directory', async () => {
  await store.put('a', body);
  expect(await failure(store.put('a/b', body))).toBe('invalid');
  expect(await failure(store.get('a/b'))).toBe('invalid');
  await store.put('d/x', body);
  expect(await failure(store.put('d', body))).toBe('invalid');
  expect(await failure(store.head('d'))).toBe('not-found');
});

test('a failed put leaves no temporary file, a successful one neither', async () => {
  await store.put('d/x', body);
  expect(await failure(store.put('d', body))).toBe('invalid');
  expect(await readdir(join(root, '~tmp'))).toEqual([]);
});

test('old temporary files are removed at the first use, young ones are not', async () => {
  await mkdir(join(root, '~tmp'));
  await writeFile(join(root, '~tmp', 'old'), '');
  await writeFile(join(root, '~tmp', 'young'), '');
  const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
  await utimes(join(root, '~tmp', 'old'), twoDaysAgo, twoDaysAgo);
  await store.list('', '', 1);
  expect(await readdir(join(root, '~tmp'))).toEqual(['young']);
});

test('close waits for what is under way, and refuses what comes later', async () => {
  const puts = Array.from({ length: 10 }, (_, i) => store.put(`d/${i}`, Buffer.alloc(100_000)));
  await store.close();
  await Promise.all(puts);
  expect(await readdir(join(root, 'd'))).toHaveLength(10);
  expect(await failure(store.put('late', body))).toBe('aborted');
});

test('a sync asked for while one runs is another, shared one', async () => {
  const sync = new GroupSync();
  const first = sync.sync(root);
  const second = sync.sync(root);
  expect(second).not.toBe(first);
  expect(sync.sync(root)).toBe(second);
  await Promise.all([first, second]);
  expect(sync.sync(root)).not.toBe(second);
  await expect(sync.sync(join(root, 'none'))).rejects.toThrow('ENOENT');
});

test('an object that is open answers from the page cache, and one that is read again is brought there whole', async () => {
  const asked: number[] = [];
  /** As the addon's: here every byte counts as cached. */
  const readCached = (fd: number, into: Buffer, position: number): number => {
    asked.push(position);
    return readSync(fd, into, 0, into.length, position);
  };
  const near = new FileStore({ path: root, readCached });
  try {
    const into = Buffer.alloc(3);
    await near.put('d/x', Buffer.from('content'));
    expect(near.getNow('d/x', 0, into)).toBeUndefined();
    await near.get('d/x', { offset: 0, length: 2 });
    expect(near.getNow('d/x', 4, into)).toBe(3);
    expect(into.toString()).toBe('ent');
    expect(near.getNow('d/x', 6, into)).toBe(1);
    expect(near.getNow('d/x', 7, into)).toBe(0);
    expect(asked).toEqual([4, 6, 7]);
    for (let i = 0; i < 3; i++) await near.get('d/x', { offset: i, length: 2 });
    await near.put('d/x', Buffer.from('another'));
    expect(near.getNow('d/x', 0, into)).toBeUndefined();
  } finally {
    await near.close();
  }
});

test('what the page cache does not have is not there now', async () => {
  const near = new FileStore({ path: root, readCached: () => -constants.errno.EAGAIN });
  try {
    await near.put('x', body);
    await near.get('x', { offset: 0, length: 2 });
    expect(near.getNow('x', 0, Buffer.alloc(2))).toBeUndefined();
  } finally {
    await near.close();
  }
});
