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
});
