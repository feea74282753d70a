import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ObjectError } from '../../../src/object/object-error.js';
import { SessionEnd_Reason, type Response } from '../../../src/gen/curvefs/v1/metaserver.js';
import type { KvBatch } from '../../../src/kv/kv-engine.js';
import { KvError } from '../../../src/kv/kv-error.js';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';
import type { Operation } from '../../../src/metaserver/operations/operation-table.js';
import type { ChunkId, Fh, Ino } from '../../../src/model/ids.js';
import { S_IFDIR } from '../../../src/model/inode.js';
import { openToProto, setAttrToProto } from '../../../src/wire/operation.js';
import {
  commitOp,
  createOp,
  first,
  Harness,
  linkOp,
  lookupOp,
  renameOp,
  rmdirOp,
  ROOT_INO,
  unlinkOp,
  type TestClient,
} from './slot-harness.js';

let harness: Harness;
let client: TestClient;

beforeEach(async () => {
  harness = await Harness.start();
  client = await harness.client();
});

afterEach(async () => {
  await harness.checkAccounting();
  await harness.close();
});

const queryOps = async (asker: TestClient, session: number, opIds: Parameters<TestClient['acknowledge']>) => {
  const { result } = await asker.ok({ $case: 'queryOps', value: { sessionId: BigInt(session), opIds } });
  return result?.$case === 'queryOps' ? result.value.executed : undefined;
};

describe('exactly once', () => {
  /** Every mutation once, each able to run after the one before. */
  const mutations = (file: Ino, dir: Ino): Operation[] => [
    createOp(dir, 'new'),
    createOp(dir, 'dir', { mode: S_IFDIR | 0o755 }),
    linkOp(file, dir, 'linked'),
    renameOp([dir, 'linked'], [dir, 'renamed']),
    unlinkOp(dir, 'renamed'),
    rmdirOp(dir, 'dir'),
    { $case: 'setattr', value: setAttrToProto(file, { size: 1000 }) },
    commitOp(file, {
      blocks: [{ block: 0, extents: [{ offset: 0, length: 10, chunkId: 1 as ChunkId, chunkOffset: 0 }] }],
      chunks: [{ chunkId: 1 as ChunkId, size: 10 }],
      truncEpoch: 1,
    }),
    { $case: 'setxattr', value: { ino: BigInt(file), name: Buffer.from('a'), value: Buffer.from('b'), flags: 1 } },
    { $case: 'removexattr', value: { ino: BigInt(file), name: Buffer.from('a') } },
    { $case: 'open', value: openToProto(file, { fh: 77 as Fh, write: true, truncate: true }) },
    // fails, and fails again
    unlinkOp(dir, 'none'),
  ];

  test('an operation that is sent again gets the same reply and has no second effect, also after a restart', async () => {
    const file = await client.create(ROOT_INO, 'file');
    const dir = await client.mkdir(ROOT_INO, 'd');
    const sent: { op: Operation; opId: ReturnType<TestClient['nextOpId']>; reply: Response }[] = [];
    for (const op of mutations(file.ino, dir.ino)) {
      const opId = client.nextOpId();
      // both arrive before either is executed: the second joins
      const [reply, joined] = await Promise.all([client.send(op, opId), client.send(op, opId)]);
      expect(joined).toEqual(reply);
      sent.push({ op, opId, reply });
    }
    expect(sent.map(({ reply }) => reply.errno)).toEqual([...Array<number>(11).fill(0), 2]);
    const check = async (who: TestClient) => {
      const before = [await who.getattr(file.ino), await who.getattr(dir.ino), await harness.slot.usage()];
      for (const { op, opId, reply } of sent) expect(await who.send(op, opId)).toEqual(reply);
      expect([await who.getattr(file.ino), await who.getattr(dir.ino), await harness.slot.usage()]).toEqual(before);
    };
    await check(client);
    await harness.restart();
    const again = await harness.attach(client.id, { incarnation: 2 });
    await check(again);
    const executed = await queryOps(
      again,
      client.id,
      sent.map(({ opId }) => opId),
    );
    expect(executed).toEqual([...Array<boolean>(11).fill(true), false]);
    // acknowledged replies are forgotten, and their rows go
    again.acknowledge(...sent.map(({ opId }) => opId));
    expect(await queryOps(again, client.id, [sent[0]!.opId])).toEqual([false]);
    expect(again.session!.replies.size).toBe(2);
    client.release(file.ino, 77);
  });

  test('too many unacknowledged replies make the client wait', async () => {
    const replies = await Promise.all(Array.from({ length: 4097 }, (_, i) => client.send(createOp(ROOT_INO, `f${i}`))));
    expect(replies.filter(({ errno }) => errno === 0)).toHaveLength(4096);
    expect(replies.at(-1)!.errno).toBe(11);
  });

  test('a mutation needs an op id', async () => {
    const requestId = 9n;
    const reply = new Promise<Uint8Array>((resolve) => {
      const connection = {
        incarnation: 1,
        respond: (_: bigint, body: Uint8Array) => resolve(body),
        attached: () => undefined,
        end: () => undefined,
      };
      harness.slot.requests.handle(connection, client.session!, {
        requestId,
        opId: undefined,
        op: createOp(ROOT_INO, 'x'),
      });
    });
    expect((await reply).length).toBeGreaterThan(0);
    expect(await client.errno(lookupOp(ROOT_INO, 'x'))).toBe('ENOENT');
  });
});

describe('sessions', () => {
  test('opening is idempotent by client', async () => {
    const a = await harness.client({ uuid: 'same' });
    const b = await harness.client({ uuid: 'same' });
    expect(b.id).toBe(a.id);
    expect(b.id).not.toBe(client.id);
    await harness.slot.sessions.end(a.id, 0, 'x');
    expect((await harness.client({ uuid: 'same' })).id).not.toBe(a.id);
  });

  test('a newer worker fences the older one', async () => {
    await client.create(ROOT_INO, 'a');
    const second = await harness.attach(client.id, { incarnation: 2 });
    expect(client.ended?.reason).toBe(SessionEnd_Reason.REASON_OLD_INCARNATION);
    expect(await client.errno(createOp(ROOT_INO, 'b'))).toBe('ESHUTDOWN');
    expect(await second.errno(createOp(ROOT_INO, 'b'))).toBe('OK');
    const late = await harness.attach(client.id, { incarnation: 1 });
    expect(late.ended?.reason).toBe(SessionEnd_Reason.REASON_OLD_INCARNATION);
    await harness.restart();
    expect((await harness.attach(client.id, { incarnation: 1 })).ended?.reason).toBe(
      SessionEnd_Reason.REASON_OLD_INCARNATION,
    );
  });

  test('a silent session expires: its opens and its reservation go, what it did stays answerable', async () => {
    const other = await harness.client();
    const opId = other.nextOpId();
    const file = first(await other.ok(createOp(ROOT_INO, 'f'), opId));
    await other.open(file.ino, 5);
    await other.ok(unlinkOp(ROOT_INO, 'f'));
    for (let i = 0; i < 12; i++) {
      harness.clock.advance(2000);
      harness.slot.sessions.heard(client.session!);
      harness.slot.sessions.expire();
    }
    await client.ok({ $case: 'barrier', value: {} });
    expect(other.ended?.reason).toBe(SessionEnd_Reason.REASON_EXPIRED);
    expect(await other.errno(createOp(ROOT_INO, 'g'))).toBe('ESHUTDOWN');
    expect((await harness.attach(other.id)).ended?.reason).toBe(SessionEnd_Reason.REASON_UNKNOWN_SESSION);
    while (harness.slot.opens.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await client.errno({ $case: 'getattr', value: { ino: BigInt(file.ino) } })).toBe('ENOENT');
    expect(harness.slot.sessions.mounts().map(({ sessionId }) => sessionId)).toEqual([client.id]);

    await harness.restart();
    const asker = await harness.attach(client.id);
    expect(await queryOps(asker, other.id, [opId, { ...opId, step: 1 }])).toEqual([true, false]);
    expect(await asker.errno({ $case: 'adoptEnd', value: { sessionId: BigInt(client.id) } })).toBe('EBUSY');
    await asker.ok({ $case: 'adoptEnd', value: { sessionId: BigInt(other.id) } });
    expect(await queryOps(asker, other.id, [opId])).toEqual([false]);
  });

  test('a server that was stopped itself gives sessions time to be heard', async () => {
    harness.clock.advance(60_000);
    harness.slot.sessions.expire();
    await client.ok({ $case: 'barrier', value: {} });
    expect(client.ended).toBeUndefined();
  });

  test('forgets what ended a week ago', async () => {
    const other = await harness.client();
    const opId = other.nextOpId();
    await other.ok(createOp(ROOT_INO, 'f'), opId);
    await harness.slot.sessions.end(other.id, 0, 'x');
    await harness.slot.sessions.forgetOld();
    expect(await queryOps(client, other.id, [opId])).toEqual([true]);
    harness.clock.advance(8 * 24 * 3600 * 1000);
    await harness.slot.sessions.forgetOld();
    expect(await queryOps(client, other.id, [opId])).toEqual([false]);
  });
});

describe('open files', () => {
  test('survive a restart, and what is unlinked before all have attached is kept', async () => {
    const other = await harness.client();
    const kept = await other.create(ROOT_INO, 'kept');
    const lost = await other.create(ROOT_INO, 'lost');
    await other.open(kept.ino, 1);
    await other.ok(unlinkOp(ROOT_INO, 'kept'));
    await harness.restart();
    const back = await harness.attach(client.id);
    // the server does not know yet that the other session has it open
    await back.ok(unlinkOp(ROOT_INO, 'lost'));
    expect(await back.getattr(lost.ino)).toMatchObject({ nlink: 0 });
    const otherBack = await harness.attach(other.id, {
      opens: [{ ino: BigInt(lost.ino), fh: 2n }],
      opensComplete: false,
    });
    expect(await otherBack.getattr(lost.ino)).toMatchObject({ nlink: 0 });
    expect(await otherBack.getattr(kept.ino)).toMatchObject({ nlink: 0 });
    otherBack.release(lost.ino, 2);
    otherBack.release(kept.ino, 1);
    for (const ino of [lost.ino, kept.ino]) {
      expect(await back.errno({ $case: 'getattr', value: { ino: BigInt(ino) } })).toBe('ENOENT');
    }
  });

  test('a complete list drops the others', async () => {
    const a = await client.create(ROOT_INO, 'a');
    const b = await client.create(ROOT_INO, 'b');
    await client.open(a.ino, 1);
    await client.open(b.ino, 2);
    await client.ok(unlinkOp(ROOT_INO, 'a'));
    await client.ok(unlinkOp(ROOT_INO, 'b'));
    const again = await harness.attach(client.id, { opens: [{ ino: BigInt(b.ino), fh: 2n }], opensComplete: true });
    expect(await again.errno({ $case: 'getattr', value: { ino: BigInt(a.ino) } })).toBe('ENOENT');
    expect(await again.getattr(b.ino)).toMatchObject({ nlink: 0 });
    again.release(b.ino, 2);
    again.release(b.ino, 2);
  });
});

/** Fails the commits that it is told to. */
class FailingEngine extends MemoryEngine {
  failNext: KvError | undefined;
  commits = 0;

  override async commit(batch: KvBatch, options?: { readonly durable?: boolean }): Promise<void> {
    this.commits++;
    const failure = this.failNext;
    this.failNext = undefined;
    if (failure !== undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      throw failure;
    }
    await super.commit(batch, options);
  }
}

describe('group commit', () => {
  let engine: FailingEngine;

  beforeEach(async () => {
    await harness.close();
    engine = new FailingEngine();
    harness = await Harness.start({ engine: engine });
    client = await harness.client();
  });

  test('operations that arrive together share a batch', async () => {
    const before = engine.commits;
    await Promise.all(Array.from({ length: 200 }, (_, i) => client.create(ROOT_INO, `f${i}`)));
    expect(engine.commits - before).toBeLessThan(20);
  });

  test('a batch that fails takes everything with it, and nothing else', async () => {
    const before = await client.create(ROOT_INO, 'before');
    await client.open(before.ino, 3);
    engine.failNext = new KvError('io', 'the disk fails');
    const opIds = Array.from({ length: 100 }, () => client.nextOpId());
    const replies = await Promise.all([
      ...opIds.map((opId, i) => client.send(createOp(ROOT_INO, `f${i}`), opId)),
      client.send(lookupOp(ROOT_INO, 'f0')),
      client.send(unlinkOp(ROOT_INO, 'before')),
    ]);
    const failed = opIds.filter((_, i) => replies[i]!.errno !== 0);
    expect(failed.length).toBeGreaterThan(0);
    for (const reply of replies) expect([0, 5]).toContain(reply.errno);
    // what was answered with success is there, what was not is not, and the resend of a failed one is executed
    expect(await queryOps(client, client.id, opIds as never)).toEqual(opIds.map((_, i) => replies[i]!.errno === 0));
    const names = new Set(await client.names(ROOT_INO));
    opIds.forEach((_, i) => expect(names.has(`f${i}`)).toBe(replies[i]!.errno === 0));
    for (let i = 0; i < opIds.length; i++) expect(await client.errno(createOp(ROOT_INO, `f${i}`), opIds[i])).toBe('OK');
    expect((await client.names(ROOT_INO)).filter((name) => name.startsWith('f'))).toHaveLength(100);
    expect(harness.slot.opens.count(before.ino)).toBe(1);
    client.release(before.ino, 3);
  });

  test('a full database is ENOSPC', async () => {
    engine.failNext = new KvError('no-space', 'full');
    expect(await client.errno(createOp(ROOT_INO, 'a'))).toBe('ENOSPC');
    expect(await client.errno(createOp(ROOT_INO, 'a'))).toBe('OK');
  });

  test('a read does not tell what is not durable', async () => {
    engine.failNext = new KvError('io', 'the disk fails');
    const [created, found] = await Promise.all([
      client.send(createOp(ROOT_INO, 'a')),
      client.send(lookupOp(ROOT_INO, 'a')),
    ]);
    expect(created.errno).toBe(5);
    expect(found.errno).toBe(5);
    expect(await client.errno(lookupOp(ROOT_INO, 'a'))).toBe('ENOENT');
  });

  test('an open alone costs no commit before its answer', async () => {
    const file = await client.create(ROOT_INO, 'a');
    const before = engine.commits;
    await client.open(file.ino, 1);
    client.release(file.ino, 1);
    await client.getattr(file.ino);
    expect(engine.commits).toBe(before);
  });
});

describe('filesystems', () => {
  test('are removed with their objects and rows, and nothing else', async () => {
    await expect(harness.metaserver.deleteSlot(harness.info.id)).rejects.toThrow('mounted: host:/mnt');
    await client.create(ROOT_INO, 'f');
    await harness.store.put('3/0/0/1', Buffer.from('x'));
    await harness.store.put('33/0/0/1', Buffer.from('other'));
    await harness.slot.sessions.end(client.id, 0, 'x');
    await harness.metaserver.deleteSlot(harness.info.id);
    const rows = async () => harness.engine.range(Buffer.from('F'), Buffer.from('T'), { limit: 1000 });
    while ((await rows()).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await harness.store.list('', '', 10)).map(({ key }) => key)).toEqual(['33/0/0/1']);
    // for the checks after each test
    await harness.metaserver.createSlot({ ...harness.info, uuid: 'next' }, { mode: 0o755, uid: 0, gid: 0 });
  });

  test('of another installation in the same store are not touched', async () => {
    await harness.store.put('9/0/0/1', Buffer.from('theirs'));
    const root = { mode: 0o755, uid: 0, gid: 0 };
    const info = { ...harness.info, id: 9 as never, uuid: 'ours' };
    await expect(harness.metaserver.createSlot(info, root)).rejects.toMatchObject({ code: 'exists' });
    await harness.metaserver.createSlot({ ...info, id: 10 as never }, root);
    await harness.metaserver.createSlot({ ...info, id: 10 as never }, root);
  });

  test.each(['knows conditional puts', 'refuses conditional puts', 'ignores the condition of a put'])(
    'of two installations that claim the same prefix at once never both get it, in a store that %s',
    async (kind) => {
      const { store } = harness;
      const put = store.put.bind(store);
      if (kind.startsWith('refuses')) {
        store.put = async (key, body, signal, condition) => {
          if (condition !== undefined) throw new ObjectError('invalid', 'NotImplemented');
          await put(key, body, signal);
        };
      } else if (kind.startsWith('ignores')) {
        store.put = (key, body, signal) => put(key, body, signal);
      }
      const other = await Harness.start({ store, fs: { id: 11 as never } });
      const root = { mode: 0o755, uid: 0, gid: 0 };
      const claims = [harness, other].map(({ metaserver }, i) =>
        metaserver.createSlot({ ...harness.info, id: 10 as never, uuid: `uuid-${i}` }, root),
      );
      const results = await Promise.allSettled(claims);
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      const loser = results.find((result) => result.status === 'rejected');
      expect(loser?.reason).toMatchObject({ code: 'exists' });
      await other.close();
    },
  );
});
