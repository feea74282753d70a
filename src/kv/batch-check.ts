import { assert, VERIFY } from '../common/assert.js';
import { keyToString } from './key-string.js';
import type { KvBatch, KvGuard, KvProperties } from './kv-engine.js';
import { KvError } from './kv-error.js';

/** What guards are checked against: the state with all that was issued before. */
export interface GuardState {
  get(key: Uint8Array): Uint8Array | undefined;
  /** True when no key is in start ≤ key < end. */
  isEmpty(start: Uint8Array, end: Uint8Array): boolean;
}

/** Throws `guard-failed` naming the first condition that does not hold. */
export function checkGuards(guards: readonly KvGuard[], state: GuardState): void {
  for (const guard of guards) {
    if (!holds(guard, state)) {
      const key = guard.kind === 'emptyRange' ? guard.start : guard.key;
      throw new KvError('guard-failed', `guard ${guard.kind} failed at key ${Buffer.from(key).toString('hex')}`);
    }
  }
}

function holds(guard: KvGuard, state: GuardState): boolean {
  switch (guard.kind) {
    case 'unchanged': {
      const value = state.get(guard.key);
      if (value === undefined || guard.value === undefined) return value === guard.value;
      return Buffer.compare(value, guard.value) === 0;
    }
    case 'exists':
      return state.get(guard.key) !== undefined;
    case 'absent':
      return state.get(guard.key) === undefined;
    case 'emptyRange':
      return state.isEmpty(guard.start, guard.end);
  }
}

/** Bytes that the batch's keys and values take. */
export function batchBytes(batch: KvBatch): number {
  let bytes = 0;
  for (const { key, value } of batch.puts) bytes += key.length + value.length;
  for (const key of batch.deletes) bytes += key.length;
  for (const { start, end } of batch.deleteRanges) bytes += start.length + end.length;
  return bytes;
}

/** Throws `too-large` for what the engine cannot store. Returns the batch's bytes. */
export function checkBatch(batch: KvBatch, limits: KvProperties): number {
  for (const { key, value } of batch.puts) {
    checkKey(key, limits);
    if (value.length > limits.valueBytesMax) {
      throw new KvError('too-large', `value of ${value.length} bytes, at most ${limits.valueBytesMax} are stored`);
    }
  }
  for (const key of batch.deletes) checkKey(key, limits);
  for (const { start, end } of batch.deleteRanges) {
    // a bound may be a key's successor
    if (Math.max(start.length, end.length) > limits.keyBytesMax + 1) throw new KvError('too-large', 'bound of a range');
  }
  const bytes = batchBytes(batch);
  if (bytes > limits.batchBytesMax) {
    throw new KvError('too-large', `batch of ${bytes} bytes, at most ${limits.batchBytesMax} are committed at once`);
  }
  if (VERIFY) checkDistinct(batch);
  return bytes;
}

function checkKey(key: Uint8Array, limits: KvProperties): void {
  assert(key.length > 0, 'a key has at least one byte');
  if (key.length > limits.keyBytesMax) {
    throw new KvError('too-large', `key of ${key.length} bytes, at most ${limits.keyBytesMax} are stored`);
  }
}

function checkDistinct(batch: KvBatch): void {
  const seen = new Set<string>();
  for (const key of [...batch.puts.map((put) => put.key), ...batch.deletes]) {
    const text = keyToString(key);
    assert(!seen.has(text), 'a key occurs once in the puts and deletes of a batch');
    seen.add(text);
  }
}
