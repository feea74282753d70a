import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Clock } from '../common/clock.js';
import type { CloseStack } from '../common/close-stack.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import { packageVersion } from '../common/package-version.js';
import { formatHostPort } from '../config/host-port.js';
import type { MountConfig } from '../config/mount-config.js';
import { ChunkIds } from '../meta/chunk-ids.js';
import { MdsClient } from '../meta/mds-client.js';
import { MetadataClient } from '../meta/metadata-client.js';
import { MetaserverSession } from '../meta/metaserver-session.js';
import { closeSession, openSession } from '../meta/session-registration.js';
import type { FsInfo } from '../model/filesystem.js';
import { type Ino, ROOT_INO } from '../model/ids.js';
import { isDirectory } from '../model/inode.js';
import { MountError } from './launch/mount-error.js';

export interface OpenMetadataDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** What is opened here is closed there. */
  readonly closing: CloseStack;
}

/** How long an operation waits for a metaserver that does not answer, before the caller gets ETIMEDOUT. */
const OP_DEADLINE_MS = 60_000;
/** Cached attributes cost memory; a walk of a large tree must not grow without bound. */
const INODES_MAX = 200_000;
const DENTRIES_MAX = 200_000;
const COMPLETE_NAMES_MAX = 400_000;

/** The mount's connection to its metadata. */
export interface MountMetadata {
  readonly meta: MetadataClient;
  readonly session: MetaserverSession;
  readonly mds: MdsClient;
}

/** Asks the MDS for the filesystem. */
export async function findFilesystem(
  config: MountConfig,
  deps: OpenMetadataDeps,
  signal: AbortSignal,
): Promise<{ readonly mds: MdsClient; readonly fs: FsInfo }> {
  const mds = new MdsClient({ clock: deps.clock }, { addresses: config.source.mds.map(formatHostPort) });
  deps.closing.use(mds);
  return { mds, fs: (await mds.getFs(config.source.fsName, signal)).fs };
}

/** Opens a session at the filesystem's metaserver and attaches to it. The session ends with the mount. */
export async function openMetadata(
  config: MountConfig,
  found: { readonly mds: MdsClient; readonly fs: FsInfo },
  deps: OpenMetadataDeps,
  signal: AbortSignal,
): Promise<MountMetadata> {
  const { mds, fs } = found;
  const identity = {
    clientUuid: randomUUID(),
    host: hostname(),
    mountpoint: config.mountpoint,
    pid: process.pid,
    version: packageVersion(),
    readOnly: config.readOnly,
  };
  const { sessionId, ttlMs } = await openSession(fs.metaserver, fs.id, identity, signal);
  deps.closing.use({ close: () => closeSession(fs.metaserver, fs.id, sessionId) }, 'session registration');
  const session = new MetaserverSession(
    { clock: deps.clock, log: deps.logger.child('meta'), metrics: deps.metrics },
    { address: fs.metaserver, fsId: fs.id, sessionId, incarnation: 1, ttlMs, opDeadlineMs: OP_DEADLINE_MS },
  );
  deps.closing.use(session);
  await session.start(signal);
  const chunkIds = new ChunkIds({
    clock: deps.clock,
    log: deps.logger.child('meta'),
    allocateRange: (count, abort) => mds.allocateChunkIds(fs.id, sessionId, count, abort),
  });
  deps.closing.use({ close: async () => chunkIds.close() }, 'chunk ids');
  const meta = new MetadataClient(
    { session, chunkIds, clock: deps.clock, metrics: deps.metrics },
    {
      fs,
      attrTimeoutSec: config.attrTimeoutMs / 1000,
      entryTimeoutSec: config.entryTimeoutMs / 1000,
      inodesMax: INODES_MAX,
      dentriesMax: DENTRIES_MAX,
      completeNamesMax: COMPLETE_NAMES_MAX,
    },
  );
  return { meta, session, mds };
}

/** The inode that the mount shows as its root: the filesystem's, or the sub-directory that the source names. */
export async function resolveRoot(meta: MetadataClient, config: MountConfig, signal: AbortSignal): Promise<Ino> {
  let ino = ROOT_INO;
  for (const [depth, name] of config.source.subdir.entries()) {
    const path = `/${config.source.subdir.slice(0, depth + 1).join('/')}`;
    const attr = await meta.lookup(ino, Buffer.from(name), signal);
    if (attr === undefined) throw new MountError(32, `the filesystem ${config.source.fsName} has no directory ${path}`);
    if (!isDirectory(attr.mode)) throw new MountError(32, `${path} in ${config.source.fsName} is not a directory`);
    ino = attr.ino;
  }
  return ino;
}
