/** What the server shall do wrong: see fault-plan.js. */
export interface Fault {
  readonly op?: string;
  readonly match?: string;
  readonly skip?: number;
  readonly count?: number;
  readonly status?: number;
  readonly code?: string;
  readonly delayMs?: number;
  readonly action?: 'drop' | 'hang' | 'truncate' | 'corrupt' | 'drop-after' | 'stall';
}

export interface RecordedRequest {
  readonly op: string;
  readonly bucket: string;
  readonly key: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: number;
}

export interface S3ServerOptions {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly region?: string;
  readonly domain?: string;
  readonly buckets?: readonly string[];
  readonly storage?: S3ServerStorage;
  readonly nowMs?: () => number;
}

export interface S3ServerStorage {
  createBucket(bucket: string): Promise<void>;
  hasBucket(bucket: string): Promise<boolean>;
  put(bucket: string, key: string, body: Buffer, checksums: Readonly<Record<string, string>>): Promise<void>;
  get(bucket: string, key: string): Promise<{ body: Buffer; checksums: Record<string, string> } | undefined>;
  delete(bucket: string, key: string): Promise<void>;
  list(bucket: string, prefix: string): Promise<{ key: string; size: number }[]>;
}

export class S3Server {
  constructor(opts: S3ServerOptions);
  readonly faults: { add(fault: Fault): void; clear(): void };
  requests: RecordedRequest[];
  readonly storage: S3ServerStorage;
  setCredentials(credentials: Partial<Pick<S3ServerOptions, 'accessKeyId' | 'secretAccessKey' | 'sessionToken'>>): void;
  start(port?: number, host?: string): Promise<number>;
  close(): Promise<void>;
}
