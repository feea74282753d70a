import type { FsInfo } from '../model/filesystem.js';

/** What the root directory of a new filesystem looks like. */
export interface RootSpec {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * A registered filesystem.
 * - `creating`: its metaserver is being asked to make it; nobody was told of it yet. Found at start, it is removed again.
 * - `ready`: it can be mounted.
 * - `deleting`: its metaserver is being asked to remove it; it refuses while mounts are live, and then the filesystem is ready again.
 */
export interface FsEntry {
  readonly info: FsInfo;
  readonly state: 'creating' | 'ready' | 'deleting';
  /** Of the request that created it. */
  readonly requestId: string;
  /** The metaserver that owns it; where that is, is in its own entry. */
  readonly metaserverId: string;
}

/** A metaserver that has registered, alive or not. */
export interface MetaserverEntry {
  readonly id: string;
  readonly address: string;
}
