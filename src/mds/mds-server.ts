import type { Clock } from '../common/clock.js';
import type { Closable } from '../common/closable.js';
import type { Logger } from '../common/logger.js';
import type { MetricsRegistry } from '../common/metrics.js';
import { MdsService } from '../gen/curvefs/v1/mds.js';
import type { KvEngine } from '../kv/kv-engine.js';
import { GrpcHost } from '../wire/grpc-host.js';
import { Mds } from './mds.js';
import { mdsHandlers } from './mds-service.js';
import { MetaserverStubs } from './metaserver-stubs.js';

export interface StartMdsDeps {
  /** The caller's: it may be shared, and is closed after this. */
  readonly engine: KvEngine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** A gRPC server shared with another role (standalone), which its maker makes listen and closes; absent = one of its own. */
  readonly host?: GrpcHost | undefined;
}

export interface StartMdsOptions {
  /** `host:port` to serve on, when there is no shared host. */
  readonly listen: string;
  readonly version: string;
  readonly metaserverTtlMs?: number | undefined;
}

export interface RunningMds extends Closable {
  /** Where it listens. With a shared host: only once that does. */
  readonly address: Promise<string>;
}

/** Composition root of the MDS role. */
export async function startMds(deps: StartMdsDeps, opts: StartMdsOptions): Promise<RunningMds> {
  const logger = deps.logger.child('mds');
  const mds = await Mds.open(
    { ...deps, logger, metaservers: new MetaserverStubs() },
    { metaserverTtlMs: opts.metaserverTtlMs ?? 10_000 },
  );
  const host = deps.host ?? new GrpcHost();
  host.addService(MdsService, mdsHandlers({ ...deps, logger, mds, version: opts.version }));
  const close = async (): Promise<void> => {
    await mds.close();
    if (deps.host === undefined) await host.close();
  };
  if (deps.host === undefined) {
    try {
      await host.listen(opts.listen);
    } catch (error) {
      await close();
      throw error;
    }
  }
  return { address: host.listening, close };
}
