import { describe, expect, test } from '@jest/globals';
import { FsError } from '../../../src/common/fs-error.js';
import type { Ino } from '../../../src/model/ids.js';
import type { InodeAttr } from '../../../src/model/inode.js';
import { RemovedInodes } from '../../../src/vfs/removed-inodes.js';

const INO = 7 as Ino;

/** The inode is gone from the server; the cache drops it when the server says so. */
function removedFrom(known: Partial<InodeAttr> | undefined): { removed: RemovedInodes; asked: () => number } {
  let asked = 0;
  let cached = known as InodeAttr | undefined;
  const meta = {
    now: () => ({ sec: 5, nsec: 0 }),
    knownAttr: () => cached,
    getattr: () => {
      asked++;
      cached = undefined;
      return Promise.reject(new FsError('ENOENT'));
    },
  };
  return { removed: new RemovedInodes(meta), asked: () => asked };
}

describe('RemovedInodes', () => {
  test('what this mount removed keeps its last attributes until the driver forgets it', async () => {
    const { removed, asked } = removedFrom({ ino: INO, nlink: 0 });
    expect(await removed.getattr(INO, undefined)).toMatchObject({ nlink: 0 });
    expect(removed.getattr(INO, undefined)).toMatchObject({ nlink: 0 });
    expect(asked()).toBe(1);
    removed.forget(INO);
    await expect(removed.getattr(INO, undefined)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('what others removed, or was never known, is gone', async () => {
    await expect(removedFrom({ ino: INO, nlink: 2 }).removed.getattr(INO, undefined)).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await expect(removedFrom(undefined).removed.getattr(INO, undefined)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('what is gone can be changed by who holds it; other failures and other files are as the server says', async () => {
    const attr = { ino: INO, nlink: 0, mode: 0o040755, uid: 1, gid: 1, atime: { sec: 1, nsec: 0 } } as InodeAttr;
    const { removed } = removedFrom(attr);
    const gone = (): Promise<InodeAttr> => Promise.reject(new FsError('ENOENT'));
    const changed = await removed.setattr(attr, { mode: 0o700, gid: 2 }, gone);
    expect(changed).toMatchObject({ mode: 0o040700, uid: 1, gid: 2, atime: { sec: 1 }, ctime: { sec: 5 } });
    expect(removed.getattr(INO, undefined)).toEqual(changed);
    expect(await removed.setattr(changed, { atime: 'now' }, gone)).toMatchObject({ mode: 0o040700, atime: { sec: 5 } });

    const other = { ...attr, ino: 8 as Ino };
    const refused = (): Promise<InodeAttr> => Promise.reject(new FsError('EROFS'));
    await expect(removed.setattr(other, { mode: 0 }, refused)).rejects.toMatchObject({ code: 'EROFS' });
    await expect(removed.setattr({ ...other, nlink: 2 }, { mode: 0 }, gone)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await removed.setattr(other, { mode: 0 }, () => ({ ...other, mode: 0 }))).toMatchObject({ mode: 0 });
  });
});
