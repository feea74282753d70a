import { ERRNO } from '../../common/errno.js';
import { loadNativeAddon } from '../device/native-addon.js';
import { MountError } from './mount-error.js';
import { mountSystemError } from './mount-fuse.js';
import { runCommand } from './run-command.js';

/** Flags of umount2(2). */
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export interface UnmountOptions {
  /** Detach at once, even when it is in use or its server hangs; what is open goes on until it is closed. */
  readonly lazy: boolean;
  readonly timeoutMs: number;
  /** Undefined: by umount2(2) when the addon is there, else by umount(8); users who may not, by fusermount3. */
  readonly method?: 'addon' | 'command' | 'fusermount' | undefined;
}

/**
 * Unmounts. Not lazily it syncs through the server first: the process that serves the mount may call it (it runs on a thread of its own,
 * or in a child), but must go on serving meanwhile.
 */
export async function unmountFuse(target: string, options: UnmountOptions): Promise<void> {
  const load = options.method === undefined || options.method === 'addon' ? loadNativeAddon() : undefined;
  if (load?.ok === true) {
    const pending = load.addon.umount(Buffer.from(target), UMOUNT_NOFOLLOW | (options.lazy ? MNT_DETACH : 0));
    const result = await withTimeout(pending, options.timeoutMs);
    if (result === undefined)
      throw new MountError('timeout', `unmounting ${target} did not finish in ${options.timeoutMs} ms`);
    if (result === -ERRNO.EINVAL) throw new MountError('not-mounted', `${target} is not mounted`);
    if (result !== 0) throw mountSystemError(-result, `cannot unmount ${target}`);
    return;
  }
  const lazy = (flag: string): string[] => (options.lazy ? [flag] : []);
  const [command, args] =
    options.method === 'fusermount'
      ? ['fusermount3', ['-u', ...lazy('-z'), '--', target]]
      : ['umount', ['-i', '-c', ...lazy('-l'), '--', target]];
  const result = await runCommand(command, args, { timeoutMs: options.timeoutMs });
  if (result.status === 0) return;
  if (result.timedOut) throw new MountError('timeout', `unmounting ${target}: ${result.message}`);
  const code = /not mounted|no mount point/i.test(result.message)
    ? 'not-mounted'
    : /busy/.test(result.message)
      ? 'busy'
      : 'helper-failed';
  throw new MountError(code, `cannot unmount ${target}: ${result.message}`);
}

/** The result, or undefined after the time. */
async function withTimeout<T>(pending: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      resolve(undefined);
    }, timeoutMs);
  });
  try {
    return await Promise.race([pending, late]);
  } finally {
    clearTimeout(timer);
  }
}
