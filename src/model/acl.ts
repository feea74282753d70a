import { FsError } from '../common/fs-error.js';

/** Tags of ACL entries (linux/posix_acl.h). */
export const ACL_USER_OBJ = 0x01;
export const ACL_USER = 0x02;
export const ACL_GROUP_OBJ = 0x04;
export const ACL_GROUP = 0x08;
export const ACL_MASK = 0x10;
export const ACL_OTHER = 0x20;

/** One entry; `id` counts for ACL_USER and ACL_GROUP alone. */
export interface AclEntry {
  readonly tag: number;
  /** rwx as in access(2). */
  readonly perm: number;
  readonly id: number;
}

/** A valid ACL in the order of its tags, acl(5). It has one entry each for owner, group and others, and a mask where it names anybody else. */
export type Acl = readonly AclEntry[];

/** The extended attributes that carry ACLs: who may do what, and what a directory hands down. */
export const ACL_ACCESS = Buffer.from('system.posix_acl_access');
export const ACL_DEFAULT = Buffer.from('system.posix_acl_default');

/** Most bytes of an ACL's value: the kernel reads them into one page. */
export const ACL_BYTES_MAX = 4096;

/** The id of entries that have none. */
export const ACL_UNDEFINED_ID = 0xffff_ffff;

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const RWX = 7;

/** Which ACL an attribute of this name is; undefined = none. */
export function aclKind(name: Uint8Array): 'access' | 'default' | undefined {
  if (name.length === ACL_ACCESS.length && ACL_ACCESS.equals(name)) return 'access';
  if (name.length === ACL_DEFAULT.length && ACL_DEFAULT.equals(name)) return 'default';
  return undefined;
}

/** Reads an attribute's value (linux/posix_acl_xattr.h); undefined = an ACL without entries, which is none. EINVAL for a malformed or invalid one. */
export function decodeAcl(value: Uint8Array): Acl | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes.length < HEADER_BYTES) throw new FsError('EINVAL', `an ACL of ${bytes.length} bytes`);
  if (bytes.readUInt32LE(0) !== VERSION) throw new FsError('EOPNOTSUPP', `ACL version ${bytes.readUInt32LE(0)}`);
  if ((bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) throw new FsError('EINVAL', 'an ACL with half an entry');
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    acl.push({ tag: bytes.readUInt16LE(at), perm: bytes.readUInt16LE(at + 2), id: bytes.readUInt32LE(at + 4) });
  }
  if (acl.length === 0) return undefined;
  checkAcl(acl);
  return acl;
}

export function encodeAcl(acl: Acl): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + acl.length * ENTRY_BYTES);
  bytes.writeUInt32LE(VERSION, 0);
  acl.forEach(({ tag, perm, id }, index) => {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(perm, at + 2);
    bytes.writeUInt32LE(isNamed(tag) ? id : ACL_UNDEFINED_ID, at + 4);
  });
  return bytes;
}

const ORDER = [ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER];
const isNamed = (tag: number): boolean => tag === ACL_USER || tag === ACL_GROUP;

/** EINVAL unless the entries make a valid ACL (posix_acl_valid in the kernel). */
function checkAcl(acl: Acl): void {
  let last = -1;
  for (const { tag, perm, id } of acl) {
    const place = ORDER.indexOf(tag);
    const inOrder = isNamed(tag) ? place >= last : place > last;
    if (place < 0 || !inOrder) throw new FsError('EINVAL', `an ACL with tag ${tag} in the wrong place`);
    if (perm > RWX) throw new FsError('EINVAL', `an ACL that grants ${perm}`);
    if (isNamed(tag) && id === ACL_UNDEFINED_ID) throw new FsError('EINVAL', 'an ACL entry without an id');
    last = place;
  }
  const has = (tag: number): boolean => acl.some((entry) => entry.tag === tag);
  if (!has(ACL_USER_OBJ) || !has(ACL_GROUP_OBJ) || !has(ACL_OTHER)) {
    throw new FsError('EINVAL', 'an ACL without an entry for owner, group or others');
  }
  if (acl.some(({ tag }) => isNamed(tag)) && !has(ACL_MASK)) {
    throw new FsError('EINVAL', 'an ACL that names somebody has a mask');
  }
}

const permOf = (acl: Acl, tag: number): number | undefined => acl.find((entry) => entry.tag === tag)?.perm;

/** The tag whose entry the group bits of the mode show. */
const groupClass = (acl: Acl): number => (permOf(acl, ACL_MASK) === undefined ? ACL_GROUP_OBJ : ACL_MASK);

/** The permission bits (0777) that an access ACL shows as the file's mode. */
export function aclMode(acl: Acl): number {
  const of = (tag: number): number => permOf(acl, tag) ?? 0;
  return (of(ACL_USER_OBJ) << 6) | (of(groupClass(acl)) << 3) | of(ACL_OTHER);
}

/** True when the ACL says no more than its mode. */
export function isMinimalAcl(acl: Acl): boolean {
  return acl.every(({ tag }) => tag === ACL_USER_OBJ || tag === ACL_GROUP_OBJ || tag === ACL_OTHER);
}

/** The access ACL after chmod(2): owner, others, and the mask or else the group follow the mode. */
export function chmodAcl(acl: Acl, mode: number): Acl {
  const group = groupClass(acl);
  return acl.map((entry) => {
    switch (entry.tag) {
      case ACL_USER_OBJ:
        return { ...entry, perm: (mode >> 6) & RWX };
      case group:
        return { ...entry, perm: (mode >> 3) & RWX };
      case ACL_OTHER:
        return { ...entry, perm: mode & RWX };
      default:
        return entry;
    }
  });
}

/**
 * What a directory's default ACL makes of a new file that is asked for with `mode`, umask not applied (posix_acl_create_masq in the kernel):
 * the file's mode, and its access ACL unless the mode says it all.
 */
export function inheritAcl(acl: Acl, mode: number): { readonly mode: number; readonly access: Acl | undefined } {
  const granted = aclMode(acl) & mode;
  const access = chmodAcl(acl, granted);
  return { mode: (mode & ~0o777) | granted, access: isMinimalAcl(access) ? undefined : access };
}
