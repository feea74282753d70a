import { randomUUID } from 'node:crypto';
import { systemClock } from '../../src/common/clock.js';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import type { KvEngine } from '../../src/kv/kv-engine.js';
import { startMds } from '../../src/mds/mds-server.js';
import { MdsClient, type CreateFsSpec } from '../../src/meta/mds-client.js';
import { ChunkIds } from '../../src/meta/chunk-ids.js';
import { MetadataClient } from '../../src/meta/metadata-client.js';
import { MetaserverSession } from '../../src/meta/metaserver-session.js';
import { closeSession, openSession } from '../../src/meta/session-registration.js';
import { startMetaserver } from '../../src/metaserver/metaserver-server.js';
import type { FsInfo, StorageSpec } from '../../src/model/filesystem.js';
import type { SessionId } from '../../src/model/ids.js';
import type { ObjectStore } from '../../src/object/object-store.js';
import { GrpcHost } from '../../src/wire/grpc-host.js';

export interface ClusterOptions {
  readonly sessionTtlMs?: number;
  readonly durability?: 'commit' | 'relaxed';
  readonly address?: string;
}

/** MDS and metaserver in one process on one engine and port, as `standalone` composes them. */
export async function startCluster(
  engine: KvEngine,
  openStore: (spec: StorageSpec) => ObjectStore,
  opts: ClusterOptions = {},
): Promise<Cluster> {
  const host = new GrpcHost();
  const deps = { engine, clock: systemClock, logger: silentLogger, metrics: noMetrics, host };
  const mds = await startMds(deps, { listen: '', version: 'test' });
  const metaserver = await startMetaserver(
    { ...deps, openStore },
    {
      listen: '',
      mds: [],
      durability: opts.durability ?? 'commit',
      sessionTtlMs: opts.sessionTtlMs ?? 20_000,
      version: 'test',
      backgroundIntervalMs: 50,
    },
  );
  const address = await host.listen(opts.address ?? '127.0.0.1:0');
  const client = new MdsClient({ clock: systemClock }, { addresses: [address] });
  return {
    address,
    client,
    createFs: (name, spec) =>
      client.createFs({
        name,
        storage: { kind: 'file', path: '/nowhere' },
        blockSizeBytes: 65_536,
        capacityBytes: 0,
        inodesMax: 0,
        rootMode: 0o755,
        rootUid: 0,
        rootGid: 0,
        ...spec,
      }),
    mount: (fs, mountOpts) => mount(address, client, fs, mountOpts),
    close: async () => {
      await client.close();
      await metaserver.close();
      await mds.close();
      await host.close();
    },
  };
}

export interface Cluster {
  readonly address: string;
  readonly client: MdsClient;
  createFs(name: string, spec?: Partial<CreateFsSpec>): Promise<FsInfo>;
  mount(fs: FsInfo, opts?: MountOptions): Promise<TestMount>;
  close(): Promise<void>;
}

export interface MountOptions {
  readonly sessionId?: SessionId;
  readonly incarnation?: number;
  readonly resumed?: boolean;
}

export interface TestMount {
  readonly session: MetaserverSession;
  readonly meta: MetadataClient;
  /** Stops the worker; the session lives on. */
  detach(): Promise<void>;
  unmount(): Promise<void>;
}

async function mount(address: string, mds: MdsClient, fs: FsInfo, opts: MountOptions = {}): Promise<TestMount> {
  const identity = { clientUuid: randomUUID(), host: 'h', mountpoint: '/m', pid: 1, version: 'test', readOnly: false };
  const sessionId = opts.sessionId ?? (await openSession(address, fs.id, identity)).sessionId;
  const deps = { clock: systemClock, log: silentLogger, metrics: noMetrics };
  const session = new MetaserverSession(deps, {
    address,
    fsId: fs.id,
    sessionId,
    incarnation: opts.incarnation ?? 1,
    ttlMs: 20_000,
    resumed: opts.resumed ?? false,
  });
  await session.start(AbortSignal.timeout(5000));
  const chunkIds = new ChunkIds({
    clock: systemClock,
    log: silentLogger,
    allocateRange: (count, signal) => mds.allocateChunkIds(fs.id, sessionId, count, signal),
  });
  const meta = new MetadataClient(
    { session, chunkIds, clock: systemClock, metrics: noMetrics },
    { fs, attrTimeoutSec: 0, entryTimeoutSec: 0, firstClientOp: (opts.incarnation ?? 1) * 1_000_000 },
  );
  return {
    session,
    meta,
    detach: () => session.close(),
    unmount: async () => {
      await session.close();
      await closeSession(address, fs.id, sessionId);
    },
  };
}
