import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../common/clock.js';
import type { Logger } from '../common/logger.js';
import { MetaserverService, type ClientFrame, type MetaserverServer } from '../gen/curvefs/v1/metaserver.js';
import type { FsId, SessionId } from '../model/ids.js';
import { fsInfoFromProto, fsUsageToProto, mountInfoToProto, storageFromProto } from '../wire/filesystem.js';
import { quotaToProto } from '../wire/quota.js';
import { RpcError } from '../wire/rpc-error.js';
import { safeNumber } from '../wire/safe-number.js';
import { unaryHandler } from '../wire/unary-handler.js';
import type { Metaserver } from './metaserver.js';
import { SessionStream } from './stream/session-stream.js';

export interface MetaserverServiceDeps {
  readonly metaserver: Metaserver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
}

/** The service definition, with frames that the stream has encoded already. */
export const METASERVER_SERVICE = {
  ...MetaserverService,
  session: { ...MetaserverService.session, responseSerialize: (frame: Buffer): Buffer => frame },
};

/** The handlers: the one place where the metaserver meets gRPC. */
type Handlers = Pick<
  MetaserverServer,
  | 'setQuota'
  | 'getQuota'
  | 'deleteQuota'
  | 'listQuotas'
  | 'status'
  | 'openSession'
  | 'closeSession'
  | 'getUsage'
  | 'createSlot'
  | 'deleteSlot'
  | 'probeStorage'
> & { session: handleBidiStreamingCall<ClientFrame, Buffer> };

export function metaserverHandlers(deps: MetaserverServiceDeps): Handlers {
  const { metaserver, clock, logger } = deps;
  const startedMs = clock.monotonicMs();
  const streamDeps = {
    slotOf: (fsId: FsId) => metaserver.slotOf(fsId),
    nowNs: () => clock.nowNs(),
    logger: logger.child('stream'),
  };
  const handlers: Handlers = {
    status: unaryHandler(logger, async () => ({
      role: 'metaserver',
      version: deps.version,
      uptimeMs: BigInt(Math.round(clock.monotonicMs() - startedMs)),
      metaservers: [],
      warnings: await metaserver.warnings(),
    })),
    openSession: unaryHandler(logger, async (request) => {
      if (request.clientUuid === '') throw new RpcError('invalid', 'client_uuid: must be set');
      const slot = metaserver.mustSlot(request.fsId as FsId);
      const sessionId = await slot.sessions.open(request);
      return { sessionId: BigInt(sessionId), ttlMs: slot.sessions.ttlMs };
    }),
    session: (call: ServerDuplexStream<ClientFrame, Buffer>) => {
      new SessionStream(call, streamDeps);
    },
    closeSession: unaryHandler(logger, async (request) => {
      const session = safeNumber(request.sessionId, 'sessionId') as SessionId;
      await metaserver.closeSession(request.fsId as FsId, session);
      return {};
    }),
    getUsage: unaryHandler(logger, async (request) => {
      const slot = metaserver.mustSlot(request.fsId as FsId);
      const usage = await slot.usage();
      return {
        usage: fsUsageToProto(usage),
        sessions: slot.sessions.mounts().map(mountInfoToProto),
        deletesQueued: BigInt(usage.deletesQueued),
      };
    }),
    setQuota: unaryHandler(logger, async (request) => {
      const { fsId, path } = request;
      const bytesMax = request.bytesMax === undefined ? {} : { bytesMax: safeNumber(request.bytesMax, 'bytesMax') };
      const inodesMax =
        request.inodesMax === undefined ? {} : { inodesMax: safeNumber(request.inodesMax, 'inodesMax') };
      const { quotas } = metaserver.mustSlot(fsId as FsId);
      return quotaToProto(await quotas.set(path, { ...bytesMax, ...inodesMax }));
    }),
    getQuota: unaryHandler(logger, async ({ fsId, path }) =>
      quotaToProto(await metaserver.mustSlot(fsId as FsId).quotas.get(path)),
    ),
    deleteQuota: unaryHandler(logger, async ({ fsId, path }) => {
      await metaserver.mustSlot(fsId as FsId).quotas.delete(path);
      return {};
    }),
    listQuotas: unaryHandler(logger, async ({ fsId }) => ({
      quotas: (await metaserver.mustSlot(fsId as FsId).quotas.list()).map(quotaToProto),
    })),
    createSlot: unaryHandler(logger, async (request) => {
      const root = { mode: request.rootMode & 0o7777, uid: request.rootUid, gid: request.rootGid };
      await metaserver.createSlot(fsInfoFromProto(request.fs), root);
      return {};
    }),
    deleteSlot: unaryHandler(logger, async (request) => {
      await metaserver.deleteSlot(request.fsId as FsId);
      return {};
    }),
    probeStorage: unaryHandler(logger, async (request) => {
      await metaserver.probe(storageFromProto(request.storage));
      return {};
    }),
  };
  return handlers;
}
