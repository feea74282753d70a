/** Flags of mount(2) (linux/mount.h) that a mount may carry. */
export const MOUNT_FLAG_BITS = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  sync: 16,
  dirsync: 128,
  nosymfollow: 256,
  noatime: 1024,
  nodiratime: 2048,
  silent: 32768,
  relatime: 1 << 21,
  strictatime: 1 << 24,
  lazytime: 1 << 25,
} as const;

export type KernelFlag = keyof typeof MOUNT_FLAG_BITS;

interface Effect {
  readonly set?: KernelFlag;
  readonly clear: readonly KernelFlag[];
}

const ATIME = ['noatime', 'relatime', 'strictatime'] as const;

/** What each name of an `-o` list does; the last word on a flag wins, as for mount(8). */
const EFFECTS: ReadonlyMap<string, Effect> = new Map<string, Effect>([
  ['ro', { set: 'ro', clear: [] }],
  ['rw', { clear: ['ro'] }],
  ['nosuid', { set: 'nosuid', clear: [] }],
  ['suid', { clear: ['nosuid'] }],
  ['nodev', { set: 'nodev', clear: [] }],
  ['dev', { clear: ['nodev'] }],
  ['noexec', { set: 'noexec', clear: [] }],
  ['exec', { clear: ['noexec'] }],
  ['sync', { set: 'sync', clear: [] }],
  ['async', { clear: ['sync'] }],
  ['dirsync', { set: 'dirsync', clear: [] }],
  ['nosymfollow', { set: 'nosymfollow', clear: [] }],
  ['symfollow', { clear: ['nosymfollow'] }],
  ['noatime', { set: 'noatime', clear: ATIME }],
  ['relatime', { set: 'relatime', clear: ATIME }],
  ['strictatime', { set: 'strictatime', clear: ATIME }],
  ['atime', { clear: ['noatime'] }],
  ['norelatime', { clear: ['relatime'] }],
  ['nostrictatime', { clear: ['strictatime'] }],
  ['nodiratime', { set: 'nodiratime', clear: [] }],
  ['diratime', { clear: ['nodiratime'] }],
  ['lazytime', { set: 'lazytime', clear: [] }],
  ['nolazytime', { clear: ['lazytime'] }],
  ['silent', { set: 'silent', clear: [] }],
  ['loud', { clear: ['silent'] }],
]);

/** True when the name is one of mount(2)'s flags, set or cleared. */
export function isKernelFlag(name: string): boolean {
  return EFFECTS.has(name);
}

/** The flags as they stand after all names were applied in order. */
export function resolveKernelFlags(names: readonly string[]): readonly KernelFlag[] {
  const flags = new Set<KernelFlag>();
  for (const name of names) {
    const effect = EFFECTS.get(name);
    for (const flag of effect?.clear ?? []) flags.delete(flag);
    if (effect?.set !== undefined) flags.add(effect.set);
  }
  return [...flags];
}

/** The flags argument of mount(2). */
export function mountFlagBits(flags: readonly KernelFlag[]): number {
  return flags.reduce((bits, flag) => bits | MOUNT_FLAG_BITS[flag], 0);
}

/** All names, for "did you mean". */
export const KERNEL_FLAG_NAMES: readonly string[] = [...EFFECTS.keys()];
