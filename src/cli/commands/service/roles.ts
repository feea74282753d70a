import { Command } from 'commander';
import { isAbsolute, join } from 'node:path';
import { MDS_OPTIONS, METASERVER_OPTIONS, STANDALONE_OPTIONS } from '../../../config/server-options.js';
import type { OptionTable, OptionValues } from '../../../config/option.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, readFlags } from '../../flags.js';

/** `curvefs standalone`, `mds` and `metaserver`: the long-running roles. */
export function roleCommands(deps: CliDeps, finish: (exitCode: number) => void): readonly Command[] {
  return [
    role(
      'standalone',
      'Run MDS and metaserver in one process, on an embedded database.',
      STANDALONE_OPTIONS,
      deps.runStandalone,
    ),
    role(
      'mds',
      'Run the MDS: the registry of filesystems, and their placement on metaservers.',
      MDS_OPTIONS,
      deps.runMds,
    ),
    role(
      'metaserver',
      'Run a metaserver: the namespaces of the filesystems that the MDS places on it.',
      METASERVER_OPTIONS,
      deps.runMetaserver,
    ),
  ];

  function role<const Table extends OptionTable>(
    name: string,
    description: string,
    table: Table,
    run: (config: OptionValues<Table>) => Promise<number>,
  ): Command {
    const command = addFlags(new Command(name), table).description(
      `${description} Prints one line when it serves; ends cleanly at SIGTERM or SIGINT.`,
    );
    return command.action(async () => finish(await run(absolutePaths(readFlags(command, table, deps.env), deps.cwd))));
  }
}

const PATHS = ['dataDir', 'credentials', 'log'];

/** Services run with the root directory as theirs: relative paths are resolved before. */
function absolutePaths<T extends object>(config: T, cwd: string): T {
  const entries = Object.entries(config).map(([key, value]: [string, unknown]) =>
    PATHS.includes(key) && typeof value === 'string' && !isAbsolute(value) ? [key, join(cwd, value)] : [key, value],
  );
  return Object.freeze(Object.fromEntries(entries) as T);
}
