import type { MountStatus } from '../client/launch/control-protocol.js';
import type { HostPort } from '../config/host-port.js';
import type { MountConfig } from '../config/mount-config.js';
import type { MdsConfig, MetaserverConfig, StandaloneConfig } from '../config/server-options.js';
import type { PathLocation } from '../client/launch/locate-path.js';
import type { QuotaClient } from '../meta/quota-client.js';
import type { FsInfo, StorageSpec } from '../model/filesystem.js';
import type { MdsAdmin } from './mds-admin.js';

export type { PathLocation } from '../client/launch/locate-path.js';

/** The quotas of a filesystem as the tool sees them. */
export type QuotaAdmin = Pick<QuotaClient, 'set' | 'get' | 'list' | 'delete' | 'close'>;

export interface LaunchOptions {
  /** Stay until the mount ends, logging to stderr. */
  readonly foreground: boolean;
}

export interface UnmountOptions {
  /** How long to wait for the uploads; undefined = as the mount was told. */
  readonly timeoutMs: number | undefined;
  /** Detach even when files are open. */
  readonly lazy: boolean;
}

/** What the commands need from outside; the heavy parts are imported by their implementations when they are called. */
export interface CliDeps {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  readonly version: string;
  /** Asks for a line; undefined when the input has ended. */
  ask(question: string): Promise<string | undefined>;
  connectMds(addresses: readonly HostPort[]): Promise<MdsAdmin>;
  connectQuotas(fs: FsInfo): Promise<QuotaAdmin>;
  /** Where a path of this machine lies in a filesystem; throws MountError. */
  locatePath(path: string): Promise<PathLocation>;
  /** Writes, reads and deletes an object from this process, making a `file://` store's directory when it is missing. */
  probeStorage(storage: StorageSpec, credentialsFile: string | undefined): Promise<void>;
  /** Resolves with 0 when the mount answers (in the foreground: when it has ended); throws MountError. */
  launchMount(config: MountConfig, options: LaunchOptions): Promise<void>;
  unmount(mountpoint: string, options: UnmountOptions): Promise<void>;
  /** Asks the daemon of a mount; undefined when none answers. */
  mountStatus(mountpoint: string): Promise<MountStatus | undefined>;
  /** mount(8) for a remount; resolves with its exit code. */
  remount(mountpoint: string, options: string): Promise<number>;
  /** Run the role until it is told to end; resolve with the exit code. */
  readonly runStandalone: (config: StandaloneConfig) => Promise<number>;
  readonly runMds: (config: MdsConfig) => Promise<number>;
  readonly runMetaserver: (config: MetaserverConfig) => Promise<number>;
}
