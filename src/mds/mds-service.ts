import type { Clock } from '../common/clock.js';
import type { Logger } from '../common/logger.js';
import type { MdsServer } from '../gen/curvefs/v1/mds.js';
import type { FsId, SessionId } from '../model/ids.js';
import { fsInfoToProto, storageFromProto } from '../wire/filesystem.js';
import { safeNumber } from '../wire/safe-number.js';
import { unaryHandler } from '../wire/unary-handler.js';
import type { Mds } from './mds.js';

export interface MdsServiceDeps {
  readonly mds: Mds;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
}

/** The handlers: the one place where the MDS meets gRPC. */
export function mdsHandlers(deps: MdsServiceDeps): MdsServer {
  const { mds, clock, logger } = deps;
  const startedMs = clock.monotonicMs();
  const handlers: MdsServer = {
    status: unaryHandler(logger, async () => ({
      role: 'mds',
      version: deps.version,
      uptimeMs: BigInt(Math.round(clock.monotonicMs() - startedMs)),
      metaservers: mds.metaservers().map(({ warnings, ...rest }) => ({ ...rest, warnings: [...warnings] })),
      warnings: mds.warnings(),
    })),
    createFs: unaryHandler(logger, async (request) =>
      fsInfoToProto(
        await mds.create({
          requestId: request.requestId,
          name: request.name,
          storage: storageFromProto(request.storage),
          blockSizeBytes: request.blockSizeBytes,
          capacityBytes: safeNumber(request.capacityBytes, 'capacityBytes'),
          inodesMax: safeNumber(request.inodesMax, 'inodesMax'),
          root: { mode: request.rootMode, uid: request.rootUid, gid: request.rootGid },
        }),
      ),
    ),
    getFs: unaryHandler(logger, async ({ name }) => {
      const usage = await mds.usage(name);
      return {
        fs: fsInfoToProto(mds.get(name)),
        usage: usage?.usage,
        sessions: usage?.sessions ?? [],
        metaserverAlive: usage !== undefined,
      };
    }),
    listFs: unaryHandler(logger, async () => ({ filesystems: mds.list().map(fsInfoToProto) })),
    deleteFs: unaryHandler(logger, async ({ name }) => {
      await mds.delete(name);
      return {};
    }),
    registerMetaserver: unaryHandler(logger, async ({ id, address, warnings }) => ({
      ttlMs: await mds.register(id, address, warnings),
    })),
    allocateChunkIds: unaryHandler(logger, async (request) => {
      const session = safeNumber(request.sessionId, 'sessionId') as SessionId;
      const first = await mds.allocateChunkIds(request.fsId as FsId, session, request.count);
      return { first: BigInt(first), count: request.count };
    }),
  };
  return handlers;
}
