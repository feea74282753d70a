import { createHash } from 'node:crypto';
import { join, posix } from 'node:path';
import { ConfigError } from './config-error.js';
import { canonicalName, parseFstabOptions, type FstabOption } from './fstab-options.js';
import { isKernelFlag, KERNEL_FLAG_NAMES, resolveKernelFlags, type KernelFlag } from './kernel-flags.js';
import { MOUNT_OPTIONS, type MountOptionValues } from './mount-options.js';
import { parseMountSource, type MountSource } from './mount-source.js';
import { nearestName } from './nearest-name.js';
import { parseOption, type AnyOption } from './option.js';

/**
 * Everything that a mount is told: validated and frozen. It holds plain JSON values and no secret, so it can be handed to the supervisor and the
 * worker as text ({@link mountConfigToJson}).
 */
export interface MountConfig extends Omit<MountOptionValues, 'cacheDir' | 'allowOther' | 'localLock'> {
  readonly source: MountSource;
  /** Absolute, as given. */
  readonly mountpoint: string;
  /** For mount(2): `mountFlagBits` makes the number. Holds 'ro' exactly when `readOnly`. */
  readonly kernelFlags: readonly KernelFlag[];
  readonly cacheDir: string;
  readonly allowOther: boolean;
  readonly localLock: NonNullable<MountOptionValues['localLock']>;
}

/** What a person gives to mount. */
export interface MountRequest {
  readonly source: string;
  /** Absolute path. */
  readonly mountpoint: string;
  /** The `-o` lists in their order. */
  readonly options: readonly string[];
  /** mount(8)'s `-s`: unknown options are dropped (and returned) instead of refused. */
  readonly sloppy?: boolean;
  /** The log goes to stderr unless `log=` says otherwise. */
  readonly foreground?: boolean;
  /** Who mounts. */
  readonly uid: number;
  readonly home: string | undefined;
}

export interface ParsedMount {
  readonly config: MountConfig;
  /** Unknown options that `sloppy` let pass. */
  readonly dropped: readonly string[];
}

/** Options that concern mount(8), systemd or libfuse and change nothing here: whether to mount at boot, after the network, and the like. */
const IGNORED = new Set(
  `defaults auto noauto _netdev _rnetdev nofail user nouser users group nogroup owner noowner comment helper uhelper uuid
   default_permissions nonempty mand nomand iversion noiversion`.split(/\s+/),
);
const IGNORED_PREFIX = /^x[-_.]/i;

type OptionKey = keyof typeof MOUNT_OPTIONS;
const KEY_BY_NAME: ReadonlyMap<string, OptionKey> = new Map(
  (Object.keys(MOUNT_OPTIONS) as OptionKey[]).map((key) => [MOUNT_OPTIONS[key].name, key]),
);

/** Reads a mount's source, mountpoint and options; anything wrong is a {@link ConfigError} that names it. The last word on an option wins. */
export function parseMountConfig(request: MountRequest): ParsedMount {
  const source = parseMountSource(request.source);
  const mountpoint = parseMountpoint(request.mountpoint);
  const values = new Map<OptionKey, unknown>();
  const flags: string[] = [];
  const dropped: string[] = [];
  for (const item of request.options.flatMap(parseFstabOptions)) {
    const name = canonicalName(item.name);
    const key = KEY_BY_NAME.get(name);
    if (key !== undefined) values.set(key, readValue(MOUNT_OPTIONS[key], item, name));
    if (name === 'noacl') values.set('acl', false);
    if (name === 'ro') flags.push(values.get('readOnly') === true ? 'ro' : 'rw');
    else if (isKernelFlag(name)) flags.push(bareName(item));
    else if (key === undefined && name !== 'noacl' && !IGNORED.has(name) && !IGNORED_PREFIX.test(item.name)) {
      if (request.sloppy !== true) throw unknownOption(item.name, name);
      dropped.push(item.name);
    }
  }
  const kernelFlags = Object.freeze(resolveKernelFlags(flags));
  const given = { ...defaults(), ...Object.fromEntries(values) } as MountOptionValues;
  if (given.acl && given.noXattr) {
    throw new ConfigError(
      'bad-value',
      'the mount options acl and noxattr exclude each other: ACLs are extended attributes',
    );
  }
  const cacheDir = given.cacheDir ?? join(cacheRoot(request), mountId(source, mountpoint));
  const config: MountConfig = Object.freeze({
    ...given,
    source,
    mountpoint,
    kernelFlags,
    readOnly: kernelFlags.includes('ro'),
    cacheDir,
    // fuse-native cannot tell its callers apart: it is refused there when it is asked for.
    allowOther: given.allowOther ?? (request.uid === 0 && given.driver === 'kernel'),
    // fuse-native hands no lock requests on: the kernel keeps them.
    localLock: given.localLock ?? (given.driver === 'kernel' ? 'none' : 'all'),
    log: given.log ?? (request.foreground === true ? undefined : join(cacheDir, 'mount.log')),
  });
  return { config, dropped };
}

/** The text of a config, for the process that will use it. */
export function mountConfigToJson(config: MountConfig): string {
  return JSON.stringify(config);
}

/** Reads what {@link mountConfigToJson} wrote; both ends are the same program, so nothing is checked again. */
export function mountConfigFromJson(text: string): MountConfig {
  return Object.freeze(JSON.parse(text) as MountConfig);
}

function parseMountpoint(text: string): string {
  if (!text.startsWith('/')) throw new ConfigError('bad-value', `the mountpoint "${text}" is not an absolute path`);
  if (text.includes('\0')) throw new ConfigError('bad-value', 'the mountpoint contains a NUL character');
  const normal = posix.normalize(text);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

function readValue(def: AnyOption, item: FstabOption, name: string): unknown {
  if (item.value === undefined && def.type.valueName !== undefined) {
    throw new ConfigError('missing', `the mount option "${name}" needs a value: ${name}=${def.type.valueName}`);
  }
  return parseOption(def, item.value ?? '', `mount option "${name}"`);
}

function bareName(item: FstabOption): string {
  if (item.value === undefined) return canonicalName(item.name);
  throw new ConfigError('bad-value', `the mount option "${item.name}" takes no value`);
}

function unknownOption(given: string, name: string): ConfigError {
  const near = nearestName(name, [...KEY_BY_NAME.keys(), ...KERNEL_FLAG_NAMES]);
  const hint = near === undefined ? '' : `; did you mean "${near}"?`;
  return new ConfigError('unknown-option', `unknown mount option "${given}"${hint}`);
}

function defaults(): MountOptionValues {
  const entries = (Object.keys(MOUNT_OPTIONS) as OptionKey[]).map((key) => [key, MOUNT_OPTIONS[key].default]);
  return Object.fromEntries(entries) as MountOptionValues;
}

function cacheRoot(request: MountRequest): string {
  return request.uid === 0 || request.home === undefined
    ? '/var/cache/curvefs'
    : join(request.home, '.cache', 'curvefs');
}

/**
 * A directory name for one filesystem at one mountpoint, readable and unique. The address of the service is not in it: the journal must be found again when that changes.
 */
function mountId(source: MountSource, mountpoint: string): string {
  const readable =
    mountpoint
      .slice(1)
      .replaceAll(/[^A-Za-z0-9._]+/g, '-')
      .slice(0, 60) || 'root';
  const digest = createHash('sha256').update(`${source.fsName}\0${mountpoint}`).digest('hex').slice(0, 8);
  return `${source.fsName}-${readable}-${digest}`;
}
