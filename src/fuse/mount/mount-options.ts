import { MountError } from './mount-error.js';

/** Options of the mount itself that the kernel knows. What the filesystem does is not said here. */
export interface MountOptions {
  /** The kernel checks permissions by mode, owner and ACL. Without it cached names are walked with no check at all. */
  readonly defaultPermissions: boolean;
  /** Users other than the one who mounts may use the mount. */
  readonly allowOther: boolean;
  readonly readOnly?: boolean;
  readonly nosuid?: boolean;
  readonly nodev?: boolean;
  readonly noexec?: boolean;
  readonly noatime?: boolean;
  readonly nosymfollow?: boolean;
  readonly sync?: boolean;
  readonly dirsync?: boolean;
  /** Largest READ; leave it out for the largest that INIT agrees on. */
  readonly maxReadBytes?: number;
}

/** Flags of mount(2). */
const MS: Readonly<Record<string, number>> = {
  ro: 1 << 0,
  nosuid: 1 << 1,
  nodev: 1 << 2,
  noexec: 1 << 3,
  sync: 1 << 4,
  dirsync: 1 << 7,
  nosymfollow: 1 << 8,
  noatime: 1 << 10,
};

/** The kernel silently cuts longer option strings. */
const DATA_MAX_BYTES = 4095;

/** The generic mount options that are set, by the names that mount(8) and fusermount use. */
function genericOptions(options: MountOptions): string[] {
  const names: string[] = [];
  if (options.readOnly === true) names.push('ro');
  if (options.nosuid === true) names.push('nosuid');
  if (options.nodev === true) names.push('nodev');
  if (options.noexec === true) names.push('noexec');
  if (options.sync === true) names.push('sync');
  if (options.dirsync === true) names.push('dirsync');
  if (options.noatime === true) names.push('noatime');
  if (options.nosymfollow === true) names.push('nosymfollow');
  return names;
}

/** The options that the FUSE driver understands, without those that name the descriptor and the caller. */
function fuseOptions(options: MountOptions): string[] {
  const names: string[] = [];
  if (options.defaultPermissions) names.push('default_permissions');
  if (options.allowOther) names.push('allow_other');
  if (options.maxReadBytes !== undefined) names.push(`max_read=${options.maxReadBytes}`);
  return names;
}

/** The `flags` argument of mount(2). */
export function mountFlags(options: MountOptions): number {
  return genericOptions(options).reduce((flags, name) => flags | (MS[name] ?? 0), 0);
}

/** Who mounts what: part of the data that the FUSE driver wants. */
export interface MountIdentity {
  /** Number of the descriptor of `/dev/fuse` in the process that calls mount(2). */
  readonly fd: number;
  /** `S_IFMT` bits of the mountpoint: a directory, or a file. */
  readonly rootMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The `data` argument of mount(2). Source and type are arguments of their own there, so nothing needs escaping. */
export function mountData(identity: MountIdentity, options: MountOptions): string {
  const data = [
    `fd=${identity.fd}`,
    `rootmode=${identity.rootMode.toString(8)}`,
    `user_id=${identity.uid}`,
    `group_id=${identity.gid}`,
    ...fuseOptions(options),
  ].join(',');
  if (Buffer.byteLength(data) > DATA_MAX_BYTES) throw new MountError('bad-option', 'the mount options are too long');
  return data;
}

/** `-o` argument of `mount -i -t fuse.SUBTYPE`, which makes flags and data of it. */
export function mountCommandOptions(identity: MountIdentity, options: MountOptions): string {
  return [...genericOptions(options), mountData(identity, options)].join(',');
}

/** Escapes a value for fusermount's option list, where a comma separates and a backslash escapes. */
export function escapeFusermountValue(value: string): string {
  return value.replace(/[\\,]/g, '\\$&');
}

/** `-o` argument of fusermount3, which adds the descriptor and the caller itself. */
export function fusermountOptions(source: string, subtype: string, options: MountOptions): string {
  return [
    ...genericOptions(options),
    ...fuseOptions(options),
    `fsname=${escapeFusermountValue(source)}`,
    `subtype=${escapeFusermountValue(subtype)}`,
  ].join(',');
}
