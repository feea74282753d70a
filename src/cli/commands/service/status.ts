import { Argument, Command } from 'commander';
import { resolve } from 'node:path';
import type { MountStatus } from '../../../client/launch/control-protocol.js';
import type { MdsStatus } from '../../../meta/mds-client.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, MDS_FLAG, outputFlag, withMds } from '../../flags.js';
import { formatFields, formatJson, formatTable, formatUptime } from '../../output/format.js';

/** `curvefs status`: exit code 0 when the service, or the mount's daemon, answers. */
export function statusCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('status'), MDS_FLAG)
    .description('Show the MDS and its metaservers, or a mount of this machine; exit code 0 when it answers.')
    .addArgument(new Argument('[MOUNTPOINT]', 'a mount to show instead: then --mds is not needed'))
    .addOption(outputFlag());
  return command.action(async (mountpoint: string | undefined) => {
    const json = command.getOptionValue('output') === 'json';
    if (mountpoint === undefined) {
      const status = await withMds(command, deps, (mds) => mds.status());
      deps.stdout.write(json ? formatJson(status) : renderService(status));
      return;
    }
    const path = resolve(deps.cwd, mountpoint);
    const status = await deps.mountStatus(path);
    if (status === undefined) throw new Error(`no curvefs daemon serves ${path}`);
    deps.stdout.write(json ? formatJson(status) : renderMount(status));
  });
}

function renderMount({ source, mountpoint, cacheDir, state, startedMs, data, ...pids }: MountStatus): string {
  const head = formatFields([
    ['Source', source],
    ['Mountpoint', mountpoint],
    ['State', state],
    ['Up', formatUptime(Date.now() - startedMs)],
    ['Processes', [pids.supervisorPid, pids.workerPid].filter((pid) => pid !== undefined).join(', ')],
    ['Cache', cacheDir],
    ['Not uploaded', data === undefined ? 'unknown' : `${data.dirtyBytes} bytes`],
  ]);
  const warnings: string[] = [];
  if (data === undefined) warnings.push('the worker does not answer');
  if (data?.sessionLost !== undefined)
    warnings.push(`${data.sessionLost}: nothing can be uploaded until the filesystem is mounted anew`);
  if (data?.failing !== undefined) {
    const { inodes, sinceMs, lastError } = data.failing;
    warnings.push(`uploads of ${inodes} files fail since ${new Date(sinceMs).toISOString()}: ${lastError}`);
  }
  for (const path of data?.leftJournals.paths ?? [])
    warnings.push(`data of an ended mount was not taken over and is kept in ${path}`);
  const unlisted = (data?.leftJournals.count ?? 0) - (data?.leftJournals.paths.length ?? 0);
  if (unlisted > 0) warnings.push(`and in ${unlisted} more`);
  return head + warningLines(warnings);
}

function renderService(status: MdsStatus): string {
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
  return `${head}\n${servers}${warningLines(warnings)}`;
}

function warningLines(warnings: readonly string[]): string {
  return warnings.map((warning) => `warning: ${warning}\n`).join('');
}
