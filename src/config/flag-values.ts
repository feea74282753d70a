import { ConfigError } from './config-error.js';
import { parseOption, type OptionTable, type OptionValues } from './option.js';

/** The command-line flag of an option. */
export function flagName(name: string): string {
  return `--${name.replaceAll('_', '-')}`;
}

/**
 * The validated, frozen values of a table from what the command line (`given`, by option name) and the environment say: flag, then environment, then default.
 */
export function parseFlagValues<const Table extends OptionTable>(
  table: Table,
  given: ReadonlyMap<string, string>,
  env: Readonly<Record<string, string | undefined>>,
): OptionValues<Table> {
  const values = Object.entries(table).map(([key, def]) => {
    const flag = flagName(def.name);
    const text = given.get(def.name);
    if (text !== undefined) return [key, parseOption(def, text, flag)] as const;
    const fromEnv = def.env === undefined ? undefined : env[def.env];
    if (def.env !== undefined && fromEnv !== undefined && fromEnv !== '') {
      return [key, parseOption(def, fromEnv, `environment variable ${def.env}`)] as const;
    }
    if (def.required === true) {
      const orEnv = def.env === undefined ? '' : ` (or the environment variable ${def.env})`;
      throw new ConfigError('missing', `${flag} ${def.type.valueName ?? ''} is required${orEnv}`);
    }
    return [key, def.default] as const;
  });
  return Object.freeze(Object.fromEntries(values)) as OptionValues<Table>;
}
