import { describe, expect, test } from '@jest/globals';
import type { Ino } from '../../../src/model/ids.js';
import { type InodeAttr, S_IFDIR, S_IFREG } from '../../../src/model/inode.js';
import {
  type Capability,
  type Identity,
  isHeldBySticky,
  mayAccess,
  mayChown,
  mayHaveSgid,
  mayKeepSgid,
  ownsOrCapable,
} from '../../../src/model/permission.js';

const time = { sec: 0, nsec: 0 };
const attr = (mode: number, uid = 10, gid = 20): InodeAttr => ({
  ino: 5 as Ino,
  mode,
  nlink: 1,
  uid,
  gid,
  rdev: 0,
  size: 0,
  allocatedBytes: 0,
  atime: time,
  mtime: time,
  ctime: time,
  btime: time,
  change: 1,
  writerEpoch: 0,
  lastWriter: 0,
  truncEpoch: 0,
  timeEpoch: 0,
  parent: 1 as Ino,
  hasXattrs: false,
  aclChange: 0,
  quota: 0 as Ino,
});

/** `groups` 'unknown' = neither groups nor capabilities can be known. */
function who(
  uid: number,
  gid: number,
  groups: readonly number[] | 'unknown' = [],
  capabilities: readonly Capability[] = [],
  kernelChecked = false,
): Identity {
  return {
    uid,
    gid,
    kernelChecked,
    inGroup: (asked) => (asked === gid ? true : groups === 'unknown' ? undefined : groups.includes(asked)),
    capable: (asked) => (groups === 'unknown' ? undefined : capabilities.includes(asked)),
  };
}

describe('mayAccess', () => {
  test.each([
    ['owner by owner bits', who(10, 99), 0o700, 7, true],
    ['owner is held to the owner bits', who(10, 20), 0o077, 4, false],
    ['group by group bits', who(11, 20), 0o060, 6, true],
    ['group is held to the group bits', who(11, 20), 0o606, 4, false],
    ['supplementary group', who(11, 99, [20]), 0o040, 4, true],
    ['supplementary group is held to the group bits', who(11, 99, [20]), 0o004, 4, false],
    ['other', who(11, 99), 0o004, 4, true],
    ['other denied', who(11, 99), 0o770, 1, false],
    ['all bits are needed', who(10, 99), 0o400, 6, false],
  ])('%s', (_name, identity, bits, mask, allowed) => {
    expect(mayAccess(identity, attr(S_IFREG | bits), mask)).toBe(allowed);
  });

  test('CAP_DAC_OVERRIDE does not execute what nobody may execute', () => {
    const root = who(0, 0, [], ['CAP_DAC_OVERRIDE']);
    expect(mayAccess(root, attr(S_IFREG), 6)).toBe(true);
    expect(mayAccess(root, attr(S_IFREG), 1)).toBe(false);
    expect(mayAccess(root, attr(S_IFREG | 0o010), 1)).toBe(true);
    expect(mayAccess(root, attr(S_IFDIR), 1)).toBe(true);
  });

  test('CAP_DAC_READ_SEARCH reads files and searches directories, and writes neither', () => {
    const reader = who(11, 99, [], ['CAP_DAC_READ_SEARCH']);
    expect(mayAccess(reader, attr(S_IFREG), 4)).toBe(true);
    expect(mayAccess(reader, attr(S_IFDIR), 5)).toBe(true);
    expect(mayAccess(reader, attr(S_IFREG), 2)).toBe(false);
    expect(mayAccess(reader, attr(S_IFDIR), 2)).toBe(false);
  });

  test.each([
    ['the kernel has checked: in favour', true, true],
    ['nobody has checked: against', false, false],
  ])('unknown groups, %s', (_name, kernelChecked, allowed) => {
    const unknown = who(11, 99, 'unknown', [], kernelChecked);
    expect(mayAccess(unknown, attr(S_IFREG | 0o040), 4)).toBe(allowed);
    // The group may be denied what others are granted: membership must not be assumed then.
    expect(mayAccess(unknown, attr(S_IFREG | 0o004), 4)).toBe(allowed);
  });
});

describe('ownership', () => {
  test('chmod and explicit times are the owner’s', () => {
    expect(ownsOrCapable(who(10, 99), attr(S_IFREG))).toBe(true);
    expect(ownsOrCapable(who(11, 20), attr(S_IFREG))).toBe(false);
    expect(ownsOrCapable(who(11, 20, [], ['CAP_FOWNER']), attr(S_IFREG))).toBe(true);
  });

  test.each([
    ['owner to a group of its own', who(10, 30), undefined, 30, true],
    ['owner to a supplementary group', who(10, 99, [31]), undefined, 31, true],
    ['owner to a foreign group', who(10, 99), undefined, 32, false],
    ['owner gives the file away', who(10, 99), 11, undefined, false],
    ['owner to itself', who(10, 99), 10, 20, true],
    ['another in the group', who(11, 20), undefined, 20, false],
    ['CAP_CHOWN', who(11, 99, [], ['CAP_CHOWN']), 5, 6, true],
  ])('chown: %s', (_name, identity, uid, gid, allowed) => {
    expect(mayChown(identity, attr(S_IFREG), uid, gid)).toBe(allowed);
  });

  test('set-group-ID is for members of the group', () => {
    expect(mayHaveSgid(who(10, 99), 20)).toBe(false);
    expect(mayHaveSgid(who(10, 20), 20)).toBe(true);
    expect(mayHaveSgid(who(10, 99, [20]), 20)).toBe(true);
    expect(mayHaveSgid(who(10, 99, [], ['CAP_FSETID']), 20)).toBe(true);
  });

  test('an executable made with set-group-ID under a foreign group loses it', () => {
    const parent = attr(S_IFDIR | 0o2777, 0, 50);
    expect(mayKeepSgid(who(10, 20), parent, S_IFREG | 0o2775)).toBe(false);
    expect(mayKeepSgid(who(10, 20), parent, S_IFREG | 0o2765)).toBe(true);
    expect(mayKeepSgid(who(10, 50), parent, S_IFREG | 0o2775)).toBe(true);
  });
});

describe('the sticky bit', () => {
  const sticky = attr(S_IFDIR | 0o1777, 1, 1);
  test.each([
    ['owner of the entry', who(10, 99), false],
    ['owner of the directory', who(1, 99), false],
    ['another', who(11, 99), true],
    ['CAP_FOWNER', who(11, 99, [], ['CAP_FOWNER']), false],
  ])('%s', (_name, identity, held) => {
    expect(isHeldBySticky(identity, sticky, attr(S_IFREG, 10))).toBe(held);
  });

  test('holds nothing in a directory without it', () => {
    expect(isHeldBySticky(who(11, 99), attr(S_IFDIR | 0o777, 1, 1), attr(S_IFREG, 10))).toBe(false);
  });
});
