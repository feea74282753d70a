import { WireError } from './wire-error.js';

/** A non-negative 64-bit field as a number; throws a {@link WireError} above 2^53 - 1. */
export function safeNumber(value: bigint, field: string): number {
  const number = Number(value);
  if (number > Number.MAX_SAFE_INTEGER || number < 0) throw outOfRange(value, field);
  return number;
}

/** A signed 64-bit field as a number; throws a {@link WireError} outside ± (2^53 - 1). */
export function safeSignedNumber(value: bigint, field: string): number {
  const number = Number(value);
  if (number > Number.MAX_SAFE_INTEGER || number < -Number.MAX_SAFE_INTEGER) throw outOfRange(value, field);
  return number;
}

/** A field that must be set. */
export function required<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new WireError('unset', field, 'must be set');
  return value;
}

function outOfRange(value: bigint, field: string): WireError {
  return new WireError('out-of-range', field, `${value} is not a safe integer of this field`);
}
