import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { errorMessage } from '../../common/fs-error.js';

/** An open channel of the addon: opaque. */
export interface NativeChannel {
  readonly channel: unique symbol;
}

/** The exports of `native/`. Results are non-negative, or a negative errno; exceptions are for wrong arguments only. */
export interface NativeAddon {
  /** A buffer whose byte `payloadOffset` is page aligned. */
  allocSlab(size: number, payloadOffset: number): Buffer;
  /** Marks this thread, and those it makes later, as one that writes back dirty pages (needs CAP_SYS_RESOURCE). */
  setIoFlusher(): number;
  /** [ours, the child's], or negative errnos. */
  socketPair(): [number, number];
  channelOpen(fd: number, replyBuffer: Buffer, onReadable: () => void): NativeChannel;
  channelRead(channel: NativeChannel, buffer: Buffer, spinUs: number): number;
  channelReply(channel: NativeChannel, headLength: number, chunks: readonly Uint8Array[] | undefined): number;
  channelNotify(channel: NativeChannel, message: Buffer, lane: number): Promise<number>;
  channelStart(channel: NativeChannel): number;
  channelStop(channel: NativeChannel): number;
  channelClose(channel: NativeChannel): number;
  mount(source: Buffer, target: Buffer, type: Buffer, flags: number, data: Buffer): Promise<number>;
  umount(target: Buffer, flags: number): Promise<number>;
  recvFd(socket: number): Promise<number>;
  /** Bytes from the page cache, at once and perhaps fewer than asked for; -EAGAIN when the disk would have to be asked. */
  readCached(this: void, fd: number, into: Buffer, position: number): number;
}

/** Where `native/build.js` puts the addon, from the project's root. */
const ADDON_PATH = 'native/build/Release/curvefs_native.node';

/** The project's root: the nearest directory above this file with a package.json, whether this file runs from src/ or from dist/. */
function projectRoot(): string {
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, 'package.json')) && dirname(directory) !== directory)
    directory = dirname(directory);
  return directory;
}

/** The addon, or the reason why it is not there. */
export type AddonLoad =
  { readonly ok: true; readonly addon: NativeAddon } | { readonly ok: false; readonly reason: string };

/** Loads the addon. It is made during `npm install` where a C compiler is found; without it the fallback device serves. */
export function loadNativeAddon(): AddonLoad {
  try {
    return { ok: true, addon: createRequire(import.meta.url)(join(projectRoot(), ADDON_PATH)) as NativeAddon };
  } catch (error) {
    return { ok: false, reason: errorMessage(error).split('\n')[0] ?? 'cannot be loaded' };
  }
}
