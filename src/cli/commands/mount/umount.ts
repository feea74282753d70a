import { Command } from 'commander';
import { resolve } from 'node:path';
import { duration, flag, option } from '../../../config/option.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, readFlags } from '../../flags.js';

const UMOUNT_OPTIONS = {
  timeoutMs: option({
    name: 'timeout',
    type: duration({ min: 0, max: 86_400_000 }),
    default: undefined,
    defaultText: "the mount's drain_timeout",
    description: 'How long to wait for the uploads.',
  }),
  lazy: option({
    name: 'lazy',
    type: flag,
    default: false,
    description: 'Detach at once even when files are open; they go on until they are closed.',
  }),
} as const;

/** `curvefs umount`: drains the uploads, unmounts, and waits until the mount's processes are gone. */
export function umountCommand(deps: CliDeps): Command {
  const command = addFlags(
    new Command('umount').argument('<MOUNTPOINT>', 'where it is mounted'),
    UMOUNT_OPTIONS,
  ).description('Upload what is not uploaded yet, then unmount. The exit codes are those of umount(8).');
  return command.action(async (mountpoint: string) => {
    await deps.unmount(resolve(deps.cwd, mountpoint), readFlags(command, UMOUNT_OPTIONS, deps.env));
  });
}
