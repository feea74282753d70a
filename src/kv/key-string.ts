/**
 * Keys as strings of one character per byte: V8 compares such strings by code unit, which is memcmp's order, and hashes and shares them where bytes
 * would have to be copied.
 */
export function keyToString(key: Uint8Array): string {
  const bytes = Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  return bytes.toString('latin1');
}

/** The bytes of a key made by {@link keyToString}. */
export function keyFromString(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}
