import type { Command } from 'commander';
import { isAbsolute, join } from 'node:path';
import { ConfigError } from '../../../config/config-error.js';
import { parseFsName } from '../../../config/fs-name.js';
import { mdsList, option, text } from '../../../config/option.js';
import type { CliDeps, PathLocation, QuotaAdmin } from '../../cli-deps.js';
import { readFlags } from '../../flags.js';

/** How the commands on quotas name a directory: by a path on this machine, or by filesystem and path. */
export const TARGET_FLAGS = {
  fs: option({
    name: 'fs',
    type: text('NAME'),
    default: undefined,
    defaultText: 'the one that PATH is in',
    description: 'Filesystem, when PATH is not one of this machine but from the root of that filesystem.',
  }),
  mds: option({
    name: 'mds',
    type: mdsList,
    default: undefined,
    defaultText: 'that of the mount',
    env: 'CURVEFS_MDS',
    description: 'Addresses of the MDS, with --fs.',
  }),
} as const;

/** Runs `fn` with the quotas of the filesystem that the command names, and the directory's path in it. */
export async function withQuotas<T>(
  command: Command,
  deps: CliDeps,
  path: string,
  fn: (quotas: QuotaAdmin, path: Uint8Array) => Promise<T>,
): Promise<T> {
  const target = await targetOf(command, deps, path);
  const mds = await deps.connectMds(target.mds);
  try {
    const { fs } = await mds.getFs(target.fsName);
    const quotas = await deps.connectQuotas(fs);
    try {
      return await fn(quotas, target.path);
    } finally {
      await quotas.close();
    }
  } finally {
    await mds.close();
  }
}

function targetOf(command: Command, deps: CliDeps, path: string): Promise<PathLocation> {
  const { fs, mds } = readFlags(command, TARGET_FLAGS, deps.env);
  if (fs === undefined) return deps.locatePath(isAbsolute(path) ? path : join(deps.cwd, path));
  if (mds === undefined) throw new ConfigError('missing', '--mds HOST:PORT[,HOST:PORT...] is required with --fs');
  return Promise.resolve({ mds, fsName: parseFsName(fs), path: Buffer.from(path) });
}
