import type { Logger } from '../../common/logger.js';
import { FallbackDevice } from './fallback-device.js';
import type { FuseDevice } from './fuse-device.js';
import { loadNativeAddon } from './native-addon.js';
import { NativeDevice } from './native-device.js';

export interface CreateDeviceOptions {
  /** An open `/dev/fuse` of a mount, opened here or inherited. The device owns and closes it. */
  readonly fd: number;
  /** Undefined: native where the addon is there, else the fallback, with a warning. `native` throws when it is not there. */
  readonly kind?: 'native' | 'fallback' | undefined;
  /** What INIT asks for (or agreed on): buffers are made for it. */
  readonly maxWriteBytes: number;
  /** Longest active wait for the next request (native only). Default 60; 0 switches it off. */
  readonly spinUs?: number;
}

/** Room for headers and for names beside the largest payload. */
const OVERHEAD_BYTES = 4096;
const SPIN_US = 60;

/** Makes the device for a descriptor. */
export function createDevice(deps: { readonly logger: Logger }, options: CreateDeviceOptions): FuseDevice {
  const bufferBytes = options.maxWriteBytes + OVERHEAD_BYTES;
  if (options.kind !== 'fallback') {
    const load = loadNativeAddon();
    if (load.ok)
      return new NativeDevice(
        { addon: load.addon },
        { fd: options.fd, bufferBytes, spinUs: options.spinUs ?? SPIN_US },
      );
    if (options.kind === 'native') throw new Error(`the native FUSE device is not available: ${load.reason}`);
    deps.logger.warn('native addon not available, using the slower JavaScript FUSE device', { reason: load.reason });
  }
  return new FallbackDevice({ fd: options.fd, bufferBytes });
}
