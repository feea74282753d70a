import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { systemClock } from '../../../src/common/clock.js';
import type { FsError } from '../../../src/common/fs-error.js';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import { SessionEnd_Reason, type Response } from '../../../src/gen/curvefs/v1/metaserver.js';
import { checkErrno, MetaserverSession, type MetaserverSessionOptions } from '../../../src/meta/metaserver-session.js';
import type { RequestOp } from '../../../src/meta/session-call.js';
import { ROOT_INO, type Fh, type FsId, type Ino, type SessionId } from '../../../src/model/ids.js';
import { S_IFREG } from '../../../src/model/inode.js';
import type { CreateSpec, OpId } from '../../../src/model/operation.js';
import { commitToProto, createToProto } from '../../../src/wire/operation.js';
import { FakeMetaserver } from '../../helpers/fake-metaserver.js';

const opId = (number: number): OpId => ({ kind: 'client', number, step: 0 });
const create = (name: string, fh?: number): RequestOp => ({
  $case: 'create',
  value: createToProto(ROOT_INO, Buffer.from(name), {
    mode: S_IFREG | 0o644,
    uid: 0,
    gid: 0,
    mayKeepSgid: false,
    exclusive: true,
    open: fh === undefined ? undefined : { fh: fh as Fh, write: true, truncate: false },
  }),
});
const fileSpec: CreateSpec = {
  mode: S_IFREG | 0o644,
  uid: 0,
  gid: 0,
  mayKeepSgid: false,
  exclusive: true,
  open: undefined,
};
const commit = (ino: Ino): RequestOp => ({
  $case: 'commitExtents',
  value: commitToProto(ino, {
    blocks: [],
    chunks: [],
    sizeAtLeast: 100,
    mtime: undefined,
    truncEpoch: 0,
    timeEpoch: 0,
    killPriv: false,
  }),
});
const lookup = (name: string): RequestOp => ({ $case: 'lookup', value: { parent: 1n, name: Buffer.from(name) } });
const inoOf = (response: Response): number => {
  checkErrno(response);
  return Number(response.attrs[0]!.ino);
};

describe('MetaserverSession', () => {
  let server: FakeMetaserver;
  const sessions: MetaserverSession[] = [];

  function open(options: Partial<MetaserverSessionOptions> = {}): MetaserverSession {
    const deps = { clock: systemClock, log: silentLogger, metrics: noMetrics };
    const base = { fsId: 1 as FsId, sessionId: 7 as SessionId, incarnation: 1, ttlMs: 20_000 };
    const session = new MetaserverSession(deps, { ...base, address: server.address, ...options });
    sessions.push(session);
    return session;
  }

  beforeEach(async () => {
    server = new FakeMetaserver();
    await server.start();
  });

  afterEach(async () => {
    await Promise.all(sessions.splice(0).map((session) => session.close()));
    server.stop();
  });

  test('attaches first, answers by request id, acknowledges mutations', async () => {
    const session = open();
    await session.start();
    expect(server.attaches).toMatchObject([{ fsId: 1, sessionId: 7n, incarnation: 1, opens: [], opensComplete: true }]);
    const [a, b] = await Promise.all([
      session.call(create('a'), opId(1), undefined, inoOf),
      session.call(create('b'), opId(2), undefined, inoOf),
    ]);
    expect(await session.call(lookup('b'), undefined, undefined, inoOf)).toBe(b);
    expect(await session.call(lookup('a'), undefined, undefined, inoOf)).toBe(a);
    expect(server.acks).toEqual(['2/1/0', '2/2/0']);
    expect(server.stored).toBe(0);
  });

  test('an error reply is the FsError that parse throws', async () => {
    const session = open();
    await session.start();
    await expect(session.call(lookup('nothing'), undefined, undefined, inoOf)).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  test('a reply that makes no sense is EIO and leaves the session alive', async () => {
    const session = open();
    await session.start();
    const parse = (): never => {
      throw new TypeError('no');
    };
    await expect(session.call(lookup('a'), undefined, undefined, parse)).rejects.toMatchObject({ code: 'EIO' });
    await session.call({ $case: 'ping', value: {} }, undefined, undefined, () => undefined);
  });

  test('after a lost stream it attaches again and every unanswered request is sent once more, in order, executed once', async () => {
    server.answers = () => false;
    const session = open();
    await session.start();
    const names = ['a', 'b', 'c'];
    const replies = names.map((name, i) => session.call(create(name), opId(i + 1), undefined, inoOf));
    const read = session.call(lookup('a'), undefined, undefined, inoOf);
    await server.until(() => server.requests.length === 4);
    server.answers = () => true;
    server.breakStream();
    const inos = await Promise.all(replies);
    expect(await read).toBe(inos[0]);
    expect(server.executed).toBe(3);
    expect(server.attaches).toHaveLength(2);
    expect(server.attaches[1]!.incarnation).toBe(1);
    const sent = server.requests.map(({ op, opId: id }) => `${op!.$case} ${id?.number}`);
    expect(sent.slice(4)).toEqual(sent.slice(0, 4));
  });

  test('survives a restart of the server; what is called meanwhile waits', async () => {
    const session = open();
    await session.start();
    const lost = once(session, 'lost');
    server.stop();
    await lost;
    const reply = session.call(create('later'), opId(1), undefined, inoOf);
    await server.start();
    expect(await reply).toBeGreaterThan(1);
    expect(session.attached).toBe(true);
  });

  test('acks and releases of a frame that may be lost are sent again', async () => {
    const session = open();
    await session.start();
    const ino = await session.call(create('a', 5), opId(1), undefined, inoOf);
    session.release(ino as Ino, 5 as Fh);
    // Nothing has proven yet that they were read: a reply to a later request would.
    await server.until(() => server.releases.length > 0);
    server.breakStream();
    await once(session, 'attached');
    await session.call({ $case: 'ping', value: {} }, undefined, undefined, () => undefined);
    expect(server.releases).toEqual([5n, 5n]);
    expect(server.acks).toEqual(['2/1/0', '2/1/0']);
    server.breakStream();
    await once(session, 'attached');
    await session.call({ $case: 'ping', value: {} }, undefined, undefined, () => undefined);
    expect(server.releases).toHaveLength(2);
  });

  test('lists its opens at the attach; with an open in flight the list is not complete', async () => {
    const session = open();
    await session.start();
    const ino = await session.call(create('a', 5), opId(1), undefined, inoOf);
    server.breakStream();
    await once(session, 'attached');
    expect(server.attaches[1]).toMatchObject({ opens: [{ ino: BigInt(ino), fh: 5n }], opensComplete: true });
    server.answers = () => false;
    const second = session.call(create('b', 6), opId(2), undefined, inoOf);
    await server.until(() => server.requests.length === 2);
    server.answers = () => true;
    server.breakStream();
    await second;
    expect(server.attaches[2]).toMatchObject({ opens: [{ fh: 5n }], opensComplete: false });
  });

  test('abort: EINTR at once, the reply is consumed and acknowledged, its open released', async () => {
    server.answers = () => false;
    const session = open();
    await session.start();
    const abort = new AbortController();
    let parsed = 0;
    const reply = session.call(create('a', 9), opId(1), abort.signal, () => parsed++);
    await server.until(() => server.requests.length === 1);
    abort.abort();
    await expect(reply).rejects.toMatchObject({ code: 'EINTR' });
    const ino = server.namespace.lookup(ROOT_INO, Buffer.from('a'))!.ino;
    expect(server.namespace.openCount(ino)).toBe(1);
    server.answerHeld();
    await server.until(() => server.releases.length > 0);
    expect(server.releases).toEqual([9n]);
    expect(server.namespace.openCount(ino)).toBe(0);
    expect(parsed).toBe(1);
    expect(server.acks).toEqual(['2/1/0']);
  });

  test('an operation aborted before it was sent is never sent', async () => {
    server.answers = () => false;
    const session = open({ outstandingMax: 1 });
    await session.start();
    const first = session.call(create('a'), opId(1), undefined, inoOf);
    const abort = new AbortController();
    const second = session.call(create('b'), opId(2), abort.signal, inoOf);
    const third = session.call(create('c'), opId(3), undefined, inoOf);
    abort.abort();
    await expect(second).rejects.toMatchObject({ code: 'EINTR' });
    await server.until(() => server.requests.length === 1);
    server.answers = () => true;
    server.answerHeld();
    await Promise.all([first, third]);
    expect(server.namespace.lookup(ROOT_INO, Buffer.from('b'))).toBeUndefined();
  });

  test('not more operations are outstanding than allowed, and not more wait', async () => {
    server.answers = () => false;
    const session = open({ outstandingMax: 2, waitingMax: 1 });
    await session.start();
    const replies = ['a', 'b', 'c'].map((name, i) => session.call(create(name), opId(i + 1), undefined, inoOf));
    await expect(session.call(create('d'), opId(4), undefined, inoOf)).rejects.toMatchObject({ code: 'EAGAIN' });
    await server.until(() => server.requests.length === 2);
    server.answers = () => true;
    server.answerHeld();
    await Promise.all(replies);
    expect(server.requests).toHaveLength(3);
  });

  test.each([
    [SessionEnd_Reason.REASON_EXPIRED, 'expired'],
    [SessionEnd_Reason.REASON_FS_DELETED, 'fs deleted'],
    [SessionEnd_Reason.REASON_OLD_INCARNATION, 'old incarnation'],
  ])('the end of the session fails what is pending and what comes later (%s)', async (reason, words) => {
    server.answers = () => false;
    const session = open();
    await session.start();
    const ended = once(session, 'ended') as Promise<[FsError]>;
    const reply = session.call(create('a'), opId(1), undefined, inoOf);
    await server.until(() => server.requests.length === 1);
    server.end(reason, 'why');
    await expect(reply).rejects.toMatchObject({ code: 'ESHUTDOWN' });
    const [error] = await ended;
    expect(error.message).toBe(`ESHUTDOWN: the metadata session has ended (${words}): why`);
    await expect(session.call(lookup('a'), undefined, undefined, inoOf)).rejects.toMatchObject({ code: 'ESHUTDOWN' });
  });

  test('a stopping server is not the end', async () => {
    const session = open();
    await session.start();
    server.end(SessionEnd_Reason.REASON_SERVER_STOPPING);
    await once(session, 'attached');
    await session.call(create('a'), opId(1), undefined, inoOf);
  });

  test('a refused attach fails the start', async () => {
    server.refuse = { reason: SessionEnd_Reason.REASON_UNKNOWN_SESSION, message: 'no such session' };
    await expect(open().start()).rejects.toMatchObject({ code: 'ESHUTDOWN' });
  });

  test('an operation that is not answered within its deadline fails with ETIMEDOUT', async () => {
    server.answers = () => false;
    const session = open({ opDeadlineMs: 20 });
    await session.start();
    await expect(session.call(create('a'), opId(1), undefined, inoOf)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    server.answerHeld();
    await server.until(() => true);
  });

  test('a commit has no deadline: its sender would send it again', async () => {
    server.answers = () => false;
    const session = open({ opDeadlineMs: 20 });
    await session.start();
    const { ino } = server.namespace.create(1 as SessionId, ROOT_INO, Buffer.from('f'), fileSpec).attr;
    const reply = session.call(commit(ino), opId(1), undefined, inoOf);
    await expect(session.call(create('a'), opId(2), undefined, inoOf)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    server.answerHeld();
    expect(await reply).toBe(ino);
  });

  test('a commit that was given up and is sent again under its op id is executed once', async () => {
    server.answers = () => false;
    const session = open();
    await session.start();
    const { ino } = server.namespace.create(1 as SessionId, ROOT_INO, Buffer.from('f'), fileSpec).attr;
    const abort = new AbortController();
    let parsed = 0;
    const given = session.call(commit(ino), opId(1), abort.signal, () => parsed++);
    await server.until(() => server.requests.length === 1);
    abort.abort();
    await expect(given).rejects.toMatchObject({ code: 'EINTR' });
    server.answers = () => true;
    server.answerHeld();
    // Its reply arrives after the late one; what was acknowledged until then goes with the next request.
    await session.call({ $case: 'ping', value: {} }, undefined, undefined, () => undefined);
    expect(parsed).toBe(1);
    await session.call(commit(ino), opId(1), undefined, inoOf);
    expect(server.executed).toBe(1);
    await session.call({ $case: 'ping', value: {} }, undefined, undefined, () => undefined);
    expect(server.acks).toEqual(['2/1/0']);
  });

  test('pings when idle, and learns the server clock', async () => {
    server.stop();
    const ahead = 3_600_000_000_000n;
    server = new FakeMetaserver({ ttlMs: 40, serverTimeNs: () => systemClock.nowNs() + ahead });
    await server.start();
    const session = open();
    await session.start();
    await server.until(() => server.requests.filter(({ op }) => op?.$case === 'ping').length >= 2);
    expect(session.now().sec).toBeGreaterThanOrEqual(Math.floor(Date.now() / 1000) + 3598);
    expect(session.now().sec).toBeLessThanOrEqual(Math.floor(Date.now() / 1000) + 3602);
  });

  test('close is idempotent, and sends the acks first', async () => {
    const session = open();
    await session.start();
    await session.call(create('a'), opId(1), undefined, inoOf);
    await session.close();
    await session.close();
    expect(server.acks).toEqual(['2/1/0']);
  });
});
