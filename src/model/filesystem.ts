import type { FsId, SessionId } from './ids.js';

/** Where a filesystem's objects live; never carries a secret. */
export type StorageSpec =
  | { readonly kind: 'file'; /** Absolute path of the directory. */ readonly path: string }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      /** Key prefix without a leading or trailing slash; empty = none. */
      readonly prefix: string;
      /** `http(s)://host[:port]`; empty = the SDK's endpoint of the region. */
      readonly endpoint: string;
      readonly region: string;
      readonly pathStyle: boolean;
    };

/** A filesystem as the MDS registers it: fixed at create, but for the limits. */
export interface FsInfo {
  readonly id: FsId;
  readonly uuid: string;
  readonly name: string;
  readonly storage: StorageSpec;
  /** Unit of extent lists and of caching; a power of two from 64 KiB to 16 MiB. */
  readonly blockSizeBytes: number;
  /** Most allocated bytes; 0 = no limit. */
  readonly capacityBytes: number;
  /** Most inodes; 0 = no limit. */
  readonly inodesMax: number;
  /** Version of the chunk format (`model/chunk-frames.ts`). */
  readonly chunkFormat: number;
  /** `host:port` of the metaserver that owns it. */
  readonly metaserver: string;
  readonly createdMs: number;
}

/** statfs(2) numbers, in bytes and inodes; a total of 0 means no limit. */
export interface FsUsage {
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly inodesMax: number;
  readonly usedInodes: number;
}

/** A mount's session as its metaserver sees it. */
export interface MountInfo {
  readonly sessionId: SessionId;
  readonly fsId: FsId;
  readonly host: string;
  readonly mountpoint: string;
  readonly pid: number;
  readonly version: string;
  readonly readOnly: boolean;
  readonly startedMs: number;
  /** Milliseconds since its last frame. */
  readonly silentMs: number;
}
