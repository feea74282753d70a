import { resolve } from 'node:path';
import { canonicalName, parseFstabOptions } from '../config/fstab-options.js';
import { isKernelFlag } from '../config/kernel-flags.js';
import { parseMountConfig, type MountRequest } from '../config/mount-config.js';
import type { CliDeps } from './cli-deps.js';
import { parseMountHelperArgs, type MountHelperArgs } from './mount-helper-args.js';
import { mountExitCodeOf, oneLine } from './report-error.js';

const USAGE = `usage: mount.curvefs HOST:PORT[,HOST:PORT...]:/NAME[/SUBDIR] MOUNTPOINT [-rwnsvf] [-o OPTION,...]
The options are described in docs/CONFIGURATION.md. Exit codes are those of mount(8).
`;

/** `mount.curvefs`, the helper of mount(8). Resolves with mount(8)'s exit code; an error is one line on stderr. */
export async function runMountHelper(args: readonly string[], deps: CliDeps): Promise<number> {
  try {
    const parsed = parseMountHelperArgs(args);
    switch (parsed.kind) {
      case 'help':
        deps.stdout.write(USAGE);
        return 0;
      case 'version':
        deps.stdout.write(`mount.curvefs ${deps.version}\n`);
        return 0;
      case 'mount':
        return await mount(parsed, deps);
    }
  } catch (error) {
    deps.stderr.write(`mount.curvefs: ${oneLine(error)}\n`);
    return mountExitCodeOf(error);
  }
}

async function mount(args: MountHelperArgs, deps: CliDeps): Promise<number> {
  const [source = '', directory = ''] = args.operands;
  const mountpoint = resolve(deps.cwd, directory);
  const names = args.options.flatMap(parseFstabOptions).map(({ name }) => canonicalName(name));
  if (names.includes('remount')) return remount(names, mountpoint, args, deps);
  const request: MountRequest = {
    source,
    mountpoint,
    options: args.options,
    sloppy: args.sloppy,
    uid: deps.uid,
    home: deps.env['HOME'],
  };
  const { config, dropped } = parseMountConfig(request);
  if (args.verbose) {
    for (const name of dropped) deps.stderr.write(`mount.curvefs: unknown option "${name}" dropped (-s)\n`);
    deps.stderr.write(
      `mount.curvefs: ${args.fake ? 'would mount' : 'mounting'} ${config.source.text} on ${mountpoint}\n`,
    );
  }
  if (!args.fake) await deps.launchMount(config, { foreground: false });
  return 0;
}

/**
 * mount(8) hands a remount to the helper with all options of the mount and of fstab. The kernel applies its own flags to a live FUSE mount; everything else is fixed
 * while it lives, and is left out rather than refused, for most of it is only repeated.
 */
async function remount(
  names: readonly string[],
  mountpoint: string,
  args: MountHelperArgs,
  deps: CliDeps,
): Promise<number> {
  const flags = names.filter(isKernelFlag);
  if (args.fake) return 0;
  return deps.remount(mountpoint, ['remount', ...flags].join(','));
}
