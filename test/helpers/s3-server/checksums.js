import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import { S3Error } from './s3-error.js';

const CRC32C_TABLE = crcTable(0x82f63b78);
const CRC32_TABLE = crcTable(0xedb88320);

/** The checksums that the server computes, by their header. */
const ALGORITHMS = {
  'x-amz-checksum-crc32': (body) => be32(zlib.crc32 === undefined ? crc(CRC32_TABLE, body) : zlib.crc32(body)),
  'x-amz-checksum-crc32c': (body) => be32(crc(CRC32C_TABLE, body)),
  'x-amz-checksum-sha1': (body) => createHash('sha1').update(body).digest('base64'),
  'x-amz-checksum-sha256': (body) => createHash('sha256').update(body).digest('base64'),
};

/**
 * Checks every checksum a request carries against its body, as S3 does, and returns those that are kept with the object.
 *
 * @param {Record<string, string>} headers
 * @param {Buffer} body
 * @returns {Record<string, string>}
 */
export function checkBody(headers, body) {
  checkSha256(headers['x-amz-content-sha256'], body);
  const md5 = headers['content-md5'];
  if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64')) {
    throw new S3Error('BadDigest', 400, 'The Content-MD5 you specified did not match what we received.');
  }
  const kept = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith('x-amz-checksum-') || name === 'x-amz-checksum-mode') continue;
    const algorithm = Object.hasOwn(ALGORITHMS, name) ? ALGORITHMS[name] : undefined;
    if (algorithm === undefined) throw new S3Error('NotImplemented', 501, `The checksum ${name} is not implemented.`);
    if (algorithm(body) !== value) {
      throw new S3Error('BadDigest', 400, `The ${name} you specified did not match the calculated checksum.`);
    }
    kept[name] = value;
  }
  return kept;
}

function checkSha256(declared, body) {
  if (declared === undefined) throw new S3Error('InvalidRequest', 400, 'Missing required header: x-amz-content-sha256');
  if (declared === 'UNSIGNED-PAYLOAD') return;
  if (declared.startsWith('STREAMING-')) {
    throw new S3Error('NotImplemented', 501, 'aws-chunked bodies are not implemented: send the body as it is.');
  }
  if (declared !== createHash('sha256').update(body).digest('hex')) {
    throw new S3Error(
      'XAmzContentSHA256Mismatch',
      400,
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
}

function be32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes.toString('base64');
}

function crcTable(polynomial) {
  return Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? polynomial ^ (c >>> 1) : c >>> 1;
    return c;
  });
}

function crc(table, body) {
  let c = 0xffffffff;
  for (const byte of body) c = table[(c ^ byte) & 0xff] ^ (c >>> 8);
  return c ^ 0xffffffff;
}
