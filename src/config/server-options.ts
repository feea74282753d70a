import {
  choice,
  duration,
  hostPort,
  mdsList,
  option,
  path,
  requiredOption,
  size,
  type OptionValues,
} from './option.js';

/*
 * Options of the long-running roles, as command-line flags (`data_dir` is `--data-dir`). Relative paths are taken from the working directory.
 */

const dataDir = requiredOption({
  name: 'data_dir',
  type: path('DIR'),
  description: 'Directory of the database; made with mode 0700 when missing, and locked while the service runs.',
});
const mdsListen = option({
  name: 'listen',
  type: hostPort({ allowPortZero: true }),
  default: Object.freeze({ host: '127.0.0.1', port: 6700 }),
  description: 'Address to serve on. Anybody who can reach it can use the service: keep it on a private network.',
});
const advertise = option({
  name: 'advertise',
  type: hostPort(),
  default: undefined,
  defaultText: 'the address of `--listen`',
  description: 'Address at which mounts reach the metaserver; needed when `--listen` is a wildcard such as 0.0.0.0.',
});
const metrics = option({
  name: 'metrics',
  type: hostPort({ allowPortZero: true }),
  default: undefined,
  defaultText: 'no metrics server',
  description: 'Serve `/metrics` (Prometheus) and `/healthz` over HTTP at this address.',
});
const credentials = option({
  name: 'credentials',
  type: path('FILE'),
  default: undefined,
  defaultText: "the AWS SDK's chain: environment, ~/.aws, instance role",
  description: 'File with the S3 credentials for probing stores and deleting objects, mode 0600.',
});
const durability = option({
  name: 'durability',
  type: choice('commit', 'relaxed'),
  default: 'commit',
  description:
    '`commit`: an operation is acknowledged when it is on disk. `relaxed`: at once, and on disk within 100 ms, as a local file system does it; `fsync` always waits for the disk.',
});
const sessionTtlMs = option({
  name: 'session_ttl',
  type: duration({ min: 1000, max: 3_600_000 }),
  default: 20_000,
  description:
    'A mount that was not heard of for so long has ended: it loses its locks and open files and can write no more.',
});
const dbSizeBytes = option({
  name: 'db_size',
  type: size({ min: 64 * 1024 ** 2 }),
  default: 64 * 1024 ** 3,
  description:
    'Most bytes that the database may take; when it is nearly full, growth is refused, deleting is not. The disk space is taken as it is needed.',
});
const log = option({
  name: 'log',
  type: path('FILE'),
  default: undefined,
  defaultText: 'stderr',
  description: 'File for the log, one JSON object per line; SIGHUP opens it anew.',
});
const logLevel = option({
  name: 'log_level',
  type: choice('error', 'warn', 'info', 'debug'),
  default: 'info',
  description: 'The least important messages that are logged.',
});

export const STANDALONE_OPTIONS = {
  dataDir,
  listen: mdsListen,
  advertise,
  metrics,
  credentials,
  durability,
  sessionTtlMs,
  dbSizeBytes,
  log,
  logLevel,
} as const;

export const MDS_OPTIONS = { dataDir, listen: mdsListen, metrics, dbSizeBytes, log, logLevel } as const;

export const METASERVER_OPTIONS = {
  dataDir,
  mds: requiredOption({
    name: 'mds',
    type: mdsList,
    env: 'CURVEFS_MDS',
    description: 'Addresses of the MDS.',
  }),
  listen: option({
    name: 'listen',
    type: hostPort({ allowPortZero: true }),
    default: Object.freeze({ host: '127.0.0.1', port: 6701 }),
    description: mdsListen.description,
  }),
  advertise,
  metrics,
  credentials,
  durability,
  sessionTtlMs,
  dbSizeBytes,
  log,
  logLevel,
} as const;

export type StandaloneConfig = OptionValues<typeof STANDALONE_OPTIONS>;
export type MdsConfig = OptionValues<typeof MDS_OPTIONS>;
export type MetaserverConfig = OptionValues<typeof METASERVER_OPTIONS>;
