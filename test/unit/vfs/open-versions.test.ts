import { describe, expect, test } from '@jest/globals';
import type { Ino, SessionId } from '../../../src/model/ids.js';
import type { InodeAttr } from '../../../src/model/inode.js';
import { OpenVersions } from '../../../src/vfs/open-versions.js';

const US = 1 as SessionId;
const attrOf = (change: number, lastWriter: number): InodeAttr =>
  ({ ino: 7 as Ino, change, writerEpoch: lastWriter, lastWriter }) as InodeAttr;

describe('OpenVersions', () => {
  test('what another session wrote since the last open is foreign, once', () => {
    const versions = new OpenVersions(US);
    expect(versions.isForeign(attrOf(5, 2))).toBe(true);
    versions.opened(attrOf(5, 2));
    expect(versions.isForeign(attrOf(5, 2))).toBe(false);
    expect(versions.isForeign(attrOf(6, 2))).toBe(true);
  });

  test('what this session wrote, or nobody, is not', () => {
    const versions = new OpenVersions(US);
    expect(versions.isForeign(attrOf(5, US))).toBe(false);
    expect(versions.isForeign(attrOf(5, 0))).toBe(false);
  });
});
