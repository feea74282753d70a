/**
 * Where objects live, as `openObjectStore` takes it: plain data without a secret, so that it can be sent to a thread
 * or a process. The model's `StorageSpec` is assignable to it.
 */
export type ObjectStorageSpec = FileStorageSpec | S3StorageSpec;

export interface FileStorageSpec {
  readonly kind: 'file';
  /** Absolute path of the directory. */
  readonly path: string;
}

export interface S3StorageSpec {
  readonly kind: 's3';
  readonly bucket: string;
  /** Key prefix without a leading or trailing slash; empty = none. */
  readonly prefix: string;
  /** `http(s)://host[:port]`; empty = the SDK's endpoint of the region. */
  readonly endpoint: string;
  readonly region: string;
  readonly pathStyle: boolean;
}
