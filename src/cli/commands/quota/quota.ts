import { Command } from 'commander';
import { ConfigError } from '../../../config/config-error.js';
import { integer, option, size } from '../../../config/option.js';
import { humanSize } from '../../../config/size.js';
import type { Quota } from '../../../model/quota.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, outputFlag, readFlags } from '../../flags.js';
import { formatFields, formatJson, formatTable } from '../../output/format.js';
import { limit } from '../fs/render.js';
import { TARGET_FLAGS, withQuotas } from './target.js';

const LIMITS = {
  bytesMax: option({
    name: 'capacity',
    type: size({ min: 0 }),
    default: undefined,
    defaultText: 'as it is; none at first',
    description: 'Most bytes that the files below may take; 0 = no limit.',
  }),
  inodesMax: option({
    name: 'inodes',
    type: integer({ min: 0 }),
    default: undefined,
    defaultText: 'as it is; none at first',
    description: 'Most files and directories below; 0 = no limit.',
  }),
} as const;

const PATH = 'a directory: of a mount, or with --fs from the root of that filesystem';

/** `curvefs quota`: limits of the trees below directories. */
export function quotaCommand(deps: CliDeps): Command {
  const quota = new Command('quota').description('Limit the space and the inodes of directories.');
  for (const command of [setCommand(deps), getCommand(deps), listCommand(deps), deleteCommand(deps)])
    quota.addCommand(command);
  return quota;
}

function setCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('set').argument('<PATH>', PATH), { ...LIMITS, ...TARGET_FLAGS })
    .description('Make or change the quota of a directory; waits until what it holds is counted.')
    .addOption(outputFlag());
  return command.action(async (path: string) => {
    const { bytesMax, inodesMax } = readFlags(command, LIMITS, deps.env);
    if (bytesMax === undefined && inodesMax === undefined) {
      throw new ConfigError('missing', '--capacity or --inodes is required');
    }
    const limits = {
      ...(bytesMax === undefined ? {} : { bytesMax }),
      ...(inodesMax === undefined ? {} : { inodesMax }),
    };
    print(command, deps, await withQuotas(command, deps, path, (quotas, at) => quotas.set(at, limits)));
  });
}

function getCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('get').argument('<PATH>', PATH), TARGET_FLAGS)
    .description('Show the quota of a directory and what is used of it.')
    .addOption(outputFlag());
  return command.action(async (path: string) => {
    print(command, deps, await withQuotas(command, deps, path, (quotas, at) => quotas.get(at)));
  });
}

function listCommand(deps: CliDeps): Command {
  const command = addFlags(
    new Command('list').argument('[PATH]', 'anything in a mount; not needed with --fs', '.'),
    TARGET_FLAGS,
  )
    .description('Show all quotas of a filesystem.')
    .addOption(outputFlag());
  return command.action(async (path: string) => {
    const quotas = await withQuotas(command, deps, path, (admin) => admin.list());
    if (command.getOptionValue('output') === 'json') {
      deps.stdout.write(formatJson(quotas.map(toJson)));
      return;
    }
    const rows = quotas.map((quota) => [
      limit(quota.bytesMax, humanSize),
      humanSize(quota.usedBytes),
      limit(quota.inodesMax, String),
      String(quota.usedInodes),
      `${textOf(quota)}${quota.counting ? ' (counting)' : ''}`,
    ]);
    deps.stdout.write(formatTable(['CAPACITY', 'USED', 'INODES', 'USED', 'PATH'], rows));
  });
}

function deleteCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('delete').argument('<PATH>', PATH), TARGET_FLAGS).description(
    'Lift the quota of a directory.',
  );
  return command.action(async (path: string) => {
    await withQuotas(command, deps, path, (quotas, at) => quotas.delete(at));
  });
}

function print(command: Command, deps: CliDeps, quota: Quota): void {
  if (command.getOptionValue('output') === 'json') {
    deps.stdout.write(formatJson(toJson(quota)));
    return;
  }
  deps.stdout.write(
    formatFields([
      ['Path', textOf(quota)],
      ['Capacity', limit(quota.bytesMax, humanSize)],
      ['Used', humanSize(quota.usedBytes)],
      ['Inodes', limit(quota.inodesMax, String)],
      ['Used inodes', String(quota.usedInodes)],
      ['State', quota.counting ? 'what was there is being counted' : undefined],
    ]),
  );
}

/** One slash between names, none at the end. */
function textOf({ path }: Quota): string {
  return `/${Buffer.from(path).toString().split('/').filter(Boolean).join('/')}`;
}

function toJson(quota: Quota): object {
  return { ...quota, path: textOf(quota) };
}
