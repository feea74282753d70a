import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { S3Error } from './s3-error.js';

const SKEW_MAX_MS = 15 * 60 * 1000;

/** SHA-256, plain or keyed, in the form that SignatureV4 wants. */
class Sha256 {
  #hash;

  constructor(secret) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret);
  }

  update(data) {
    this.#hash.update(data);
  }

  async digest() {
    return new Uint8Array(this.#hash.digest());
  }
}

/**
 * Verifies the Authorization header (AWS Signature V4) of a request by signing the same request and comparing.
 * The body is not looked at: the signature covers `x-amz-content-sha256`, which the server compares with the body.
 *
 * @param {{ method: string, url: URL, headers: Record<string, string> }} request headers in lower case
 * @param {{ accessKeyId: string, secretAccessKey: string, sessionToken?: string, region?: string }} identity
 * @param {number} nowMs
 */
export async function verifySignature(request, identity, nowMs) {
  const { headers, url } = request;
  const parsed = parseAuthorization(headers['authorization']);
  const { accessKeyId, date, region, service, signedHeaders, signature } = parsed;
  if (accessKeyId !== identity.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', 403, 'The access key id does not exist in our records.');
  }
  if (identity.sessionToken !== undefined && headers['x-amz-security-token'] !== identity.sessionToken) {
    throw new S3Error('InvalidToken', 400, 'The provided token is malformed or otherwise invalid.');
  }
  if (service !== 's3')
    throw new S3Error('AuthorizationHeaderMalformed', 400, `The service must be s3, not ${service}.`);
  if (identity.region !== undefined && region !== identity.region) {
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      400,
      `The region '${region}' is wrong; expecting '${identity.region}'`,
    );
  }
  const signingDate = parseDate(headers['x-amz-date']);
  if (!headers['x-amz-date'].startsWith(date)) {
    throw new S3Error('AuthorizationHeaderMalformed', 400, 'The date of the credential is not that of the request.');
  }
  if (Math.abs(signingDate.getTime() - nowMs) > SKEW_MAX_MS) {
    throw new S3Error(
      'RequestTimeTooSkewed',
      403,
      'The difference between the request time and the server time is too large.',
    );
  }
  // What S3 requires to be signed: the host, and every x-amz- header that is sent.
  for (const name of ['host', ...Object.keys(headers).filter((header) => header.startsWith('x-amz-'))]) {
    if (!signedHeaders.includes(name)) {
      throw new S3Error(
        'AccessDenied',
        403,
        `There were headers present in the request which were not signed: ${name}`,
      );
    }
  }
  const signer = new SignatureV4({
    credentials: { accessKeyId, secretAccessKey: identity.secretAccessKey },
    region,
    service: 's3',
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
  const signed = await signer.sign(
    {
      method: request.method,
      protocol: 'http:',
      hostname: url.hostname,
      path: url.pathname,
      query: queryOf(url),
      headers: Object.fromEntries(signedHeaders.map((name) => [name, headers[name] ?? ''])),
    },
    { signingDate, signableHeaders: new Set(signedHeaders) },
  );
  const expected = /Signature=([0-9a-f]+)$/.exec(signed.headers['authorization'])?.[1] ?? '';
  if (expected.length !== signature.length || !timingSafeEqual(Buffer.from(expected), Buffer.from(signature))) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      403,
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  }
}

function parseAuthorization(header) {
  if (header === undefined) throw new S3Error('AccessDenied', 403, 'Anonymous access is forbidden.');
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request,\s*SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  if (match === null) throw new S3Error('AuthorizationHeaderMalformed', 400, 'The authorization header is malformed.');
  const [, accessKeyId, date, region, service, signedHeaders, signature] = match;
  return { accessKeyId, date, region, service, signedHeaders: signedHeaders.split(';'), signature };
}

function parseDate(text) {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  if (match === null) throw new S3Error('AccessDenied', 403, 'AWS authentication requires a valid x-amz-date header');
  const [, year, month, day, hour, minute, second] = match.map(Number);
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}

function queryOf(url) {
  const query = {};
  for (const name of new Set(url.searchParams.keys())) {
    const values = url.searchParams.getAll(name);
    query[name] = values.length === 1 ? values[0] : values;
  }
  return query;
}
