import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { errorMessage } from '../common/fs-error.js';
import { crc32Base64 } from './crc32-base64.js';
import { isObjectError, ObjectError } from './object-error.js';
import type { ByteRange } from './object-store.js';
import { readBody } from './read-body.js';

/** The largest answer that is read into memory; a chunk is at most 16 MiB and its checksums. */
const BODY_MAX_BYTES = 64 * 1024 * 1024;
/** Reads the body of GET's answer and checks it: length, position of a range, checksum of a whole object. */
export async function readAnswer(
  output: GetObjectCommandOutput,
  range: ByteRange | undefined,
  situation: string,
): Promise<Uint8Array> {
  const body = output.Body as Readable | undefined;
  if (body === undefined || output.ContentLength === undefined) {
    body?.destroy();
    throw new ObjectError('invalid', `${situation}: the answer has no Content-Length`);
  }
  try {
    if (output.ContentLength > BODY_MAX_BYTES) {
      throw new ObjectError(
        'invalid',
        `${situation}: ${output.ContentLength} bytes are more than the ${BODY_MAX_BYTES} of one answer`,
      );
    }
    // A server may ignore the range and send everything.
    const partial = range !== undefined && output.ContentRange !== undefined;
    if (partial) checkContentRange(output.ContentRange ?? '', output.ContentLength, range, situation);
    const bytes = await readBody(body, output.ContentLength, situation);
    if (partial) return bytes;
    const expected = output.ChecksumCRC32;
    // `<checksum>-<parts>` is a checksum of the checksums of a multipart upload: none of ours.
    if (expected !== undefined && !expected.includes('-')) {
      const actual = crc32Base64(bytes);
      if (actual !== undefined && actual !== expected) {
        throw new ObjectError('corrupt', `${situation}: CRC32 of the bytes is ${actual}, the server says ${expected}`);
      }
    }
    return range === undefined ? bytes : bytes.subarray(range.offset, range.offset + range.length);
  } catch (error) {
    body.destroy();
    if (isObjectError(error)) throw error;
    throw new ObjectError('unavailable', `${situation}: the answer broke off: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** `bytes first-last/total` must be the range asked for, cut at the object's end. */
function checkContentRange(header: string, length: number, range: ByteRange, situation: string): void {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(header);
  const [first, last, total] = (match?.slice(1) ?? []).map(Number);
  const expected = total === undefined ? undefined : Math.min(range.length, total - range.offset);
  if (first !== range.offset || last === undefined || last - first + 1 !== length || length !== expected) {
    throw new ObjectError(
      'corrupt',
      `${situation}: asked for ${range.offset}+${range.length}, got ${JSON.stringify(header)} with ${length} bytes`,
    );
  }
}
