import { ConfigError } from './config-error.js';

/** What a filesystem may be called: it stands in mount sources, in directory names and in metrics. */
export const FS_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** The name itself when it is allowed. */
export function parseFsName(text: string): string {
  if (FS_NAME.test(text)) return text;
  throw new ConfigError(
    'bad-value',
    `"${text}" is not a filesystem name: 1 to 63 letters, digits, ".", "_" or "-", the first a letter or digit`,
  );
}
