import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { OpId } from '../../../src/gen/curvefs/v1/common.js';
import { SessionEnd_Reason, type Response } from '../../../src/gen/curvefs/v1/metaserver.js';
import type { KvBatch } from '../../../src/kv/kv-engine.js';
import { KvError } from '../../../src/kv/kv-error.js';
import { MemoryEngine } from '../../../src/kv/memory-engine.js';
import { INODE_RANGES_MAX, SESSION_WAITS_MAX } from '../../../src/metaserver/locks/locks.js';
import type { Operation } from '../../../src/metaserver/operations/operation-table.js';
import { errnoCode } from '../../../src/common/errno.js';
import type { Ino } from '../../../src/model/ids.js';
import { LOCK_END_MAX, type LockSpec } from '../../../src/model/lock.js';
import { lockFoundFromProto, lockQueryToProto, lockSpecToProto } from '../../../src/wire/lock.js';
import { Harness, ROOT_INO, type TestClient } from './slot-harness.js';

let harness: Harness;
let a: TestClient;
let b: TestClient;
let c: TestClient;
let ino: Ino;

beforeEach(async () => {
  harness = await Harness.start();
  [a, b, c] = [await harness.client(), await harness.client(), await harness.client()];
  ({ ino } = await a.create(ROOT_INO, 'f'));
});

afterEach(() => harness.close());

type Short = Partial<Omit<LockSpec, 'owner' | 'start' | 'end'>> & {
  ino?: Ino;
  owner?: number;
  range?: [number, number];
};

const lockOp = ({ ino: file = ino, owner = 1, range, ...more }: Short = {}): Operation => {
  const [start, end] = range === undefined ? [0n, LOCK_END_MAX] : range.map(BigInt);
  const spec: LockSpec = {
    kind: 'posix',
    type: 'write',
    pid: 7,
    wait: false,
    ofd: false,
    ...more,
    owner: BigInt(owner),
    start: start!,
    end: end!,
  };
  return { $case: 'setLock', value: lockSpecToProto(file, spec) };
};
const result = ({ errno, result: value }: Response): string => {
  if (errno !== 0) return errnoCode(errno);
  return value?.$case === 'setLock' ? (value.value.granted ? 'granted' : 'refused') : 'OK';
};
const set = async (client: TestClient, more?: Short, opId?: OpId): Promise<string> => {
  const id = opId ?? client.nextOpId();
  const response = await client.send(lockOp(more), id);
  if (opId === undefined) client.acknowledge(id);
  return result(response);
};
const wait = (
  client: TestClient,
  more: Short = {},
  opId?: OpId,
): { readonly reply: Promise<string>; now: () => string | undefined } => {
  let now: string | undefined;
  const reply = set(client, { ...more, wait: true }, opId);
  void reply.then((got) => (now = got));
  return { reply, now: () => now };
};
/** Everything that was sent before is executed, and durable. */
const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await harness.slot.execute(() => Promise.resolve());
};
const unlock = (client: TestClient, more: Short = {}): Promise<string> => set(client, { ...more, type: undefined });
const cancel = (client: TestClient, opId: OpId): Promise<Response> =>
  client.ok({ $case: 'cancelLock', value: { opId } });

describe('locks of several sessions', () => {
  test('the owner is (session, owner): the same number on another mount is another one', async () => {
    expect(await set(a, { range: [0, 10] })).toBe('granted');
    expect(await set(b, { range: [0, 10] })).toBe('EAGAIN');
    expect(await set(a, { range: [0, 10], owner: 2 })).toBe('EAGAIN');
    expect(await set(a, { range: [5, 20] })).toBe('granted');
    expect(await set(b, { range: [20, 21] })).toBe('granted');
    expect(await unlock(a, { range: [8, 9] })).toBe('OK');
    expect(await set(b, { range: [8, 9] })).toBe('granted');
    expect(await set(b, { range: [9, 10] })).toBe('EAGAIN');
  });

  test('the lock in the way, and the pid of its holder in the same session', async () => {
    await set(a, { range: [5, 10], type: 'read', pid: 42 });
    const ask = async (client: TestClient, owner: bigint) => {
      const query = { kind: 'posix', owner, start: 0n, end: LOCK_END_MAX, type: 'write' } as const;
      const { result: found } = await client.ok({ $case: 'getLock', value: lockQueryToProto(ino, query) });
      return found?.$case === 'getLock' ? lockFoundFromProto(found.value) : 'no answer';
    };
    expect(await ask(a, 2n)).toEqual({ start: 5n, end: 10n, type: 'read', pid: 42 });
    expect(await ask(b, 1n)).toEqual({ start: 5n, end: 10n, type: 'read', pid: 0 });
    expect(await ask(a, 1n)).toBeUndefined();
  });

  test('a read-only session may lock; what is gone may not be locked, but unlocked', async () => {
    const reader = await harness.client({ readOnly: true });
    expect(await set(reader)).toBe('granted');
    expect(await set(a, { ino: 999 as Ino })).toBe('ENOENT');
    expect(await unlock(a, { ino: 999 as Ino })).toBe('OK');
  });

  test('nonsense is refused', async () => {
    expect(await set(a, { range: [10, 10] })).toBe('EINVAL');
    expect(await set(a, { range: [10, 9] })).toBe('EINVAL');
    const op = lockOp();
    if (op.$case !== 'setLock') throw new Error('no lock');
    expect(await a.errno({ $case: 'setLock', value: { ...op.value, kind: 0 } })).toBe('EINVAL');
    expect(await a.errno({ $case: 'setLock', value: { ...op.value, type: 0 } })).toBe('EINVAL');
    expect(await a.errno({ $case: 'setLock', value: { ...op.value, end: LOCK_END_MAX + 1n } })).toBe('EINVAL');
  });

  test('an inode takes so many ranges, and then ENOLCK', async () => {
    for (let i = 0; i < INODE_RANGES_MAX; i += 256) {
      const batch = Array.from({ length: 256 }, (_, at) => set(a, { range: [(i + at) * 2, (i + at) * 2 + 1] }));
      expect(new Set(await Promise.all(batch))).toEqual(new Set(['granted']));
    }
    expect(await set(a, { range: [1_000_000, 1_000_001] })).toBe('ENOLCK');
    expect(await set(b, { range: [1_000_000, 1_000_001] })).toBe('ENOLCK');
    // what makes fewer of them is granted
    expect(await set(a, { range: [0, 3] })).toBe('granted');
    expect(await set(b, { range: [1_000_000, 1_000_001] })).toBe('granted');
  }, 60_000);
});

describe('a request that waits', () => {
  test('is answered when the lock is free, and costs nothing until then', async () => {
    await set(a);
    const waiting = wait(b);
    await settled();
    const tried = jest.spyOn(harness.slot.locks, 'setLock');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(tried).not.toHaveBeenCalled();
    expect(waiting.now()).toBeUndefined();
    expect(harness.slot.locks.waiting).toBe(1);
    await unlock(a);
    expect(await waiting.reply).toBe('granted');
    expect(harness.slot.locks.waiting).toBe(0);
    expect(await set(a)).toBe('EAGAIN');
  });

  test('is served in the order of coming, readers together', async () => {
    await set(a);
    const order: string[] = [];
    const queue = (client: TestClient, name: string, type: 'read' | 'write', owner: number): Promise<unknown> =>
      wait(client, { type, owner }).reply.then(() => order.push(name));
    const replies = [
      queue(b, 'r1', 'read', 1),
      queue(c, 'r2', 'read', 1),
      queue(b, 'w1', 'write', 2),
      queue(c, 'r3', 'read', 3),
    ];
    await settled();
    await unlock(a);
    await Promise.all(replies.slice(0, 2));
    await settled();
    expect(order.sort()).toEqual(['r1', 'r2']);
    await unlock(b);
    await unlock(c);
    await replies[2];
    await settled();
    expect(order).toEqual(['r1', 'r2', 'w1']);
    await unlock(b, { owner: 2 });
    await replies[3];
    expect(order).toEqual(['r1', 'r2', 'w1', 'r3']);
  });

  test('a writer is not starved by readers that come later, but one who does not wait, or holds a part, is granted', async () => {
    await set(a, { type: 'read', range: [0, 10] });
    const writer = wait(b, { range: [0, 20] });
    await settled();
    const reader = wait(c, { type: 'read', range: [0, 10] });
    await settled();
    expect(reader.now()).toBeUndefined();
    expect(await set(c, { type: 'read', range: [0, 10], owner: 2 })).toBe('granted');
    expect(await wait(a, { type: 'read', range: [10, 15] }).reply).toBe('granted');
    await unlock(c, { owner: 2 });
    await unlock(a);
    expect(await writer.reply).toBe('granted');
    expect(reader.now()).toBeUndefined();
    await unlock(b);
    expect(await reader.reply).toBe('granted');
  });

  test('one that waits only for others that wait overtakes them after a time', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick', 'setInterval'] });
    try {
      await set(a, { type: 'read' });
      const writer = wait(b);
      await settled();
      const reader = wait(c, { type: 'read' });
      await settled();
      expect(reader.now()).toBeUndefined();
      jest.advanceTimersByTime(5000);
      expect(await reader.reply).toBe('granted');
      expect(writer.now()).toBeUndefined();
    } finally {
      jest.useRealTimers();
    }
  });

  test('waits for a conversion by itself: an upgrade that is not granted keeps a fcntl lock, and loses a flock', async () => {
    await set(a, { type: 'read' });
    await set(b, { type: 'read' });
    const upgrade = wait(a, { type: 'write' });
    await settled();
    expect(await set(b, { type: 'write', owner: 2 })).toBe('EAGAIN');
    await unlock(b);
    expect(await upgrade.reply).toBe('granted');

    const flock = { kind: 'flock' } as const;
    await set(a, { ...flock, type: 'read' });
    await set(b, { ...flock, type: 'read' });
    // both at once: with fcntl locks that would be a deadlock
    const [first, second] = [wait(a, flock), wait(b, flock)];
    expect(await first.reply).toBe('granted');
    expect(second.now()).toBeUndefined();
    await unlock(a, flock);
    expect(await second.reply).toBe('granted');
    await set(b, { ...flock, type: 'read' });
    await set(a, { ...flock, type: 'read' });
    expect(await set(b, flock)).toBe('refused');
    expect(await set(a, flock)).toBe('granted');
  });

  test('there are at most so many per session, and the session has room for other operations', async () => {
    await set(a);
    const waits: Promise<string>[] = [];
    for (let i = 0; i < SESSION_WAITS_MAX; i++) waits.push(set(b, { wait: true, owner: i }));
    await settled();
    expect(harness.slot.locks.waiting).toBe(SESSION_WAITS_MAX);
    expect(await set(b, { wait: true, owner: 1_000_000 })).toBe('ENOLCK');
    expect(await b.create(ROOT_INO, 'more')).toBeDefined();
    await harness.slot.sessions.end(b.id, SessionEnd_Reason.REASON_UNSPECIFIED, 'test');
    expect(harness.slot.locks.waiting).toBe(0);
  }, 20_000);
});

describe('cancelling', () => {
  test('a wait ends with EINTR, once, and those behind are next', async () => {
    await set(a, { type: 'read' });
    const opId = b.nextOpId();
    const writer = wait(b, {}, opId);
    const reader = wait(c, { type: 'read' });
    await settled();
    expect(reader.now()).toBeUndefined();
    await cancel(b, opId);
    expect(await writer.reply).toBe('EINTR');
    expect(await reader.reply).toBe('granted');
    // sent again it gets the same answer, and does not wait
    expect(await set(b, { wait: true }, opId)).toBe('EINTR');
    await cancel(b, opId);
    await unlock(a);
    await unlock(c);
    expect(await set(a)).toBe('granted');
  });

  test.each(['unlock first', 'cancel first'])(
    'races with the grant (%s): the reply says who won, and the lock agrees',
    async (order) => {
      await set(a);
      const opId = b.nextOpId();
      const waiting = wait(b, {}, opId);
      await settled();
      const steps = [() => unlock(a), () => cancel(b, opId)];
      if (order === 'cancel first') steps.reverse();
      await Promise.all(steps.map((step) => step()));
      const reply = await waiting.reply;
      expect(await set(c)).toBe(reply === 'granted' ? 'EAGAIN' : 'granted');
      expect(reply).toBe(order === 'cancel first' ? 'EINTR' : reply);
    },
  );

  test('of an operation of another session, or of none, is nothing', async () => {
    await set(a);
    const opId = b.nextOpId();
    const waiting = wait(b, {}, opId);
    await settled();
    await cancel(c, opId);
    await cancel(b, b.nextOpId());
    await settled();
    expect(waiting.now()).toBeUndefined();
  });
});

describe('deadlocks', () => {
  test('a circle over three mounts and files is found when it closes; the others go on', async () => {
    const files = [ino, (await a.create(ROOT_INO, 'g')).ino, (await a.create(ROOT_INO, 'h')).ino];
    const clients = [a, b, c];
    for (const [at, client] of clients.entries()) expect(await set(client, { ino: files[at]! })).toBe('granted');
    const first = wait(a, { ino: files[1]! });
    const second = wait(b, { ino: files[2]! });
    await settled();
    expect(await wait(c, { ino: files[0]! }).reply).toBe('EDEADLK');
    await unlock(c, { ino: files[2]! });
    expect(await second.reply).toBe('granted');
    await unlock(b, { ino: files[1]! });
    expect(await first.reply).toBe('granted');
  });

  test('ranges of one file, and both upgrading', async () => {
    await set(a, { range: [0, 1] });
    await set(b, { range: [1, 2] });
    wait(a, { range: [1, 2] });
    await settled();
    expect(await wait(b, { range: [0, 1] }).reply).toBe('EDEADLK');

    const { ino: other } = await a.create(ROOT_INO, 'g');
    await set(a, { ino: other, type: 'read', owner: 2 });
    await set(b, { ino: other, type: 'read', owner: 2 });
    wait(a, { ino: other, owner: 2 });
    await settled();
    expect(await wait(b, { ino: other, owner: 2 }).reply).toBe('EDEADLK');
  });

  test('are not looked for among flocks and open file descriptions', async () => {
    const { ino: other } = await a.create(ROOT_INO, 'g');
    for (const kind of [{ kind: 'flock' }, { ofd: true }] as const) {
      await set(a, kind);
      await set(b, { ...kind, ino: other });
      const first = wait(a, { ...kind, ino: other });
      await settled();
      const second = wait(b, kind);
      await settled();
      expect([first.now(), second.now()]).toEqual([undefined, undefined]);
      await unlock(b, { ...kind, ino: other });
      expect(await first.reply).toBe('granted');
      await unlock(a, kind);
      expect(await second.reply).toBe('granted');
      for (const client of [a, b]) for (const file of [ino, other]) await unlock(client, { ...kind, ino: file });
    }
  });
});

describe('what outlives what', () => {
  test('a lock that is asked for again under its op id is granted once, and given back once', async () => {
    const opId = a.nextOpId();
    expect(await Promise.all([set(a, {}, opId), set(a, {}, opId)])).toEqual(['granted', 'granted']);
    await unlock(a);
    expect(await set(a, {}, opId)).toBe('granted');
    expect(await set(b)).toBe('granted');
  });

  test('a wait that is sent again, over another stream, joins the first', async () => {
    await set(a);
    const opId = b.nextOpId();
    wait(b, {}, opId);
    await settled();
    const again = await harness.attach(b.id);
    const joined = wait(again, {}, opId);
    await settled();
    expect(harness.slot.locks.waiting).toBe(1);
    await unlock(a);
    expect(await joined.reply).toBe('granted');
  });

  test('nothing is granted to a dead worker; its successor that asks again gets it', async () => {
    await set(a);
    const opId = b.nextOpId();
    wait(b, {}, opId);
    await settled();
    const successor = await harness.attach(b.id, { incarnation: 2 });
    successor.session!.incarnation = 2;
    await unlock(a);
    expect(await set(c)).toBe('granted');
    const joined = wait(successor, {}, opId);
    await settled();
    expect(joined.now()).toBeUndefined();
    await unlock(c);
    expect(await joined.reply).toBe('granted');
  });

  test('a restart of the server: locks of live sessions hold, waits are sent again', async () => {
    await set(a, { range: [0, 10], owner: 2 ** 40, pid: 5 });
    await set(a, { range: [20, 30], type: 'read', owner: 2 ** 40 });
    await set(b, { kind: 'flock', type: 'read' });
    const opId = b.nextOpId();
    wait(b, {}, opId);
    await settled();
    await harness.restart();
    const [a2, b2] = [await harness.attach(a.id, { incarnation: 2 }), await harness.attach(b.id, { incarnation: 2 })];
    const c2 = await harness.attach(c.id, { incarnation: 2 });
    expect(harness.slot.locks.held).toBe(3);
    expect(await set(c2, { range: [5, 6] })).toBe('EAGAIN');
    expect(await set(c2, { range: [25, 26], type: 'read' })).toBe('granted');
    expect(await set(c2, { kind: 'flock' })).toBe('EAGAIN');
    expect(await set(c2, { kind: 'flock', type: 'read' })).toBe('granted');
    await unlock(c2);
    const joined = wait(b2, {}, opId);
    await settled();
    await unlock(a2, { owner: 2 ** 40 });
    expect(await joined.reply).toBe('granted');
  });

  test('a session that is over: its locks are dropped, its waits are gone', async () => {
    for (let i = 0; i < 200; i++) await set(a, { owner: i, range: [i, i + 1] });
    await set(a, { kind: 'flock' });
    await set(b, { range: [1000, 1001] });
    const dead = wait(a, { owner: 777, range: [1000, 1001] });
    const waiting = wait(b, { range: [0, 200] });
    await settled();
    await harness.slot.sessions.end(a.id, SessionEnd_Reason.REASON_EXPIRED, 'test');
    expect(await waiting.reply).toBe('granted');
    expect(await set(c, { kind: 'flock' })).toBe('granted');
    await unlock(b);
    expect(await set(c)).toBe('granted');
    expect(dead.now()).toBeUndefined();
  });

  test('a session that ended and was not cleaned up before a crash: at the start', async () => {
    await set(a);
    const { slot } = harness;
    const dropped = jest.spyOn(slot.locks, 'drop').mockResolvedValue();
    await slot.sessions.end(a.id, SessionEnd_Reason.REASON_EXPIRED, 'test');
    expect(dropped).toHaveBeenCalled();
    expect(slot.locks.held).toBe(1);
    await harness.restart();
    const b2 = await harness.attach(b.id, { incarnation: 2 });
    expect(await wait(b2).reply).toBe('granted');
  });
});

/** An engine in memory whose commits fail while `failing` is set. */
class FailingEngine extends MemoryEngine {
  failing = false;

  override commit(batch: KvBatch): Promise<void> {
    return this.failing ? Promise.reject(new KvError('io', 'no disk')) : super.commit(batch);
  }
}

test('a batch that cannot be stored: nobody has a lock that is not stored, nor loses one that is', async () => {
  const engine = new FailingEngine();
  const other = await Harness.start({ engine });
  try {
    const [first, second] = [await other.client(), await other.client()];
    const file = (await first.create(ROOT_INO, 'f')).ino;
    expect(await set(first, { ino: file, range: [0, 10] })).toBe('granted');
    const waiting = wait(second, { ino: file, range: [0, 20] });
    await other.slot.execute(() => Promise.resolve());
    engine.failing = true;
    expect(await set(first, { ino: file, range: [30, 40] })).toBe('EIO');
    expect(await unlock(first, { ino: file, range: [0, 10] })).toBe('EIO');
    engine.failing = false;
    await other.slot.execute(() => Promise.resolve());
    // it was granted what was not unlocked after all
    expect(await waiting.reply).toBe('EIO');
    expect(other.slot.locks).toMatchObject({ held: 1, waiting: 0 });
    expect(await set(second, { ino: file, range: [5, 6] })).toBe('EAGAIN');
    expect(await unlock(first, { ino: file, range: [0, 10] })).toBe('OK');
    expect(await set(second, { ino: file, range: [0, 20] })).toBe('granted');
    expect(await set(first, { ino: file, range: [20, 40] })).toBe('granted');
  } finally {
    await other.close();
  }
});

test('what an ended session has left is dropped, though a batch fails meanwhile', async () => {
  const engine = new FailingEngine();
  const other = await Harness.start({ engine });
  try {
    const [first, second] = [await other.client(), await other.client()];
    const file = (await first.create(ROOT_INO, 'f')).ino;
    await first.open(file, 5);
    expect(await set(first, { ino: file })).toBe('granted');
    const commit = engine.commit.bind(engine);
    let since = 0;
    jest.spyOn(engine, 'commit').mockImplementation((batch) => {
      // the first says that the session is over
      if (!other.slot.sessions.ids().includes(first.id)) since++;
      return since === 2 || since === 3 ? Promise.reject(new KvError('io', 'no disk')) : commit(batch);
    });
    await other.slot.sessions.end(first.id, SessionEnd_Reason.REASON_EXPIRED, 'test');
    while (since < 4 || other.slot.locks.held > 0 || other.slot.opens.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await set(second, { ino: file })).toBe('granted');
  } finally {
    await other.close();
  }
});
