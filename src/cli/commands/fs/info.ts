import { Command } from 'commander';
import { parseFsName } from '../../../config/fs-name.js';
import { humanSize } from '../../../config/size.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, MDS_FLAG, outputFlag, withMds } from '../../flags.js';
import type { FsDetail } from '../../../meta/mds-client.js';
import { formatJson, formatTable, formatUptime } from '../../output/format.js';
import { fsToJson, renderFs } from './render.js';

/** `curvefs fs info`: one filesystem, its usage and its mounts. */
export function infoCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('info').argument('<NAME>', 'name of the filesystem'), MDS_FLAG)
    .description('Show a filesystem, its usage and its mounts.')
    .addOption(outputFlag());
  return command.action(async (name: string) => {
    const details = await withMds(command, deps, (mds) => mds.getFs(parseFsName(name)));
    deps.stdout.write(
      command.getOptionValue('output') === 'json'
        ? formatJson({ ...details, fs: fsToJson(details.fs) })
        : render(details, Date.now()),
    );
  });
}

function render({ fs, usage, mounts, metaserverAlive }: FsDetail, nowMs: number): string {
  const text = renderFs(fs, [
    ['Used', usage === undefined ? 'unknown' : `${humanSize(usage.usedBytes)} in ${usage.usedInodes} inodes`],
    ['State', metaserverAlive ? 'its metaserver answers' : 'its metaserver does not answer'],
    ['Mounts', metaserverAlive ? String(mounts.length) : 'unknown'],
  ]);
  if (mounts.length === 0) return text;
  const rows = mounts.map((mount) => [
    mount.host,
    mount.mountpoint,
    String(mount.pid),
    mount.readOnly ? 'ro' : 'rw',
    mount.version,
    formatUptime(nowMs - mount.startedMs),
    formatUptime(mount.silentMs),
  ]);
  return `${text}\n${formatTable(['HOST', 'MOUNTPOINT', 'PID', 'MODE', 'VERSION', 'UP', 'SILENT FOR'], rows)}`;
}
