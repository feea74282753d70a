import { errorMessage, nodeErrorCode } from '../common/fs-error.js';
import { ObjectError, type ObjectErrorCode } from './object-error.js';

/** What was asked, for the message. */
export interface S3Request {
  readonly op: string;
  /** The key with the store's prefix; empty where the request has none. */
  readonly key: string;
  readonly bucket: string;
  readonly endpoint: string;
}

/** S3 error codes (and the names of the SDK's own errors); what is missing here is judged by its HTTP status. */
const CODE_OF_NAME: Readonly<Record<string, ObjectErrorCode>> = {
  NoSuchKey: 'not-found',
  NotFound: 'not-found',
  NoSuchBucket: 'no-bucket',
  AccessDenied: 'access-denied',
  AllAccessDisabled: 'access-denied',
  AccountProblem: 'access-denied',
  InvalidAccessKeyId: 'bad-credentials',
  SignatureDoesNotMatch: 'bad-credentials',
  ExpiredToken: 'bad-credentials',
  InvalidToken: 'bad-credentials',
  TokenRefreshRequired: 'bad-credentials',
  CredentialsProviderError: 'bad-credentials',
  TokenProviderError: 'bad-credentials',
  RequestTimeTooSkewed: 'clock-skew',
  RequestExpired: 'clock-skew',
  SlowDown: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  TooManyRequests: 'throttled',
  RequestLimitExceeded: 'throttled',
  BandwidthLimitExceeded: 'throttled',
  RequestTimeout: 'timeout',
  TimeoutError: 'timeout',
  BadDigest: 'corrupt',
  InvalidDigest: 'corrupt',
  XAmzContentSHA256Mismatch: 'corrupt',
  XAmzContentChecksumMismatch: 'corrupt',
  IncompleteBody: 'corrupt',
  PreconditionFailed: 'exists',
  // Somebody else puts the same key at this moment.
  ConditionalRequestConflict: 'unavailable',
  QuotaExceeded: 'no-space',
  XMinioStorageFull: 'no-space',
  XMinioAdminBucketQuotaExceeded: 'no-space',
  PermanentRedirect: 'invalid',
  AuthorizationHeaderMalformed: 'invalid',
  NotImplemented: 'invalid',
};

const CODE_OF_STATUS: Readonly<Record<number, ObjectErrorCode>> = {
  401: 'bad-credentials',
  403: 'access-denied',
  404: 'not-found',
  408: 'timeout',
  412: 'exists',
  429: 'throttled',
  501: 'invalid',
  507: 'no-space',
};

/** Node system errors of a connection; every other one of them is 'unavailable' too. */
const CODE_OF_NODE: Readonly<Record<string, ObjectErrorCode>> = {
  ETIMEDOUT: 'timeout',
  // A TLS client at a plain port, or the reverse; certificates that a retry does not mend.
  EPROTO: 'invalid',
  ERR_SSL_WRONG_VERSION_NUMBER: 'invalid',
  ERR_TLS_CERT_ALTNAME_INVALID: 'invalid',
  CERT_HAS_EXPIRED: 'invalid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'invalid',
  SELF_SIGNED_CERT_IN_CHAIN: 'invalid',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'invalid',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'invalid',
};

/** What to do, where that is known. */
const ADVICE: Partial<Readonly<Record<ObjectErrorCode, string>>> = {
  'no-bucket': 'create the bucket, or check --storage and --endpoint',
  'bad-credentials': 'check the credentials file, or the environment and files the AWS SDK reads',
  'access-denied': 'the credentials need s3:GetObject, PutObject, DeleteObject and ListBucket on the bucket',
  'clock-skew': "check this machine's clock",
};

/** Converts what the SDK throws for a request: S3's error codes, HTTP statuses and Node's errors. */
export function mapS3Error(error: unknown, request: S3Request): ObjectError {
  if (error instanceof ObjectError) return error;
  const { code, detail } = classify(error);
  const place = `s3://${request.bucket}${request.key === '' ? '' : `/${request.key}`} at ${request.endpoint}`;
  const advice = ADVICE[code];
  return new ObjectError(code, `${request.op} ${place}: ${detail}${advice === undefined ? '' : ` (${advice})`}`, {
    cause: error,
  });
}

/** The name S3 gave the error, where there is one. */
export function s3ErrorName(error: unknown): string {
  return typeof error === 'object' && error !== null && 'name' in error && typeof error.name === 'string'
    ? error.name
    : '';
}

/** The HTTP status of the answer, or 0 when there was none. */
export function s3Status(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return 0;
  const metadata = error.$metadata as { httpStatusCode?: unknown } | undefined;
  return typeof metadata?.httpStatusCode === 'number' ? metadata.httpStatusCode : 0;
}

function classify(error: unknown): { code: ObjectErrorCode; detail: string } {
  const name = s3ErrorName(error);
  const status = s3Status(error);
  const message = errorMessage(error);
  const named = Object.hasOwn(CODE_OF_NAME, name) ? CODE_OF_NAME[name] : undefined;
  if (named !== undefined) return { code: named, detail: message === name ? name : `${name}: ${message}` };
  if (status >= 300) {
    const detail = `HTTP ${status} ${name === 'Error' ? '' : `${name}: `}${message}`;
    return { code: CODE_OF_STATUS[status] ?? (status >= 500 ? 'unavailable' : 'invalid'), detail };
  }
  const node = nodeErrorCode(error);
  if (node !== undefined) {
    const code = Object.hasOwn(CODE_OF_NODE, node) ? CODE_OF_NODE[node] : undefined;
    return { code: code ?? 'unavailable', detail: message === '' ? node : message };
  }
  return { code: 'unavailable', detail: message };
}
