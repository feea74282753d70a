import { Command } from 'commander';
import { isAbsolute, join } from 'node:path';
import { errorMessage } from '../../../common/fs-error.js';
import { parseFsName } from '../../../config/fs-name.js';
import { flag, integer, option, path, requiredOption, size, text, type OptionType } from '../../../config/option.js';
import { ConfigError } from '../../../config/config-error.js';
import { parseStorage } from '../../../object/parse-storage.js';
import type { CliDeps } from '../../cli-deps.js';
import { addFlags, MDS_FLAG, readFlags, withMds } from '../../flags.js';
import type { CreateFsSpec } from '../../../meta/mds-client.js';
import { renderFs } from './render.js';

const KiB = 1024;
const MiB = KiB * KiB;
const BLOCK_SIZE_MIN = 64 * KiB;
const BLOCK_SIZE_MAX = 16 * MiB;

const CREATE_OPTIONS = {
  ...MDS_FLAG,
  storage: requiredOption({
    name: 'storage',
    type: text('URL'),
    description: 'Where the data lives: file:///ABSOLUTE/DIR or s3://BUCKET[/PREFIX].',
  }),
  endpoint: option({
    name: 'endpoint',
    type: text('URL'),
    default: undefined,
    defaultText: 'that of AWS',
    description: 'Address of the S3 service: http(s)://HOST[:PORT].',
  }),
  region: option({
    name: 'region',
    type: text('REGION'),
    default: undefined,
    defaultText: 'us-east-1 where an endpoint is given',
    description: 'Region of the bucket.',
  }),
  pathStyle: option({
    name: 'path_style',
    type: flag,
    default: false,
    description: 'The bucket stands in the path of requests, not in the host name.',
  }),
  credentials: option({
    name: 'credentials',
    type: path('FILE'),
    default: undefined,
    defaultText: "the AWS SDK's chain: environment, ~/.aws, instance role",
    description:
      'File (mode 0600) with the S3 credentials for the probe from this tool; mounts and the service have their own.',
  }),
  blockSizeBytes: option({
    name: 'block_size',
    type: size({ min: BLOCK_SIZE_MIN, max: BLOCK_SIZE_MAX }),
    default: 4 * MiB,
    description: 'Unit of caching, and the most that one object holds: a power of two from 64KiB to 16MiB.',
  }),
  capacityBytes: option({
    name: 'capacity',
    type: size({ min: 0 }),
    default: 0,
    defaultText: 'no limit',
    description: 'Most bytes that all files may take; 0 = no limit.',
  }),
  inodesMax: option({
    name: 'inodes',
    type: integer({ min: 0 }),
    default: 0,
    defaultText: 'no limit',
    description: 'Most files and directories; 0 = no limit.',
  }),
  rootMode: option({
    name: 'root_mode',
    type: mode(),
    default: 0o755,
    description: 'Permissions of the root directory.',
  }),
  rootOwner: option({
    name: 'root_owner',
    type: owner(),
    default: Object.freeze({ uid: 0, gid: 0 }),
    description: 'Owner of the root directory.',
  }),
} as const;

/** `curvefs fs create`: probes the store from here, then has the service probe it and register the filesystem. */
export function createCommand(deps: CliDeps): Command {
  const command = addFlags(
    new Command('create').argument('<NAME>', 'name of the new filesystem'),
    CREATE_OPTIONS,
  ).description(
    'Create a filesystem. Writes, reads and deletes one object of the store first, from here and from the service.',
  );
  return command.action(async (name: string) => {
    const options = readFlags(command, CREATE_OPTIONS, deps.env);
    if (!Number.isInteger(Math.log2(options.blockSizeBytes))) {
      throw new ConfigError('bad-value', `--block-size: ${options.blockSizeBytes} is not a power of two`);
    }
    const { endpoint, region, pathStyle } = options;
    const spec: CreateFsSpec = {
      name: parseFsName(name),
      storage: parseStorage(options.storage, { endpoint, region, pathStyle }),
      blockSizeBytes: options.blockSizeBytes,
      capacityBytes: options.capacityBytes,
      inodesMax: options.inodesMax,
      rootMode: options.rootMode,
      rootUid: options.rootOwner.uid,
      rootGid: options.rootOwner.gid,
    };
    const credentials = absolute(options.credentials, deps.cwd);
    const fs = await withMds(command, deps, async (mds) => {
      // before the probe, which makes the directory of a file store
      await mds.status();
      await probe(deps, spec, credentials);
      return mds.createFs(spec);
    });
    deps.stdout.write(`created filesystem ${fs.name}\n${renderFs(fs)}`);
  });
}

async function probe(deps: CliDeps, spec: CreateFsSpec, credentials: string | undefined): Promise<void> {
  try {
    await deps.probeStorage(spec.storage, credentials);
  } catch (error) {
    throw new Error(`the store cannot be used from this tool: ${errorMessage(error)}`, { cause: error });
  }
}

function absolute(file: string | undefined, cwd: string): string | undefined {
  return file === undefined || isAbsolute(file) ? file : join(cwd, file);
}

function mode(): OptionType<number> {
  return text(
    'MODE',
    (value) => {
      if (!/^0?[0-7]{3,4}$/.test(value))
        throw new ConfigError('bad-value', `"${value}" is not an octal mode such as 0755`);
      return parseInt(value, 8);
    },
    (value) => value.toString(8).padStart(4, '0'),
  );
}

function owner(): OptionType<{ readonly uid: number; readonly gid: number }> {
  return text(
    'UID:GID',
    (value) => {
      const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(value) ?? [];
      if (uid === undefined || gid === undefined || Number(uid) > 0xfffffffe || Number(gid) > 0xfffffffe) {
        throw new ConfigError('bad-value', `"${value}" is not UID:GID such as 0:0`);
      }
      return Object.freeze({ uid: Number(uid), gid: Number(gid) });
    },
    ({ uid, gid }) => `${uid}:${gid}`,
  );
}
