import { Command } from 'commander';
import { resolve } from 'node:path';
import { parseMountConfig } from '../../../config/mount-config.js';
import type { CliDeps } from '../../cli-deps.js';

/** `curvefs mount`: as mount.curvefs does it, and optionally in the foreground. */
export function mountCommand(deps: CliDeps): Command {
  const command = new Command('mount')
    .argument('<SOURCE>', 'HOST:PORT[,HOST:PORT...]:/NAME[/SUBDIR]')
    .argument('<MOUNTPOINT>', 'an existing directory')
    .description('Mount a filesystem. Returns when the mount answers; the exit codes are those of mount(8).')
    .option('-o, --options <OPTIONS>', 'mount options, separated by commas (docs/CONFIGURATION.md)', collect, [])
    .option('--foreground', 'stay until the mount ends, and log to stderr');
  return command.action(async (source: string, mountpoint: string) => {
    const foreground = command.getOptionValue('foreground') === true;
    const { config } = parseMountConfig({
      source,
      mountpoint: resolve(deps.cwd, mountpoint),
      options: command.getOptionValue('options') as readonly string[],
      foreground,
      uid: deps.uid,
      home: deps.env['HOME'],
    });
    await deps.launchMount(config, { foreground });
  });
}

function collect(list: string, before: readonly string[]): readonly string[] {
  return [...before, list];
}
