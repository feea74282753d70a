import { z } from 'zod';
import { errorMessage } from '../common/fs-error.js';
import { ConfigError } from './config-error.js';
import { formatDuration, parseDuration } from './duration.js';
import { formatHostPort, parseHostPort, type HostPort } from './host-port.js';
import { parseMdsList } from './mount-source.js';
import { formatSize, parseSize } from './size.js';

/** How the text of an option becomes its value, and back for the documentation. */
export interface OptionType<T> {
  /** For people: `SIZE`, `HOST:PORT`; undefined for a flag, which needs no value. */
  readonly valueName: string | undefined;
  readonly schema: z.ZodType<T, string>;
  format(value: T): string;
}

/**
 * The one place where an option is defined: the `-o` name or the command-line flag, the validation, the default and the text of
 * docs/CONFIGURATION.md all come from it.
 */
export interface OptionDef<T, D extends T | undefined = T | undefined> {
  /** With `_` in the `-o` list of a mount, with `-` as a command-line flag. */
  readonly name: string;
  readonly type: OptionType<T>;
  /** Undefined = unset; {@link OptionDef.defaultText} then says what happens. */
  readonly default: D;
  readonly defaultText?: string;
  /** There is no default: leaving it out is an error. */
  readonly required?: true;
  /** Environment variable that gives the value when the option is left out. */
  readonly env?: string;
  readonly description: string;
}

/** What an option's value is after validation. */
export type OptionValue<O> = O extends { readonly type: OptionType<infer T>; readonly default: infer D }
  ? O extends { readonly required: true }
    ? T
    : undefined extends D
      ? T | undefined
      : T
  : never;

/** A table of options: the keys are the fields of the validated object. */
export type AnyOption = OptionDef<unknown, unknown>;
export type OptionTable = Readonly<Record<string, AnyOption>>;
export type OptionValues<Table> = { readonly [K in keyof Table]: OptionValue<Table[K]> };

/** A schema around one of the parsers of this folder, whose {@link ConfigError} becomes zod's issue. */
function parsed<T>(
  parse: (text: string) => T,
  check: (value: T) => string | undefined = () => undefined,
): z.ZodType<T, string> {
  return z.string().transform((text, ctx) => {
    let reason: string | undefined;
    try {
      const value = parse(text);
      reason = check(value);
      if (reason === undefined) return value;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      reason = error.message;
    }
    ctx.addIssue({ code: 'custom', message: reason });
    return z.NEVER;
  });
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

function within(bounds: Bounds, format: (value: number) => string): (value: number) => string | undefined {
  return (value) => {
    if (bounds.min !== undefined && value < bounds.min)
      return `${format(value)} is below the minimum, ${format(bounds.min)}`;
    if (bounds.max !== undefined && value > bounds.max)
      return `${format(value)} is above the maximum, ${format(bounds.max)}`;
    return undefined;
  };
}

const TRUE = ['', 'true', 'yes', 'on', '1'];
const FALSE = ['false', 'no', 'off', '0'];

export const flag: OptionType<boolean> = {
  valueName: undefined,
  schema: parsed((text) => {
    if (TRUE.includes(text.toLowerCase())) return true;
    if (FALSE.includes(text.toLowerCase())) return false;
    throw new ConfigError('bad-value', `"${text}" is neither true nor false`);
  }),
  format: String,
};

export function size(bounds: Bounds = {}): OptionType<number> {
  return { valueName: 'SIZE', schema: parsed(parseSize, within(bounds, formatSize)), format: formatSize };
}

export function duration(bounds: Bounds = {}): OptionType<number> {
  return { valueName: 'TIME', schema: parsed(parseDuration, within(bounds, formatDuration)), format: formatDuration };
}

export function integer(bounds: Bounds = {}): OptionType<number> {
  const parse = (text: string): number => {
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
      throw new ConfigError('bad-value', `"${text}" is not a whole number`);
    }
    return Number(text);
  };
  return { valueName: 'N', schema: parsed(parse, within(bounds, String)), format: String };
}

export function choice<const T extends string>(...values: readonly T[]): OptionType<T> {
  const parse = (text: string): T => {
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return value;
    throw new ConfigError('bad-value', `"${text}" is none of ${values.join(', ')}`);
  };
  return { valueName: values.join('|'), schema: parsed(parse), format: String };
}

export function hostPort(options: { readonly allowPortZero?: boolean } = {}): OptionType<HostPort> {
  return { valueName: 'HOST:PORT', schema: parsed((text) => parseHostPort(text, options)), format: formatHostPort };
}

/** Any text, or what `parse` makes of it (throwing ConfigError) and `format` shows. */
export function text(valueName: string): OptionType<string>;
export function text<T>(valueName: string, parse: (text: string) => T, format: (value: T) => string): OptionType<T>;
export function text(
  valueName: string,
  parse: (text: string) => unknown = (value) => value,
  format: (value: never) => string = String,
): OptionType<unknown> {
  return { valueName, schema: parsed(parse), format };
}

function parsePath(text: string): string {
  if (text === '') throw new ConfigError('bad-value', 'the path is empty');
  if (text.includes('\0')) throw new ConfigError('bad-value', 'the path contains a NUL character');
  return text;
}

/** A path; a relative one is taken from the working directory of the command. */
export function path(kind: 'DIR' | 'FILE'): OptionType<string> {
  return { valueName: kind, schema: parsed(parsePath), format: String };
}

/** A path that stands in a file such as fstab, where a working directory means nothing. */
export function absolutePath(kind: 'DIR' | 'FILE'): OptionType<string> {
  const check = (value: string): string | undefined =>
    value.startsWith('/') ? undefined : `"${value}" is not an absolute path`;
  return { valueName: kind, schema: parsed(parsePath, check), format: String };
}

/** `HOST:PORT[,HOST:PORT…]`, the addresses of the MDS. */
export const mdsList: OptionType<readonly HostPort[]> = {
  valueName: 'HOST:PORT[,HOST:PORT...]',
  schema: parsed(parseMdsList),
  format: (value) => value.map(formatHostPort).join(','),
};

/** Defines an option (keeps the type of the default). */
export function option<T, const D extends T | undefined>(def: OptionDef<T, D>): OptionDef<T, D> {
  return def;
}

export type RequiredOptionDef<T> = OptionDef<T, undefined> & { readonly required: true };

/** Defines an option that must be given. */
export function requiredOption<T>(def: Omit<OptionDef<T, undefined>, 'default' | 'required'>): RequiredOptionDef<T> {
  return { ...def, default: undefined, required: true };
}

/** Reads one option's text; a wrong one is a {@link ConfigError} that names the option as `shownName`. */
export function parseOption<T, D extends T | undefined>(def: OptionDef<T, D>, text: string, shownName: string): T {
  const result = def.type.schema.safeParse(text);
  if (result.success) return result.data;
  const reason = result.error.issues[0]?.message ?? errorMessage(result.error);
  throw new ConfigError('bad-value', `${shownName}: ${reason}`);
}
