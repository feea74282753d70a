import { Command } from 'commander';
import { parseFsName } from '../../../config/fs-name.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, MDS_FLAG, withMds } from '../../flags.js';

/** `curvefs fs delete`: refused while mounts are live. */
export function deleteCommand(deps: CliDeps): Command {
  const command = addFlags(new Command('delete').argument('<NAME>', 'name of the filesystem'), MDS_FLAG)
    .description(
      'Delete a filesystem with all its files. Refused while it is mounted; the objects are removed in the background.',
    )
    .option('--yes', 'do not ask');
  return command.action(async (text: string) => {
    const name = parseFsName(text);
    await withMds(command, deps, async (mds) => {
      // an unknown name fails before anybody has to type it
      const { fs } = await mds.getFs(name);
      if (command.getOptionValue('yes') !== true) await confirm(deps, fs.name);
      await mds.deleteFs(fs.name);
    });
    deps.stdout.write(`deleted filesystem ${name}\n`);
  });
}

async function confirm(deps: CliDeps, name: string): Promise<void> {
  const answer = await deps.ask(`This deletes filesystem ${name} with all its files. Type its name to go on: `);
  if (answer?.trim() !== name) throw new Error('not confirmed; nothing was deleted');
}
