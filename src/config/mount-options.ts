import { absolutePath, choice, duration, flag, hostPort, integer, option, size, type OptionValues } from './option.js';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

/**
 * The mount options of our own, beside those of the kernel (`kernel-flags.ts`). `ro` is the kernel's flag too; it stands here because the
 * client itself must not write then. Numbers are chosen for one mount on a machine that does other work as well.
 * `buffer_size` and `read_ahead` are sized for a mount of at most 300 MiB of resident memory, however much it writes and reads.
 */
export const MOUNT_OPTIONS = {
  readOnly: option({
    name: 'ro',
    type: flag,
    default: false,
    description: 'Mount read-only: nothing is written to the filesystem, neither data nor times.',
  }),
  cacheDir: option({
    name: 'cache_dir',
    type: absolutePath('DIR'),
    default: undefined,
    defaultText: '`/var/cache/curvefs/<filesystem>-<mountpoint>`, for other users than root under `~/.cache/curvefs`',
    description:
      'Directory of the journal and the block cache, on a local disk. Data that was written and not uploaded yet lives here: never delete it while a mount is up or after one ended by force. Mounts must not share it.',
  }),
  cacheSizeBytes: option({
    name: 'cache_size',
    type: size({ min: 0 }),
    default: undefined,
    defaultText: '10 GiB for a filesystem on S3, none for one on a directory, which is as near as the cache',
    description: 'Most bytes of blocks kept in `cache_dir` for reading again; 0 keeps none.',
  }),
  journalSizeBytes: option({
    name: 'journal_size',
    type: size({ min: 64 * MiB }),
    default: 2 * GiB,
    description:
      'Most bytes of written data that wait for upload in `cache_dir`. When it is full, writers wait for the uploads. Larger absorbs longer bursts; it is the most that a lost disk can cost.',
  }),
  writeback: option({
    name: 'writeback',
    type: flag,
    default: false,
    description:
      '`fsync` and `close` return when the data is on the disk of `cache_dir`, not when it is in the object store: faster, but other machines see it later, and it is lost with this disk.',
  }),
  uploadDelayMs: option({
    name: 'upload_delay',
    type: duration({ min: 0, max: 3_600_000 }),
    default: 5000,
    description: 'How long written data may wait for more before it is uploaded.',
  }),
  uploads: option({
    name: 'uploads',
    type: integer({ min: 1, max: 256 }),
    default: undefined,
    defaultText: '8 to S3, which has latency to hide; 4 to a directory, which fewer keep busy',
    description: 'Most uploads to the object store at once. Each holds up to one block in memory.',
  }),
  downloads: option({
    name: 'downloads',
    type: integer({ min: 1, max: 512 }),
    default: 16,
    description: 'Most downloads from the object store at once.',
  }),
  ioThreads: option({
    name: 'io_threads',
    type: integer({ min: 1, max: 32 }),
    default: 2,
    description: 'Threads that talk to the object store (signing and checksums cost processor time).',
  }),
  readAheadBytes: option({
    name: 'read_ahead',
    type: size({ min: 0, max: GiB }),
    default: 16 * MiB,
    description:
      'Most bytes read ahead of a sequential reader; it starts smaller and grows with success. 0 turns it off.',
  }),
  bufferSizeBytes: option({
    name: 'buffer_size',
    type: size({ min: 16 * MiB }),
    default: 48 * MiB,
    description:
      'Most memory for file content fetched from the object store, read-ahead included. What is on its way to the store comes on top: `uploads` blocks.',
  }),
  attrTimeoutMs: option({
    name: 'attr_timeout',
    type: duration({ min: 0, max: 86_400_000 }),
    default: 1000,
    description:
      'How long attributes may be served from a cache. A change made by another mount may stay unseen for so long; `open` always asks.',
  }),
  entryTimeoutMs: option({
    name: 'entry_timeout',
    type: duration({ min: 0, max: 86_400_000 }),
    default: 1000,
    description: 'How long a name may be served from a cache, as `attr_timeout`.',
  }),
  negativeTimeoutMs: option({
    name: 'negative_timeout',
    type: duration({ min: 0, max: 86_400_000 }),
    default: 0,
    description: 'How long the absence of a name may be served from a cache, as `attr_timeout`.',
  }),
  noXattr: option({
    name: 'noxattr',
    type: flag,
    default: false,
    description:
      'No extended attributes on this mount: every request for one is answered EOPNOTSUPP, without a question to the server.',
  }),
  acl: option({
    name: 'acl',
    type: flag,
    default: false,
    description:
      'POSIX ACLs (`setfacl`, `getfacl`): the kernel checks them, and a default ACL takes the place of the umask. Without it requests for ACLs are answered EOPNOTSUPP; those that other mounts have set still deny and are handed down to new files.',
  }),
  allowOther: option({
    name: 'allow_other',
    type: flag,
    default: undefined,
    defaultText: 'on for root, off for others',
    description:
      'Other users than the one who mounted may use the mount, under its permissions. Others than root need `user_allow_other` in /etc/fuse.conf.',
  }),
  localLock: option({
    name: 'local_lock',
    type: choice('none', 'flock', 'posix', 'all'),
    default: undefined,
    defaultText: '`none`; `all` with `driver=fuse-native`',
    description:
      'Kinds of locks that hold on this machine alone, as in nfs(5): those of flock(2), those of fcntl(2) (`posix`), or both. The others are kept by the metaserver and hold between all mounts of the filesystem; taking one is a round trip, dropping one uploads what was written under it.',
  }),
  squash: option({
    name: 'squash',
    type: choice('none', 'root', 'all'),
    default: 'none',
    description: 'Callers that act as `squash_uid` and `squash_gid` instead of as themselves: nobody, root, or all.',
  }),
  squashUid: option({
    name: 'squash_uid',
    type: integer({ min: 0, max: 0xfffffffe }),
    default: 65534,
    description: 'The user id of squashed callers.',
  }),
  squashGid: option({
    name: 'squash_gid',
    type: integer({ min: 0, max: 0xfffffffe }),
    default: 65534,
    description: 'The group id of squashed callers.',
  }),
  driver: option({
    name: 'driver',
    type: choice('kernel', 'fuse-native'),
    default: 'kernel',
    description:
      '`kernel` speaks the kernel protocol itself. `fuse-native` goes through libfuse 2 and the npm package of that name: single user, no crash recovery.',
  }),
  fuseDevice: option({
    name: 'fuse_device',
    type: choice('auto', 'native', 'fallback'),
    default: 'auto',
    description:
      'How /dev/fuse is read with `driver=kernel`: by the addon built at installation (`native`), by plain JavaScript (`fallback`, slower), or by the first that is there.',
  }),
  maxBackground: option({
    name: 'max_background',
    type: integer({ min: 1, max: 65535 }),
    default: 128,
    description: 'Most background requests (read-ahead, page write-back) that the kernel has outstanding at once.',
  }),
  credentials: option({
    name: 'credentials',
    type: absolutePath('FILE'),
    default: undefined,
    defaultText: "the AWS SDK's chain: environment, ~/.aws, instance role",
    description:
      'File with the S3 credentials, readable by its owner alone (mode 0600), in the format of ~/.aws/credentials. Only the path is ever shown.',
  }),
  metrics: option({
    name: 'metrics',
    type: hostPort({ allowPortZero: true }),
    default: undefined,
    defaultText: 'no metrics server',
    description: 'Serve `/metrics` (Prometheus) and `/healthz` over HTTP at this address.',
  }),
  log: option({
    name: 'log',
    type: absolutePath('FILE'),
    default: undefined,
    defaultText: '`mount.log` in `cache_dir`; stderr in the foreground',
    description: 'File for the log, one JSON object per line.',
  }),
  logLevel: option({
    name: 'log_level',
    type: choice('error', 'warn', 'info', 'debug'),
    default: 'info',
    description: 'The least important messages that are logged.',
  }),
  mountTimeoutMs: option({
    name: 'mount_timeout',
    type: duration({ min: 1000, max: 3_600_000 }),
    default: 10_000,
    description: 'How long mounting may take before it is given up and undone.',
  }),
  drainTimeoutMs: option({
    name: 'drain_timeout',
    type: duration({ min: 0, max: 86_400_000 }),
    default: 300_000,
    description:
      'How long the end of a mount waits for uploads. What is left then stays in the journal of `cache_dir`, and the next mount there uploads it.',
  }),
} as const;

/** Validated values of the mount options. */
export type MountOptionValues = OptionValues<typeof MOUNT_OPTIONS>;
