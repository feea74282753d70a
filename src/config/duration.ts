import { ConfigError } from './config-error.js';

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)?$/i;

/** Milliseconds of a duration as people write it: `500ms`, `5s`, `2m`, `1h`, `1d`; a bare number is seconds. */
export function parseDuration(text: string): number {
  const match = DURATION.exec(text.trim());
  if (match === null) throw new ConfigError('bad-value', `"${text}" is not a duration (examples: 500ms, 5s, 2m)`);
  const [, number = '', unit = 's'] = match;
  const ms = Number(number) * (UNITS_MS[unit.toLowerCase()] ?? NaN);
  const rounded = Math.round(ms);
  if (!Number.isSafeInteger(rounded) || Math.abs(ms - rounded) > 1e-6) {
    throw new ConfigError('bad-value', `"${text}" is not a whole number of milliseconds`);
  }
  return rounded;
}

/** The shortest exact text of a duration: `1500ms`, `5s`, `2m`. {@link parseDuration} reads it back. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = UNITS_MS[unit] ?? 1;
    if (ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}
