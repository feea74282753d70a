import { randomUUID } from 'node:crypto';
import { systemClock } from '../../src/common/clock.js';
import { silentLogger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import { MemoryEngine } from '../../src/kv/memory-engine.js';
import { startMds } from '../../src/mds/mds-server.js';
import { ChunkIds } from '../../src/meta/chunk-ids.js';
import { MdsClient } from '../../src/meta/mds-client.js';
import { MetadataClient } from '../../src/meta/metadata-client.js';
import { MetaserverSession } from '../../src/meta/metaserver-session.js';
import { closeSession, openSession } from '../../src/meta/session-registration.js';
import { startMetaserver } from '../../src/metaserver/metaserver-server.js';
import { MemoryStore } from '../../src/object/memory-store.js';
import { GrpcHost } from '../../src/wire/grpc-host.js';
import { MemoryMetadata } from '../helpers/memory-metadata.js';
import { metadataSuite, type MetadataUnderTest } from './metadata-suite.js';

/** The real client, over a real stream, to a real metaserver in this process. */
async function openReal(timeoutSec: number): Promise<MetadataUnderTest> {
  const host = new GrpcHost();
  const store = new MemoryStore();
  const deps = { engine: new MemoryEngine(), clock: systemClock, logger: silentLogger, metrics: noMetrics, host };
  const mdsServer = await startMds(deps, { listen: '', version: 'test' });
  const metaserver = await startMetaserver(
    { ...deps, openStore: () => store },
    { listen: '', mds: [], durability: 'commit', sessionTtlMs: 20_000, version: 'test', lingerMs: 0 },
  );
  const address = await host.listen('127.0.0.1:0');
  const mds = new MdsClient({ clock: systemClock }, { addresses: [address] });
  const fs = await mds.createFs({
    name: 'conformance',
    storage: { kind: 'file', path: '/nowhere' },
    blockSizeBytes: 65_536,
    capacityBytes: 0,
    inodesMax: 0,
    rootMode: 0o755,
    rootUid: 0,
    rootGid: 0,
  });
  const mount = { clientUuid: randomUUID(), host: 'h', mountpoint: '/m', pid: 1, version: 'test', readOnly: false };
  const { sessionId, ttlMs } = await openSession(address, fs.id, mount);
  const session = new MetaserverSession(
    { clock: systemClock, log: silentLogger, metrics: noMetrics },
    { address, fsId: fs.id, sessionId, incarnation: 1, ttlMs },
  );
  await session.start(AbortSignal.timeout(5000));
  const chunkIds = new ChunkIds({
    clock: systemClock,
    log: silentLogger,
    allocateRange: (count, signal) => mds.allocateChunkIds(fs.id, sessionId, count, signal),
  });
  const meta = new MetadataClient(
    { session, chunkIds, clock: systemClock, metrics: noMetrics },
    { fs, attrTimeoutSec: timeoutSec, entryTimeoutSec: timeoutSec },
  );
  return {
    meta,
    close: async () => {
      chunkIds.close();
      await session.close();
      await closeSession(address, fs.id, sessionId);
      await mds.close();
      await metaserver.close();
      await mdsServer.close();
      await host.close();
    },
  };
}

metadataSuite('in memory', async () => ({
  meta: new MemoryMetadata({ fs: { blockSizeBytes: 65_536 }, entriesPerPage: 120 }),
  close: () => Promise.resolve(),
}));
metadataSuite('a metaserver, with caches', () => openReal(60));
metadataSuite('a metaserver, without caches', () => openReal(0));
