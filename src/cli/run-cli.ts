import { Command, CommanderError } from 'commander';
import type { CliDeps } from './cli-deps.js';
import { createCommand } from './commands/fs/create.js';
import { deleteCommand } from './commands/fs/delete.js';
import { infoCommand } from './commands/fs/info.js';
import { listCommand } from './commands/fs/list.js';
import { mountCommand } from './commands/mount/mount.js';
import { umountCommand } from './commands/mount/umount.js';
import { quotaCommand } from './commands/quota/quota.js';
import { roleCommands } from './commands/service/roles.js';
import { statusCommand } from './commands/service/status.js';
import { EXIT, exitCodeOf, isHelp, mountExitCodeOf, oneLine } from './report-error.js';

const MOUNTING = ['mount', 'umount'];

/**
 * Runs one command of the tool; `args` are those behind the program's name. Resolves with the exit code: 0, 1 failure, 2 wrong usage; mount(8)'s for
 * mounting. An error is one line on stderr.
 */
export async function runCli(args: readonly string[], deps: CliDeps): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(deps, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    const mounting = MOUNTING.includes(args[0] ?? '');
    if (!isHelp(error)) deps.stderr.write(`${describe(args, error)}\n`);
    if (deps.env['CURVEFS_DEBUG'] === '1' && error instanceof Error) deps.stderr.write(`${error.stack}\n`);
    return mounting ? mountExitCodeOf(error) : exitCodeOf(error);
  }
}

function buildProgram(deps: CliDeps, finish: (exitCode: number) => void): Command {
  const program = new Command('curvefs')
    .description('The administration tool of curvefs, a POSIX filesystem on object storage.')
    .version(deps.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false);
  const fs = new Command('fs').description('Create, list, show and delete filesystems.');
  for (const command of [createCommand(deps), listCommand(deps), infoCommand(deps), deleteCommand(deps)])
    fs.addCommand(command);
  const quota = quotaCommand(deps);
  const all = [...roleCommands(deps, finish), statusCommand(deps), fs, quota, mountCommand(deps), umountCommand(deps)];
  for (const command of all) program.addCommand(command);
  for (const command of [program, ...all, ...fs.commands, ...quota.commands]) configure(command, deps);
  return program;
}

/** Commander prints help through us, throws instead of exiting, and leaves the errors to {@link describe}. */
function configure(command: Command, deps: CliDeps): void {
  command
    .exitOverride()
    .helpCommand(false)
    .helpOption('-h, --help', 'print help')
    .allowExcessArguments(false)
    .configureOutput({
      writeOut: (text) => deps.stdout.write(text),
      writeErr: () => undefined,
    });
}

function describe(args: readonly string[], error: unknown): string {
  const words = args[0] === 'fs' || args[0] === 'quota' ? args.slice(0, 2) : args.slice(0, 1);
  const command = ['curvefs', ...words.filter((word) => /^[a-z]+$/.test(word))].join(' ');
  // commander's message of a missing command is its help
  if (error instanceof CommanderError && error.code === 'commander.help')
    return `${command}: a command is missing; see ${command} --help`;
  return `${command}: ${oneLine(error)}`;
}
