import { closeSync, statSync } from 'node:fs';
import { ERRNO, errnoCode } from '../../common/errno.js';
import { errorMessage, nodeErrorCode } from '../../common/fs-error.js';
import { loadNativeAddon, type NativeAddon } from '../device/native-addon.js';
import { MountError, type MountErrorCode } from './mount-error.js';
import {
  fusermountOptions,
  mountCommandOptions,
  mountData,
  mountFlags,
  type MountIdentity,
  type MountOptions,
} from './mount-options.js';
import { runCommand } from './run-command.js';

export interface MountFuseOptions {
  /** Descriptor of `/dev/fuse`, opened and not mounted yet. */
  readonly fd: number;
  /** Shown as the source in `/proc/mounts`. */
  readonly source: string;
  /** Absolute path of the mountpoint. */
  readonly target: string;
  /** The type shown is `fuse.` and this. */
  readonly subtype: string;
  readonly options: MountOptions;
  /** Undefined: by the addon where it is there, else by mount(8). */
  readonly method?: 'addon' | 'command' | undefined;
}

const COMMAND_TIMEOUT_MS = 10_000;
const S_IFMT = 0o170000;

/** The mountpoint's type; the mount has to have the same. */
function mountpointMode(target: string): number {
  let mode: number;
  try {
    mode = statSync(target).mode & S_IFMT;
  } catch (error) {
    if (nodeErrorCode(error) === 'ENOENT')
      throw new MountError('bad-mountpoint', `${target}: no such file or directory`, { cause: error });
    throw new MountError('bad-mountpoint', `${target}: ${errorMessage(error)}`, { cause: error });
  }
  if (mode !== 0o040000) throw new MountError('bad-mountpoint', `${target}: not a directory`);
  return mode;
}

/**
 * Mounts an open `/dev/fuse` at a directory. The kernel's INIT waits in the device until somebody serves it; nothing here touches the
 * mount afterwards. Root (CAP_SYS_ADMIN) only: others use {@link mountWithFusermount}.
 */
export async function mountFuse(options: MountFuseOptions): Promise<void> {
  const identity: MountIdentity = {
    fd: options.fd,
    rootMode: mountpointMode(options.target),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
  };
  const load = options.method === 'command' ? undefined : loadNativeAddon();
  if (load?.ok === true) {
    await mountByAddon(load.addon, identity, options);
  } else if (options.method === 'addon') {
    throw new MountError('system', 'the native addon is not available');
  } else {
    await mountByCommand(identity, options);
  }
}

async function mountByAddon(addon: NativeAddon, identity: MountIdentity, options: MountFuseOptions): Promise<void> {
  const result = await addon.mount(
    Buffer.from(options.source),
    Buffer.from(options.target),
    Buffer.from(`fuse.${options.subtype}`),
    mountFlags(options.options),
    Buffer.from(mountData(identity, options.options)),
  );
  if (result !== 0) throw mountSystemError(-result, `cannot mount ${options.target}`);
}

/** `mount -i` takes no helper, `-c` looks at no path: the kernel is called with what we say. The child has the device as 3. */
async function mountByCommand(identity: MountIdentity, options: MountFuseOptions): Promise<void> {
  const list = mountCommandOptions({ ...identity, fd: 3 }, options.options);
  const args = ['-i', '-c', '-n', '-t', `fuse.${options.subtype}`, '-o', list, '--', options.source, options.target];
  const result = await runCommand('mount', args, { timeoutMs: COMMAND_TIMEOUT_MS, fds: [options.fd] });
  if (result.status !== 0)
    throw new MountError(
      result.timedOut ? 'timeout' : 'helper-failed',
      `cannot mount ${options.target}: ${result.message}`,
    );
}

/** An errno of mount(2) or umount2(2) as a {@link MountError}. */
export function mountSystemError(errno: number, situation: string): MountError {
  const codes: Readonly<Record<number, MountErrorCode>> = {
    [ERRNO.EPERM]: 'not-permitted',
    [ERRNO.EACCES]: 'not-permitted',
    [ERRNO.EBUSY]: 'busy',
    [ERRNO.ENODEV]: 'no-fuse',
    [ERRNO.EINVAL]: 'bad-option',
    [ERRNO.ENOENT]: 'bad-mountpoint',
    [ERRNO.ENOTDIR]: 'bad-mountpoint',
  };
  return new MountError(codes[errno] ?? 'system', `${situation}: ${errnoCode(errno)}`);
}

export interface FusermountOptions {
  readonly source: string;
  readonly target: string;
  readonly subtype: string;
  readonly options: MountOptions;
}

/**
 * Mounts through the setuid fusermount3 and returns the descriptor of `/dev/fuse` that it opened. It forces nosuid and nodev, and wants
 * `user_allow_other` in /etc/fuse.conf for allow_other. Needs the addon: Node cannot receive a descriptor.
 */
export async function mountWithFusermount(options: FusermountOptions): Promise<number> {
  const load = loadNativeAddon();
  if (!load.ok) throw new MountError('system', `mounting as a user needs the native addon: ${load.reason}`);
  const [ours, theirs] = load.addon.socketPair();
  if (ours < 0) throw mountSystemError(-ours, 'cannot make a socket for fusermount3');
  const list = fusermountOptions(options.source, options.subtype, options.options);
  let fd: number;
  let result;
  try {
    const running = runCommand('fusermount3', ['-o', list, '--', options.target], {
      timeoutMs: COMMAND_TIMEOUT_MS,
      fds: [theirs],
      env: { ...process.env, _FUSE_COMMFD: '3' },
    });
    // The child has its copy: when it ends without sending, ours reads an end of file.
    closeSync(theirs);
    const received = load.addon.recvFd(ours);
    result = await running;
    fd = await received;
  } finally {
    closeSync(ours);
  }
  if (fd >= 0 && result.status === 0) return fd;
  if (fd >= 0) closeSync(fd);
  throw new MountError('helper-failed', `cannot mount ${options.target}: ${result.message}`);
}
