import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** A line of `/proc/PID/mountinfo`, proc(5). */
export interface MountInfo {
  readonly mountId: number;
  readonly parentId: number;
  /** `st_dev` of files on the mount, as `major:minor`. */
  readonly device: string;
  readonly root: string;
  readonly mountPoint: string;
  readonly options: string;
  readonly fsType: string;
  readonly source: string;
  readonly superOptions: string;
}

/** Space, tab, newline and backslash are written as three octal digits. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

/** Parses the file; lines that are not mountinfo lines are left out. Bytes of paths come as latin1, as {@link mountPath} makes them. */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split('\n')) {
    // Optional fields (shared:1 …) stand between the sixth field and the lone dash.
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [mountId, parentId, device, root, mountPoint, options] = fields;
    const [fsType, source, superOptions] = fields.slice(dash + 1);
    if (dash < 0 || superOptions === undefined || options === undefined) continue;
    mounts.push({
      mountId: Number(mountId),
      parentId: Number(parentId),
      device: device ?? '',
      root: unescape(root ?? ''),
      mountPoint: unescape(mountPoint ?? ''),
      options,
      fsType: unescape(fsType ?? ''),
      source: unescape(source ?? ''),
      superOptions,
    });
  }
  return mounts;
}

const MOUNTINFO = '/proc/self/mountinfo';

/** A path as {@link parseMountInfo} shows it: its bytes as latin1. */
export function mountPath(path: string): string {
  return Buffer.from(path).toString('latin1');
}

/** The topmost mount at exactly this path (absolute, without symbolic links), or undefined. Never touches the mount itself. */
export function findMount(mounts: readonly MountInfo[], path: string): MountInfo | undefined {
  const wanted = mountPath(path);
  return mounts.findLast((mount) => mount.mountPoint === wanted);
}

/** The mounts this process sees now. */
export async function readMountInfo(): Promise<MountInfo[]> {
  return parseMountInfo(await readFile(MOUNTINFO, 'latin1'));
}

/** As {@link readMountInfo}, at once. */
export function readMountInfoSync(): MountInfo[] {
  return parseMountInfo(readFileSync(MOUNTINFO, 'latin1'));
}
