import { randomBytes } from 'node:crypto';
import { ObjectError } from './object-error.js';
import type { ObjectStore } from './object-store.js';

const BODY_BYTES = 4096;

/**
 * Checks that a store can be used: writes one object `.curvefs-probe-<random>`, reads it back, compares, deletes it.
 * Throws an ObjectError of the step's code whose message begins with the step that failed.
 */
export async function probeStore(store: ObjectStore, signal?: AbortSignal): Promise<void> {
  const key = `.curvefs-probe-${randomBytes(8).toString('hex')}`;
  const body = randomBytes(BODY_BYTES);
  await step('write', () => store.put(key, body, signal));
  let failure: unknown;
  try {
    const read = await step('read', () => store.get(key, undefined, signal));
    if (!body.equals(read)) {
      throw new ObjectError(
        'corrupt',
        `read: ${store.properties.name} returned other bytes than were written to ${key}`,
      );
    }
    const part = await step('ranged read', () => store.get(key, { offset: 1000, length: 100 }, signal));
    if (!body.subarray(1000, 1100).equals(part)) {
      throw new ObjectError(
        'corrupt',
        `ranged read: ${store.properties.name} returned other bytes than were written to ${key}`,
      );
    }
  } catch (error) {
    failure = error;
  }
  // The object goes in any case; of two failures the first is the cause.
  try {
    await step('delete', () => store.delete([key], signal));
  } catch (error) {
    throw failure ?? error;
  }
  if (failure !== undefined) throw failure as Error;
}

async function step<T>(name: string, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (thrown) {
    const error = ObjectError.from(thrown, 'object store');
    throw new ObjectError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}
