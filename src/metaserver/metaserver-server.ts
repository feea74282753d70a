import { randomUUID } from 'node:crypto';
import type { Closable } from '../common/closable.js';
import type { KvEngine } from '../kv/kv-engine.js';
import { GrpcHost } from '../wire/grpc-host.js';
import { MdsRegistration } from './mds-registration.js';
import { Metaserver, type MetaserverDeps } from './metaserver.js';
import { METASERVER_SERVICE, metaserverHandlers } from './metaserver-service.js';
import { DEFAULT_CACHE, type CacheOptions } from './slot-tables.js';

export interface StartMetaserverDeps extends MetaserverDeps {
  /** A gRPC server shared with another role (standalone), which its maker makes listen and closes; absent = one of its own. */
  readonly host?: GrpcHost | undefined;
}

export interface StartMetaserverOptions {
  /** `host:port` to serve on, when there is no shared host. */
  readonly listen: string;
  /** `host:port` at which mounts reach it; absent = where it listens. */
  readonly advertise?: string | undefined;
  /** `host:port` of every MDS; empty = the one on the shared host. */
  readonly mds: readonly string[];
  readonly durability: 'commit' | 'relaxed';
  readonly sessionTtlMs: number;
  readonly version: string;
  readonly cache?: CacheOptions | undefined;
  readonly backgroundIntervalMs?: number | undefined;
  /** How long a file that is removed just after it was made can still be opened. */
  readonly lingerMs?: number | undefined;
}

export interface RunningMetaserver extends Closable {
  /** Where it listens. With a shared host: only once that does. */
  readonly address: Promise<string>;
}

/** Between a look-up and the open that follows there are milliseconds, on a busy machine some hundred. */
const LINGER_MS = 1000;

/** Where the metaserver's id is kept: made at the first start. */
const ID_KEY = Buffer.from('I', 'latin1');

/** Composition root of the metaserver role. The engine is the caller's: it may be shared, and is closed after this. */
export async function startMetaserver(
  deps: StartMetaserverDeps,
  opts: StartMetaserverOptions,
): Promise<RunningMetaserver> {
  const logger = deps.logger.child('metaserver');
  const metaserver = await Metaserver.open(
    { ...deps, logger },
    {
      durable: opts.durability === 'commit',
      sessionTtlMs: opts.sessionTtlMs,
      cache: opts.cache ?? DEFAULT_CACHE,
      backgroundIntervalMs: opts.backgroundIntervalMs ?? 1000,
      lingerMs: opts.lingerMs ?? LINGER_MS,
    },
  );
  const host = deps.host ?? new GrpcHost();
  host.addService(METASERVER_SERVICE, metaserverHandlers({ ...deps, logger, metaserver, version: opts.version }));
  const id = await ownId(deps.engine);
  let registration: MdsRegistration | undefined;
  let closed = false;
  const address = host.listening.then((bound) => {
    if (closed) return bound;
    const advertised = opts.advertise ?? bound;
    registration = new MdsRegistration(
      { clock: deps.clock, logger, warnings: () => metaserver.warnings() },
      { id, address: advertised, mds: opts.mds.length === 0 ? [bound] : opts.mds },
    );
    logger.info('serving', { address: bound, advertised, id });
    return bound;
  });
  const close = async (): Promise<void> => {
    closed = true;
    await registration?.close();
    await metaserver.close();
    if (deps.host === undefined) await host.close();
  };
  if (deps.host === undefined) {
    try {
      await host.listen(opts.listen);
      await address;
    } catch (error) {
      await close();
      throw error;
    }
  }
  return { address, close };
}

async function ownId(engine: KvEngine): Promise<string> {
  const stored = await engine.get(ID_KEY);
  if (stored !== undefined) return Buffer.from(stored).subarray(1).toString();
  const id = randomUUID();
  const value = Buffer.concat([Buffer.from([1]), Buffer.from(id)]);
  await engine.commit({ puts: [{ key: ID_KEY, value }], deletes: [], deleteRanges: [], guards: [] });
  return id;
}
