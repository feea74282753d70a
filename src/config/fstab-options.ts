import { ConfigError } from './config-error.js';

/** One item of an `-o` list, unquoted; `value` is undefined for a bare name. */
export interface FstabOption {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * Reads an `-o` list as mount(8) hands it to a helper. A comma separates items unless it stands in double quotes (`a="x,y"`, which mount(8) passes on
 * verbatim) or behind a backslash; a backslash before `,` `"` or `\` takes that character literally, before anything else it is itself. Empty items are dropped.
 */
export function parseFstabOptions(list: string): readonly FstabOption[] {
  const options: FstabOption[] = [];
  let item = '';
  let equals = -1;
  let quoted = false;
  const finish = (): void => {
    if (equals === 0) throw new ConfigError('syntax', `"${item}" in the mount options has no name before "="`);
    if (equals > 0) options.push({ name: item.slice(0, equals), value: item.slice(equals + 1) });
    else if (item !== '') options.push({ name: item, value: undefined });
    item = '';
    equals = -1;
  };
  for (let i = 0; i < list.length; i++) {
    const char = list.charAt(i);
    const next = list.charAt(i + 1);
    if (char === '\\' && (next === ',' || next === '"' || next === '\\')) {
      item += next;
      i += 1;
    } else if (char === '"') {
      quoted = !quoted;
    } else if (char === ',' && !quoted) {
      finish();
    } else {
      if (char === '=' && equals < 0) equals = item.length;
      item += char;
    }
  }
  if (quoted) throw new ConfigError('syntax', 'a double quote in the mount options is not closed');
  finish();
  return options;
}

/** Writes a list that {@link parseFstabOptions}, and mount(8) before it, read back as the same options. */
export function formatFstabOptions(options: readonly FstabOption[]): string {
  return options
    .map(({ name, value }) => (value === undefined ? escape(name) : `${escape(name)}=${escape(value)}`))
    .join(',');
}

/** libmount counts every double quote, escaped or not, so a comma is quoted only where no quote is in the text. */
function escape(text: string): string {
  const escaped = text.replaceAll(/[\\"]/g, '\\$&');
  if (!escaped.includes(',')) return escaped;
  return escaped.includes('"') ? escaped.replaceAll(',', '\\,') : `"${escaped}"`;
}

/** The name under which an option is looked up: `-` and `_` are the same. */
export function canonicalName(name: string): string {
  return name.replaceAll('-', '_');
}
