import { afterEach, describe, expect, test } from '@jest/globals';
import { Server, ServerCredentials, status, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { systemClock } from '../../../src/common/clock.js';
import {
  MdsService,
  type DeleteFsRequest,
  type GetFsReply,
  type GetFsRequest,
} from '../../../src/gen/curvefs/v1/mds.js';
import { parseAddressList } from '../../../src/meta/address-list.js';
import { MdsClient } from '../../../src/meta/mds-client.js';
import type { FsId } from '../../../src/model/ids.js';
import { fsInfoToProto } from '../../../src/wire/filesystem.js';
import { grpcStatusOf } from '../../../src/wire/grpc-error.js';
import { RpcError } from '../../../src/wire/rpc-error.js';

const FS = fsInfoToProto({
  id: 3 as FsId,
  uuid: 'u',
  name: 'demo',
  storage: { kind: 'file', path: '/objects' },
  blockSizeBytes: 4096,
  capacityBytes: 0,
  inodesMax: 0,
  chunkFormat: 1,
  metaserver: 'h:1',
  createdMs: 1,
});

describe('MdsClient', () => {
  const servers: Server[] = [];
  const clients: MdsClient[] = [];

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    servers.splice(0).forEach((server) => server.forceShutdown());
  });

  /** An MDS that knows `demo`; `lost` deletes are executed and their reply never comes. */
  async function serve(state: { calls: number; lost?: number; deleted?: boolean } = { calls: 0 }): Promise<string> {
    const server = new Server();
    server.addService(MdsService, {
      getFs: (call: ServerUnaryCall<GetFsRequest, GetFsReply>, reply: sendUnaryData<GetFsReply>) => {
        state.calls++;
        if (call.request.name === 'demo')
          reply(null, { fs: FS, usage: undefined, sessions: [], metaserverAlive: false });
        else reply(grpcStatusOf(new RpcError('not-found', `no filesystem "${call.request.name}"`)));
      },
      deleteFs: (_call: ServerUnaryCall<DeleteFsRequest, object>, reply: sendUnaryData<object>) => {
        state.calls++;
        if (state.deleted === true) {
          reply(grpcStatusOf(new RpcError('not-found', 'no filesystem "demo"')));
          return;
        }
        state.deleted = true;
        if ((state.lost ?? 0) > 0) {
          state.lost!--;
          reply({ code: status.UNAVAILABLE, details: 'Connection dropped' });
        } else reply(null, {});
      },
    });
    servers.push(server);
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(`127.0.0.1:${port}`);
        else reject(error);
      });
    });
  }

  function connect(...addresses: string[]): MdsClient {
    const client = new MdsClient({ clock: systemClock }, { addresses, deadlineMs: 1000, rounds: 2 });
    clients.push(client);
    return client;
  }

  test('a filesystem, converted', async () => {
    const detail = await connect(await serve()).getFs('demo');
    expect(detail).toMatchObject({
      fs: { id: 3, storage: { kind: 'file' } },
      usage: undefined,
      metaserverAlive: false,
    });
  });

  test('an unknown filesystem is told apart from an MDS that is not there', async () => {
    await expect(connect(await serve()).getFs('other')).rejects.toMatchObject({
      code: 'not-found',
      message: 'no filesystem "other"',
    });
    await expect(connect('127.0.0.1:1').getFs('demo')).rejects.toMatchObject({
      code: 'unreachable',
      message: 'cannot reach the MDS at 127.0.0.1:1: connection refused',
    });
  });

  test('fails over to an address that answers, and asks it first from then on', async () => {
    const state = { calls: 0 };
    const client = connect('127.0.0.1:1', await serve(state));
    await client.getFs('demo');
    await client.getFs('demo');
    expect(state.calls).toBe(2);
  });

  test('a delete whose reply was lost is done', async () => {
    const state = { calls: 0, lost: 1 };
    await connect(await serve(state)).deleteFs('demo');
    expect(state).toEqual({ calls: 2, lost: 0, deleted: true });
    await expect(connect(await serve({ calls: 0, deleted: true })).deleteFs('demo')).rejects.toMatchObject({
      code: 'not-found',
    });
  });

  test('abort', async () => {
    const abort = new AbortController();
    const reply = connect('127.0.0.1:1', '192.0.2.1:1').getFs('demo', abort.signal);
    abort.abort();
    await expect(reply).rejects.toBeDefined();
  });
});

describe('parseAddressList', () => {
  test('hosts, IPv4 and IPv6', () => {
    expect(parseAddressList('mds1:6700, 10.0.0.1:6700,[::1]:6700')).toEqual([
      'mds1:6700',
      '10.0.0.1:6700',
      '[::1]:6700',
    ]);
  });

  test.each(['', 'host', 'host:', 'host:0', 'host:65536', 'a:1,', '::1:6700', 'a b:1', 'http://a:1'])(
    '"%s" is refused',
    (text) => {
      expect(() => parseAddressList(text)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    },
  );
});
