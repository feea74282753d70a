import { ConfigError } from './config-error.js';

const PREFIXES = ['', 'K', 'M', 'G', 'T', 'P'] as const;
const SIZE = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(i?b)?$/i;

/**
 * Bytes of a size as people write it. As in coreutils: `K`, `KiB` = 1024, `KB` = 1000, and so on up to P; case does not matter; a bare number is bytes.
 */
export function parseSize(text: string): number {
  const match = SIZE.exec(text.trim());
  if (match === null) throw new ConfigError('bad-value', `"${text}" is not a size (examples: 4MiB, 100G, 65536)`);
  const [, number = '', prefix = '', suffix = ''] = match;
  const base = prefix !== '' && suffix.toLowerCase() === 'b' ? 1000 : 1024;
  const bytes = Number(number) * base ** PREFIXES.indexOf(prefix.toUpperCase() as (typeof PREFIXES)[number]);
  if (!Number.isSafeInteger(bytes)) {
    throw new ConfigError('bad-value', `"${text}" is not a whole number of bytes below 2^53`);
  }
  return bytes;
}

/** The shortest exact text of a size, in units of 1024: `4MiB`, `1536KiB`, `1000`. {@link parseSize} reads it back. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let index = 0;
  while (value !== 0 && value % 1024 === 0 && index < PREFIXES.length - 1) {
    value /= 1024;
    index += 1;
  }
  return index === 0 ? String(value) : `${value}${PREFIXES[index] ?? ''}iB`;
}

/** A size for people to read, three digits: `1.50 GiB`. */
export function humanSize(bytes: number): string {
  let value = bytes;
  let index = 0;
  while (value >= 1024 && index < PREFIXES.length - 1) {
    value /= 1024;
    index += 1;
  }
  if (index === 0) return `${bytes} B`;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${PREFIXES[index] ?? ''}iB`;
}
