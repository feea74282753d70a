import { type Acl, ACL_GROUP, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER, ACL_USER } from './acl.js';
import { type InodeAttr, isDirectory, S_IRWXG, S_ISGID, S_ISVTX, S_IXGRP } from './inode.js';

/** Access mask bits, as in access(2). */
export const MAY_EXEC = 1;
export const MAY_WRITE = 2;
export const MAY_READ = 4;

/** The capabilities that file permissions know, capabilities(7), with their bit numbers. */
export const CAPABILITY = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_SYS_ADMIN: 21,
  CAP_MKNOD: 27,
} as const;

export type Capability = keyof typeof CAPABILITY;

/**
 * Who asks. `uid` and `gid` are at hand; groups and capabilities may have to be looked up, so that the rules below ask for them only
 * where uid and gid alone would deny.
 */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** What cannot be known counts in the caller's favour, as the kernel has checked already; else against. */
  readonly kernelChecked: boolean;
  /** `gid` is the caller's group or one of the supplementary ones; undefined = it cannot be known. */
  inGroup(gid: number): boolean | undefined;
  /** Undefined = it cannot be known. */
  capable(capability: Capability): boolean | undefined;
}

const inGroup = (who: Identity, gid: number): boolean => who.inGroup(gid) ?? who.kernelChecked;
const capable = (who: Identity, capability: Capability): boolean => who.capable(capability) ?? who.kernelChecked;

const ANY_EXEC = 0o111;

/** Whether mode bits and access ACL, or a capability, allow all of `mask` (path_resolution(7), acl(5), generic_permission in the kernel). */
export function mayAccess(who: Identity, attr: InodeAttr, mask: number, acl?: Acl): boolean {
  return classAllows(who, attr, mask, acl) || capableOfAccess(who, attr, mask);
}

function classAllows(who: Identity, attr: InodeAttr, mask: number, acl: Acl | undefined): boolean {
  const { mode } = attr;
  if (who.uid === attr.uid) return ((mode >> 6) & mask) === mask;
  // Where the mask allows nothing the kernel leaves the ACL aside, and who is named there counts as anybody.
  if (acl !== undefined && (mode & S_IRWXG) !== 0) return aclAllows(who, attr.gid, mask, acl);
  return ((mode >> groupShift(who, attr, mask)) & mask) === mask;
}

/** The access check of acl(5) for everybody but the owner. A membership that cannot be known counts as {@link Identity.kernelChecked} says. */
function aclAllows(who: Identity, fileGid: number, mask: number, acl: Acl): boolean {
  const limit = acl.find(({ tag }) => tag === ACL_MASK)?.perm ?? mask;
  const user = acl.find(({ tag, id }) => tag === ACL_USER && id === who.uid);
  if (user !== undefined) return (user.perm & limit & mask) === mask;
  let member = false;
  for (const { tag, perm, id } of acl) {
    if (tag !== ACL_GROUP_OBJ && tag !== ACL_GROUP) continue;
    const grants = (perm & limit & mask) === mask;
    if (!(who.inGroup(tag === ACL_GROUP ? id : fileGid) ?? grants === who.kernelChecked)) continue;
    if (grants) return true;
    member = true;
  }
  return !member && acl.some(({ tag, perm }) => tag === ACL_OTHER && (perm & mask) === mask);
}

function groupShift(who: Identity, attr: InodeAttr, mask: number): number {
  const group = (attr.mode >> 3) & mask;
  const other = attr.mode & mask;
  if (group === other) return 0;
  const member = who.inGroup(attr.gid) ?? (group === mask) === who.kernelChecked;
  return member ? 3 : 0;
}

function capableOfAccess(who: Identity, attr: InodeAttr, mask: number): boolean {
  const directory = isDirectory(attr.mode);
  if ((mask & MAY_WRITE) === 0 && (directory || (mask & MAY_EXEC) === 0) && capable(who, 'CAP_DAC_READ_SEARCH')) {
    return true;
  }
  const executable = directory || (mask & MAY_EXEC) === 0 || (attr.mode & ANY_EXEC) !== 0;
  return executable && capable(who, 'CAP_DAC_OVERRIDE');
}

/** The owner's rights: chmod, explicit times, O_NOATIME. */
export function ownsOrCapable(who: Identity, attr: InodeAttr): boolean {
  return who.uid === attr.uid || capable(who, 'CAP_FOWNER');
}

/** Whether a sticky directory keeps the caller from removing or renaming `victim` (inode(7), S_ISVTX). */
export function isHeldBySticky(who: Identity, directory: InodeAttr, victim: InodeAttr): boolean {
  return isStickyFor(who, directory) && who.uid !== victim.uid && !capable(who, 'CAP_FOWNER');
}

/** Whether the sticky bit may matter, so that the victim's owner has to be known. */
export function isStickyFor(who: Identity, directory: InodeAttr): boolean {
  return (directory.mode & S_ISVTX) !== 0 && who.uid !== directory.uid;
}

/** Whether chown(2) to the given ids is allowed; undefined = that id stays. */
export function mayChown(who: Identity, attr: InodeAttr, uid: number | undefined, gid: number | undefined): boolean {
  const owner = who.uid === attr.uid;
  const uidOk = uid === undefined || (owner && uid === attr.uid);
  const gidOk = gid === undefined || (owner && (gid === attr.gid || inGroup(who, gid)));
  return (uidOk && gidOk) || capable(who, 'CAP_CHOWN');
}

/** Whether the caller may set or keep S_ISGID on what belongs to the group: chmod(2) drops the bit otherwise (in_group_or_capable in the kernel). */
export function mayHaveSgid(who: Identity, gid: number): boolean {
  return inGroup(who, gid) || capable(who, 'CAP_FSETID');
}

/** Whether a new file with S_ISGID that its group may execute keeps it in a directory with the given attributes (open(2)). */
export function mayKeepSgid(who: Identity, parent: InodeAttr, mode: number): boolean {
  if ((mode & S_ISGID) === 0 || (mode & S_IXGRP) === 0 || (parent.mode & S_ISGID) === 0) return true;
  return mayHaveSgid(who, parent.gid);
}
