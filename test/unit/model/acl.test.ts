import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type Acl,
  ACL_ACCESS,
  ACL_DEFAULT,
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  aclKind,
  aclMode,
  chmodAcl,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  isMinimalAcl,
} from '../../../src/model/acl.js';
import type { Ino } from '../../../src/model/ids.js';
import { type InodeAttr, S_IFREG } from '../../../src/model/inode.js';
import { type Capability, type Identity, mayAccess } from '../../../src/model/permission.js';

const TAGS: Readonly<Record<string, number>> = { u: ACL_USER, g: ACL_GROUP };
const OBJ_TAGS: Readonly<Record<string, number>> = { u: ACL_USER_OBJ, g: ACL_GROUP_OBJ, m: ACL_MASK, o: ACL_OTHER };

/** An ACL in the short text of setfacl(1): `u::rwx u:5:r-- g::--- m::r-- o::---`. */
function parse(text: string): Acl {
  return text.split(' ').map((part) => {
    const [kind = '', id = '', perms = ''] = part.split(':');
    const perm = ['r', 'w', 'x'].reduce((bits, letter) => bits * 2 + (perms.includes(letter) ? 1 : 0), 0);
    return { tag: (id === '' ? OBJ_TAGS : TAGS)[kind]!, perm, id: id === '' ? 0xffff_ffff : Number(id) };
  });
}

const code = (value: string): object => expect.objectContaining({ code: value });
const bytes = (text: string): Buffer => encodeAcl(parse(text));

describe('the value of an ACL attribute', () => {
  test('is that of linux/posix_acl_xattr.h', () => {
    expect(bytes('u::rwx u:5:r-- g::r-x m::r-x o::---').toString('hex')).toBe(
      '02000000' +
        '01000700ffffffff' +
        '0200040005000000' +
        '04000500ffffffff' +
        '10000500ffffffff' +
        '20000000ffffffff',
    );
  });

  test('names', () => {
    expect(aclKind(ACL_ACCESS)).toBe('access');
    expect(aclKind(Uint8Array.from(ACL_DEFAULT))).toBe('default');
    expect(aclKind(Buffer.from('system.posix_acl_acces'))).toBeUndefined();
    expect(aclKind(Buffer.from('system.posix_acl_accesS'))).toBeUndefined();
  });

  test('without entries it is no ACL', () => {
    expect(decodeAcl(Buffer.from([2, 0, 0, 0]))).toBeUndefined();
  });

  test.each([
    ['nothing', Buffer.alloc(0), 'EINVAL'],
    ['half a header', Buffer.from([2, 0, 0]), 'EINVAL'],
    ['another version', Buffer.from([1, 0, 0, 0]), 'EOPNOTSUPP'],
    ['half an entry', bytes('u::rwx g::rwx o::rwx').subarray(0, 24), 'EINVAL'],
    ['an unknown tag', encodeAcl([...parse('u::rwx g::rwx'), { tag: 0x40, perm: 0, id: 0 }]), 'EINVAL'],
    ['more than rwx', encodeAcl([...parse('u::rwx g::rwx'), { tag: ACL_OTHER, perm: 8, id: 0 }]), 'EINVAL'],
    ['no owner', bytes('g::rwx o::rwx'), 'EINVAL'],
    ['no group', bytes('u::rwx o::rwx'), 'EINVAL'],
    ['no others', bytes('u::rwx g::rwx'), 'EINVAL'],
    ['names without a mask', bytes('u::rwx u:5:rwx g::rwx o::rwx'), 'EINVAL'],
    ['groups without a mask', bytes('u::rwx g::rwx g:5:rwx o::rwx'), 'EINVAL'],
    ['two owners', bytes('u::rwx u::rwx g::rwx o::rwx'), 'EINVAL'],
    ['two masks', bytes('u::rwx g::rwx m::rwx m::rwx o::rwx'), 'EINVAL'],
    ['another order', bytes('u::rwx g::rwx u:5:rwx m::rwx o::rwx'), 'EINVAL'],
    ['a name without an id', bytes('u::rwx u:4294967295:rwx g::rwx m::rwx o::rwx'), 'EINVAL'],
  ])('refuses %s', (_name, value, expected) => {
    expect(() => decodeAcl(value)).toThrow(code(expected));
  });
});

describe('ACL and mode', () => {
  test.each([
    ['u::rw- g::r-- o::---', 0o640, true],
    ['u::rw- g::r-- m::rwx o::---', 0o670, false],
    ['u::rwx u:5:rwx g::rwx m::r-x o::--x', 0o751, false],
  ])('%s shows as %o', (text, mode, minimal) => {
    expect(aclMode(parse(text))).toBe(mode);
    expect(isMinimalAcl(parse(text))).toBe(minimal);
  });

  test('chmod changes the mask, or the group where there is none', () => {
    expect(chmodAcl(parse('u::rwx u:5:rwx g::r-x m::rwx o::---'), 0o641)).toEqual(
      parse('u::rw- u:5:rwx g::r-x m::r-- o::--x'),
    );
    expect(chmodAcl(parse('u::rwx g::r-x o::---'), 0o641)).toEqual(parse('u::rw- g::r-- o::--x'));
  });

  test.each([
    ['u::rwx g::r-x o::---', 0o666, 0o640, undefined],
    ['u::rwx g::r-x o::---', 0o4755, 0o4750, undefined],
    ['u::rwx u:5:rwx g::r-x m::rwx o::r-x', 0o666, 0o664, 'u::rw- u:5:rwx g::r-x m::rw- o::r--'],
    ['u::rwx u:5:rwx g::r-x m::r-x o::---', 0o2777, 0o2750, 'u::rwx u:5:rwx g::r-x m::r-x o::---'],
    ['u::r-- g::--- m::rwx o::rwx', 0o600, 0o400, 'u::r-- g::--- m::--- o::---'],
  ])('%s makes %o to %o', (text, asked, mode, access) => {
    const inherited = inheritAcl(parse(text), S_IFREG | asked);
    expect(inherited).toEqual({ mode: S_IFREG | mode, access: access === undefined ? undefined : parse(access) });
  });
});

const time = { sec: 0, nsec: 0 };
const times = { atime: time, mtime: time, ctime: time, btime: time };
const counters = { change: 1, writerEpoch: 0, lastWriter: 0, truncEpoch: 0, timeEpoch: 0 };
const file = (acl: Acl): InodeAttr => ({
  ...{ ino: 5 as Ino, mode: S_IFREG | aclMode(acl), nlink: 1, uid: 10, gid: 20, rdev: 0, size: 0, allocatedBytes: 0 },
  ...times,
  ...counters,
  ...{ parent: 0 as Ino, hasXattrs: true, aclChange: 1, quota: 0 as Ino },
});

function who(
  uid: number,
  groups: readonly number[] | undefined,
  kernelChecked = false,
  caps: Capability[] = [],
): Identity {
  return {
    uid,
    gid: uid,
    kernelChecked,
    inGroup: (gid) => groups?.includes(gid),
    capable: (capability) => (groups === undefined ? undefined : caps.includes(capability)),
  };
}

describe('access by ACL', () => {
  test.each([
    ['the owner by its entry', 'u::rw- u:10:--- g::--- m::rwx o::---', who(10, []), 6, true],
    ['the owner is held to its entry', 'u::--- u:10:rwx g::rwx m::rwx o::rwx', who(10, [20]), 4, false],
    ['a named user', 'u::--- u:11:rw- g::--- m::rwx o::---', who(11, []), 6, true],
    ['a named user is held to the mask', 'u::--- u:11:rw- g::--- m::r-- o::rwx', who(11, []), 2, false],
    [
      'a named user is held to the entry, whatever its groups',
      'u::--- u:11:r-- g::rwx m::rwx o::rwx',
      who(11, [20]),
      2,
      false,
    ],
    ['the owning group', 'u::--- u:9:--- g::r-- m::rwx o::---', who(11, [20]), 4, true],
    ['the owning group is held to the mask', 'u::--- g::rwx m::r-- o::rwx', who(11, [20]), 2, false],
    ['a named group', 'u::--- g::--- g:30:rw- m::rwx o::---', who(11, [30]), 6, true],
    [
      'one of several groups that grants it all',
      'u::--- g::--- g:30:r-- g:31:rw- m::rwx o::---',
      who(11, [20, 30, 31]),
      6,
      true,
    ],
    ['not two groups that grant a part each', 'u::--- g::r-- g:30:-w- m::rwx o::---', who(11, [20, 30]), 6, false],
    ['a member of a group is not among the others', 'u::--- g::--- g:30:--- m::rwx o::rwx', who(11, [30]), 4, false],
    ['others', 'u::--- u:9:--- g::--- g:30:--- m::rwx o::r--', who(11, [31]), 4, true],
    ['others are not held to the mask', 'u::--- u:9:--- g::--- m::--x o::r--', who(11, []), 4, true],
    ['others denied', 'u::rwx u:9:rwx g::rwx m::rwx o::---', who(11, []), 1, false],
    [
      'a mask of nothing lets the mode decide, as in the kernel',
      'u::--- u:11:rwx g::rwx m::--- o::r--',
      who(11, []),
      4,
      true,
    ],
    ['a capability', 'u::--- u:11:--- g::--- m::--- o::---', who(11, [], false, ['CAP_DAC_OVERRIDE']), 6, true],
    [
      'unknown groups where the kernel has checked',
      'u::--- g::r-- g:30:rw- m::rwx o::---',
      who(11, undefined, true),
      6,
      true,
    ],
    ['unknown groups where nobody has', 'u::--- g::r-- g:30:rw- m::rwx o::---', who(11, undefined), 4, false],
    ['unknown groups that might deny', 'u::--- g::--- g:30:--- m::rwx o::rwx', who(11, undefined), 4, false],
  ])('%s', (_name, text, identity, mask, allowed) => {
    const acl = parse(text);
    expect(mayAccess(identity, file(acl), mask, acl)).toBe(allowed);
  });
});

describe('for every ACL', () => {
  const perm = fc.nat(7);
  const id = fc.nat(3);
  const named = (tag: number): fc.Arbitrary<Acl> =>
    fc.array(fc.record({ tag: fc.constant(tag), perm, id }), { maxLength: 3 });
  const anAcl: fc.Arbitrary<Acl> = fc
    .tuple(perm, named(ACL_USER), perm, named(ACL_GROUP), fc.option(perm), perm)
    .map(([owner, users, group, groups, mask, other]) => {
      const one = (tag: number, bits: number): Acl => [{ tag, perm: bits, id: 0xffff_ffff }];
      const masked = mask ?? (users.length + groups.length > 0 ? 7 : undefined);
      return [
        ...one(ACL_USER_OBJ, owner),
        ...users,
        ...one(ACL_GROUP_OBJ, group),
        ...groups,
        ...(masked === undefined ? [] : one(ACL_MASK, masked)),
        ...one(ACL_OTHER, other),
      ];
    });

  test('encoding and decoding give it back', () => {
    fc.assert(fc.property(anAcl, (acl) => expect(decodeAcl(encodeAcl(acl))).toEqual(acl)));
  });

  test('chmod makes the mode what was asked, and setting it again changes nothing', () => {
    fc.assert(
      fc.property(anAcl, fc.nat(0o777), (acl, mode) => {
        const changed = chmodAcl(acl, mode);
        expect(aclMode(changed)).toBe(mode);
        expect(decodeAcl(encodeAcl(changed))).toEqual(changed);
        expect(chmodAcl(changed, aclMode(acl))).toEqual(acl);
      }),
    );
  });

  test('what is inherited grants no more than was asked, nor than the default ACL grants', () => {
    fc.assert(
      fc.property(
        anAcl,
        fc.nat(0o777),
        fc.nat(3),
        fc.subarray([0, 1, 2, 3, 20]),
        perm,
        (acl, asked, uid, groups, mask) => {
          const { mode, access } = inheritAcl(acl, S_IFREG | asked);
          expect(mode & ~asked & 0o777).toBe(0);
          const made = access ?? chmodAcl(acl, mode);
          expect(aclMode(made)).toBe(mode & 0o777);
          // beside the kernel's shortcut for an empty group class
          if ((mode & 0o070) === 0 || (aclMode(acl) & 0o070) === 0) return;
          const caller = who(uid, groups);
          if (mayAccess(caller, { ...file(made), mode }, mask, access)) {
            expect(mayAccess(caller, file(acl), mask, acl)).toBe(true);
          }
        },
      ),
    );
  });

  test('one that the mode expresses decides as the mode does', () => {
    fc.assert(
      fc.property(anAcl.filter(isMinimalAcl), fc.nat(30), fc.subarray([0, 20]), perm, (acl, uid, groups, mask) => {
        const caller = who(uid, groups);
        expect(mayAccess(caller, file(acl), mask, acl)).toBe(mayAccess(caller, file(acl), mask));
      }),
    );
  });
});
