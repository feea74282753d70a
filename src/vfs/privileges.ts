import { isFsError } from '../common/fs-error.js';
import { mapMaybe, type MaybePromise } from '../common/maybe-promise.js';
import type { SetAttr } from '../meta/metadata.js';
import type { Ino } from '../model/ids.js';
import { type InodeAttr, S_ISGID, S_ISUID, S_IXGRP } from '../model/inode.js';
import { mayHaveSgid } from '../model/permission.js';
import type { Caller } from './caller.js';
import { type VfsContext, withStep } from './vfs-context.js';
import type { VfsCore } from './vfs-core.js';

/*
 * Set-user-ID, set-group-ID and `security.capability` do not survive that somebody without CAP_FSETID changes a file's content (file_remove_privs in the kernel).
 * The kernel says so with the request where it can (HANDLE_KILLPRIV_V2); for other ways in, and squashed callers, it is found out here.
 */

type Kill = Pick<SetAttr, 'killPriv' | 'killSgid'>;
const NOTHING: Kill = {};
const CAPABILITY = Buffer.from('security.capability');

/**
 * What a change of the file's content, truncation included, takes from it; `asked`: the kernel wants it taken, whoever the caller is. What the file has is the server's to
 * see; the attributes known here decide only whether set-group-ID goes where it is no privilege.
 */
export function killedBy(who: Caller, attr: InodeAttr | undefined, asked: boolean): Kill {
  if (!asked && !lacksFsetid(who)) return NOTHING;
  const killSgid = attr !== undefined && (attr.mode & S_ISGID) !== 0 && !mayHaveSgid(who, attr.gid);
  return { killPriv: true, killSgid };
}

/**
 * The same for a write by the journal, which takes all but a set-group-ID bit without S_IXGRP. Asked for every write: nothing is looked up for a file without privileges. A file whose
 * attributes are not known here may have them.
 */
export function isKilledByWrite(core: VfsCore, ctx: VfsContext, ino: Ino, asked: boolean): boolean {
  if (asked) return true;
  const known = core.meta.knownAttr(ino);
  return (known === undefined || hasPrivileges(known)) && lacksFsetid(core.identify(ctx));
}

/**
 * Takes the privileges at once, for operations that do it by no other means (fallocate, copy_file_range; a write to a file with set-group-ID and without S_IXGRP).
 * `step` is the operation's number in the request. A file that has none costs nothing but its attributes.
 */
export function dropPrivileges(core: VfsCore, ctx: VfsContext, ino: Ino, step: number): MaybePromise<void> {
  return mapMaybe(core.attr(ctx, ino), (attr) => {
    const kill = hasPrivileges(attr) ? killedBy(core.identify(ctx), attr, false) : NOTHING;
    if (kill.killPriv !== true) return;
    const dropped = core.data.setattr(withStep(ctx, step), ino, kill);
    return dropped.then(() => core.driverCache?.invalidateAttr(core.outer(ino)));
  });
}

/** Takes file capabilities at once: they go with anybody's write. The kernel sees to that, but for handles past its page cache, as those that append are. */
export function dropCapability(core: VfsCore, ctx: VfsContext, ino: Ino): MaybePromise<void> {
  return mapMaybe(core.meta.knownAttr(ino) ?? core.attr(ctx, ino), ({ hasXattrs }) => {
    if (!hasXattrs) return;
    return mapMaybe(core.meta.getxattr(ino, CAPABILITY, ctx.signal), (value) =>
      value === undefined
        ? undefined
        : core.meta.removexattr(withStep(ctx, 1), ino, CAPABILITY).catch((error: unknown) => {
            // another write has taken it meanwhile
            if (!isFsError(error, 'ENODATA')) throw error;
          }),
    );
  });
}

/** Whether a write must {@link dropPrivileges} first, as the record in the journal does not say what takes this bit. Without known attributes it must, and that asks for them. */
export function hasBareSgid(core: VfsCore, ino: Ino): boolean {
  return ((core.meta.knownAttr(ino)?.mode ?? S_ISGID) & (S_ISGID | S_IXGRP)) === S_ISGID;
}

/** Whether the mode has what a change of content takes, or is not known here. */
export function hasPrivilegeBits(core: VfsCore, ino: Ino): boolean {
  return ((core.meta.knownAttr(ino)?.mode ?? S_ISUID) & (S_ISUID | S_ISGID)) !== 0;
}

const hasPrivileges = (attr: InodeAttr): boolean => (attr.mode & (S_ISUID | S_ISGID)) !== 0 || attr.hasXattrs;

/** Who cannot be known has it not: privileges that are lost can be given again. */
const lacksFsetid = (who: Caller): boolean => who.capable('CAP_FSETID') !== true;
