import { Command } from 'commander';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, MDS_FLAG, outputFlag, withMds } from '../../flags.js';
import type { MdsStatus } from '../../../meta/mds-client.js';
import { formatFields, formatJson, formatTable, formatUptime } from '../../output/format.js';

/** `curvefs status`: exit code 0 when the service answers. */
export function statusCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('status'), MDS_FLAG)
    .description('Show the MDS and its metaservers; exit code 0 when the service answers.')
    .addOption(outputFlag());
  return command.action(async () => {
    const status = await withMds(command, deps, (mds) => mds.status());
    deps.stdout.write(command.getOptionValue('output') === 'json' ? formatJson(status) : render(status));
  });
}

function render(status: MdsStatus): string {
  const head = formatFields([
    ['Role', status.role],
    ['Version', status.version],
    ['Up', formatUptime(status.uptimeMs)],
  ]);
  const servers = formatTable(
    ['METASERVER', 'ADDRESS', 'STATE', 'FILESYSTEMS'],
    status.metaservers.map(({ id, address, alive, filesystems }) => [
      id,
      address,
      alive ? 'alive' : 'away',
      String(filesystems),
    ]),
  );
  const warnings = [
    ...status.warnings,
    ...status.metaservers.flatMap(({ id, warnings: own }) => own.map((warning) => `${id}: ${warning}`)),
  ];
  return `${head}\n${servers}${warnings.map((warning) => `warning: ${warning}\n`).join('')}`;
}
