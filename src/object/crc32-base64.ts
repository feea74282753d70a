import zlib from 'node:zlib';

/** Base64 of the big-endian CRC32, as `x-amz-checksum-crc32` has it; undefined where Node has no CRC32. */
export function crc32Base64(body: Uint8Array): string | undefined {
  const crc32 = (zlib as { crc32?: (data: Uint8Array) => number }).crc32;
  if (crc32 === undefined) return undefined;
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64');
}
