import { credentials } from '@grpc/grpc-js';
import { MetaserverClient as MetaserverStub } from '../gen/curvefs/v1/metaserver.js';
import type { FsId, SessionId } from '../model/ids.js';
import { CHANNEL_OPTIONS } from '../wire/channel-options.js';
import { RpcError } from '../wire/rpc-error.js';
import { safeNumber } from '../wire/safe-number.js';
import { unaryCall } from './unary-call.js';

/** A mount as it introduces itself. */
export interface MountIdentity {
  /** Makes opening idempotent: one for each mount. */
  readonly clientUuid: string;
  readonly host: string;
  readonly mountpoint: string;
  readonly pid: number;
  readonly version: string;
  readonly readOnly: boolean;
}

const DEADLINE_MS = 5000;

/** Opens a session for a mount at the filesystem's metaserver. Rejects with an {@link RpcError}. */
export async function openSession(
  address: string,
  fsId: FsId,
  mount: MountIdentity,
  signal?: AbortSignal,
): Promise<{ readonly sessionId: SessionId; readonly ttlMs: number }> {
  const stub = new MetaserverStub(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  try {
    const request = { fsId, ...mount };
    const options = { deadlineMs: DEADLINE_MS, peer: `the metaserver at ${address}`, signal };
    const reply = await unaryCall(stub.openSession.bind(stub), request, options);
    const sessionId = safeNumber(reply.sessionId, 'sessionId') as SessionId;
    if (sessionId === 0) throw new RpcError('internal', `the metaserver at ${address} opened no session`);
    return { sessionId, ttlMs: reply.ttlMs };
  } finally {
    stub.close();
  }
}

/** Ends a session: its opens and its reservation go; what it committed stays answerable until its journal is adopted. */
export async function closeSession(address: string, fsId: FsId, sessionId: SessionId): Promise<void> {
  const stub = new MetaserverStub(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  try {
    const request = { fsId, sessionId: BigInt(sessionId) };
    await unaryCall(stub.closeSession.bind(stub), request, {
      deadlineMs: DEADLINE_MS,
      peer: `the metaserver at ${address}`,
    });
  } finally {
    stub.close();
  }
}
