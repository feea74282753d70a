import { Option, type Command } from 'commander';
import { flagName, parseFlagValues } from '../config/flag-values.js';
import { mdsList, requiredOption, type AnyOption, type OptionTable, type OptionValues } from '../config/option.js';
import { defaultOf } from '../config/render-docs.js';
import type { CliDeps } from './cli-deps.js';
import type { MdsAdmin } from './mds-admin.js';

/** Adds a table's options to a command as flags; their texts are those of the documentation. */
export function addFlags(command: Command, table: OptionTable): Command {
  for (const def of Object.values(table)) {
    const value = def.type.valueName === undefined ? '' : ` <${def.type.valueName}>`;
    const text = `${def.description} (${def.required === true ? '' : 'default: '}${defaultOf(def)})`;
    command.addOption(new Option(`${flagName(def.name)}${value}`, text.replaceAll('`', '')));
  }
  return command;
}

/** The validated values of a table's flags as a command was given them. */
export function readFlags<const Table extends OptionTable>(
  command: Command,
  table: Table,
  env: CliDeps['env'],
): OptionValues<Table> {
  const given = new Map<string, string>();
  for (const def of Object.values(table)) {
    const value: unknown = command.getOptionValue(attributeName(def));
    if (typeof value === 'string') given.set(def.name, value);
    else if (value === true) given.set(def.name, '');
  }
  return parseFlagValues(table, given, env);
}

function attributeName(def: AnyOption): string {
  return new Option(flagName(def.name)).attributeName();
}

/** `--mds`, for commands that talk to the service. */
export const MDS_FLAG = {
  mds: requiredOption({
    name: 'mds',
    type: mdsList,
    env: 'CURVEFS_MDS',
    description: 'Addresses of the MDS.',
  }),
} as const;

/** Runs `fn` with a connection to the MDS that the command names. */
export async function withMds<T>(command: Command, deps: CliDeps, fn: (mds: MdsAdmin) => Promise<T>): Promise<T> {
  const { mds: addresses } = readFlags(command, MDS_FLAG, deps.env);
  const mds = await deps.connectMds(addresses);
  try {
    return await fn(mds);
  } finally {
    await mds.close();
  }
}

/** `-o table|json`. */
export function outputFlag(): Option {
  return new Option('-o, --output <FORMAT>', 'form of the output').choices(['table', 'json']).default('table');
}
