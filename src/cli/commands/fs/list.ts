import { Command } from 'commander';
import { humanSize } from '../../../config/size.js';
import { formatStorage } from '../../../object/parse-storage.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, MDS_FLAG, outputFlag, withMds } from '../../flags.js';
import { formatJson, formatTable } from '../../output/format.js';
import { fsToJson, limit } from './render.js';

/** `curvefs fs list`. */
export function listCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('list'), MDS_FLAG).description('List the filesystems.').addOption(outputFlag());
  return command.action(async () => {
    const list = await withMds(command, deps, (mds) => mds.listFs());
    const rows = list.map((fs) => [
      fs.name,
      formatStorage(fs.storage),
      humanSize(fs.blockSizeBytes),
      limit(fs.capacityBytes, humanSize),
      limit(fs.inodesMax, String),
      fs.metaserver,
    ]);
    deps.stdout.write(
      command.getOptionValue('output') === 'json'
        ? formatJson(list.map(fsToJson))
        : formatTable(['NAME', 'STORAGE', 'BLOCK SIZE', 'CAPACITY', 'INODES', 'METASERVER'], rows),
    );
  });
}
