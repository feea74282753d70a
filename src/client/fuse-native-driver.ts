import type { Clock } from '../common/clock.js';
import { errorMessage } from '../common/fs-error.js';
import type { Logger } from '../common/logger.js';
import type { MountConfig } from '../config/mount-config.js';
import { findMount, readMountInfo } from '../fuse/mount/mountinfo.js';
import type { FileSystem } from '../vfs/file-system.js';
import type { VfsContext } from '../vfs/vfs-context.js';
import { FuseNativeBridge } from './fuse-native-bridge.js';
import { type FuseNativeConstructor, loadFuseNative } from './fuse-native-module.js';
import type { KernelConnection } from './kernel-connection.js';
import { MountError } from './launch/mount-error.js';
import { MOUNT_SUBTYPE } from './mount-flags.js';

export interface FuseNativeDriverDeps {
  readonly fs: FileSystem;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** libfuse 2 does not tell when it was unmounted: the table of mounts is looked at so often. */
const WATCH_MS = 500;
/** Mount flags that the package can be told, or that change nothing for it. */
const SUPPORTED_FLAGS = new Set(['ro', 'relatime', 'silent']);

/** Throws a {@link MountError} for what `driver=fuse-native` cannot do, with the reason. */
export function refuseUnsupported(config: MountConfig): void {
  const no = (what: string, why: string): never => {
    throw new MountError(1, `driver=fuse-native cannot do ${what}: ${why}`);
  };
  if (config.allowOther) no('allow_other', 'every caller is taken for the user who mounted');
  if (config.acl) no('acl', 'it has no extended attributes');
  if (config.localLock !== 'all') no('locks between mounts', 'it hands no lock requests on; give local_lock=all');
  if (config.squash !== 'none') no('squash', 'it does not know who calls');
  const flag = config.kernelFlags.find((name) => !SUPPORTED_FLAGS.has(name));
  if (flag !== undefined) no(flag, 'the package cannot pass it to mount(2)');
}

/**
 * `driver=fuse-native`: libfuse 2 through the npm package, which mounts by itself and serves from its own thread. For one user; no recovery, no notifications.
 */
export class FuseNativeDriver implements KernelConnection {
  readonly #deps: FuseNativeDriverDeps;
  readonly #config: MountConfig;
  readonly #module: FuseNativeConstructor;
  #requests = 0;
  #watch: NodeJS.Timeout | undefined;
  #resolveEnded!: (reason: string) => void;
  readonly ended = new Promise<string>((resolve) => (this.#resolveEnded = resolve));

  private constructor(deps: FuseNativeDriverDeps, config: MountConfig, module: FuseNativeConstructor) {
    this.#deps = deps;
    this.#config = config;
    this.#module = module;
  }

  static async create(deps: FuseNativeDriverDeps, config: MountConfig): Promise<FuseNativeDriver> {
    refuseUnsupported(config);
    return new FuseNativeDriver(deps, config, await loadFuseNative());
  }

  async start(): Promise<void> {
    const { fs, logger } = this.#deps;
    const { mountpoint, source } = this.#config;
    const bridge = new FuseNativeBridge({ fs, logger, context: () => this.#context() });
    const mount = new this.#module(mountpoint, bridge.operations, {
      timeout: false,
      defaultPermissions: true,
      fsname: source.text.replace(/[\\,]/g, '\\$&'),
      subtype: MOUNT_SUBTYPE,
    });
    await new Promise<void>((resolve, reject) => {
      mount.mount((error) => {
        if (error === null || error === undefined) resolve();
        else reject(new MountError(32, `fuse-native: ${errorMessage(error)}`, { cause: error }));
      });
    });
    this.#watch = setInterval(() => void this.#look(), WATCH_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    this.#resolveEnded('closed');
  }

  async #look(): Promise<void> {
    if (findMount(await readMountInfo(), this.#config.mountpoint)?.fsType === `fuse.${MOUNT_SUBTYPE}`) return;
    clearInterval(this.#watch);
    this.#resolveEnded('unmounted');
  }

  /** The package does not say who calls: only the user who mounted can. */
  #context(): VfsContext {
    this.#requests += 1;
    return {
      // The session belongs to this process: its own numbers are as good as the kernel's.
      opId: { kind: 'kernel', number: this.#requests, step: 0 },
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      tid: process.pid,
      suppGid: undefined,
      signal: undefined,
    };
  }
}
