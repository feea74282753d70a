import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { systemClock } from '../../../src/common/clock.js';
import { ERRNO } from '../../../src/common/errno.js';
import { FsError } from '../../../src/common/fs-error.js';
import { silentLogger, type Logger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import { FuseOpcode as Op } from '../../../src/fuse/abi/opcode.js';
import type { EntryReply } from '../../../src/fuse/codec/replies.js';
import type { WriteRequest } from '../../../src/fuse/codec/requests.js';
import type { FuseContext, FuseOperations } from '../../../src/fuse/fuse-operations.js';
import { FuseSession } from '../../../src/fuse/session/fuse-session.js';
import { type IsDying, isDying, parseDying } from '../../../src/fuse/session/is-dying.js';
import { DEFAULT_INIT_CONFIG, type NegotiatedInit } from '../../../src/fuse/session/negotiate.js';
import { cstr, message, u32, u64 } from './bytes.js';
import { MockDevice } from './mock-device.js';

const INIT_BODY = [u32(7), u32(45), u32(131_072), u32(0x73ff_fffb), u32(0x5fd), Buffer.alloc(44)];
const RESUME: NegotiatedInit = {
  ...{ major: 7, minor: 45, flags: 0, flags2: 0, offeredFlags: 0, offeredFlags2: 0, maxReadahead: 131_072 },
  ...{ maxBackground: 256, congestionThreshold: 192, maxWriteBytes: 1 << 20, maxPages: 256 },
};
const ENTRY: EntryReply = {
  ...{ nodeid: 9, generation: 0, entryTtlMs: 0, attrTtlMs: 0 },
  attr: {
    ...{ ino: 9, mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0, size: 0, allocatedBytes: 0 },
    ...{ atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } },
  },
};

/** A session that serves, as after a takeover. */
function serve(
  operations: FuseOperations,
  logger: Logger = silentLogger,
  isDying: IsDying = () => true,
): { device: MockDevice; session: FuseSession } {
  const device = new MockDevice();
  const deps = { device, operations, logger, metrics: noMetrics, clock: systemClock, isDying };
  const session = new FuseSession(deps, { init: DEFAULT_INIT_CONFIG, resume: RESUME });
  session.start();
  return { device, session };
}

/** A promise and its settlers. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const flush = (unique: bigint): Buffer => message(Op.FLUSH, [u64(7), u64(0), u64(0)], { unique });
const lookup = (unique: bigint, name = 'x'): Buffer => message(Op.LOOKUP, [cstr(name)], { unique });
const interrupt = (unique: bigint): Buffer => message(Op.INTERRUPT, [u64(unique)], { unique: unique | 1n });

describe('INIT', () => {
  const start = (operations: FuseOperations = {}): { device: MockDevice; session: FuseSession } => {
    const device = new MockDevice();
    const session = new FuseSession(
      { device, operations, logger: silentLogger, metrics: noMetrics, clock: systemClock, isDying: () => true },
      { init: DEFAULT_INIT_CONFIG },
    );
    session.start();
    return { device, session };
  };

  test('is answered with 64 bytes, and starts the filesystem', async () => {
    const seen: NegotiatedInit[] = [];
    const { device, session } = start({ init: (init) => void seen.push(init) });
    expect(session.state).toBe('waiting');
    device.deliver(message(Op.INIT, INIT_BODY));
    const { body, errno } = device.replies[0] ?? { body: Buffer.alloc(0), errno: -1 };
    expect(errno).toBe(0);
    expect(body.toString('hex')).toBe(
      Buffer.concat([
        ...[u32(7), u32(45), u32(131_072), u32(0x50e4_b039), u32(256 | (192 << 16)), u32(1 << 20), u32(1)],
        ...[u32(256), u32(0x9c), Buffer.alloc(28)],
      ]).toString('hex'),
    );
    expect(await session.initialized).toBe(seen[0]);
    expect(session.state).toBe('serving');
  });

  test('of a newer major version is answered with ours, and asked again', () => {
    const { device, session } = start();
    device.deliver(message(Op.INIT, [u32(8), u32(0), ...INIT_BODY.slice(2)]));
    expect(device.replies[0]).toMatchObject({ errno: 0 });
    expect(device.replies[0]?.body.readUInt32LE(0)).toBe(7);
    expect(session.state).toBe('waiting');
  });

  test('of an old kernel ends the session with the reason', async () => {
    const { device, session } = start();
    device.deliver(message(Op.INIT, [u32(7), u32(20), u32(0), u32(0)]));
    expect(device.replies[0]).toMatchObject({ errno: ERRNO.EPROTO });
    await expect(session.initialized).rejects.toMatchObject({ code: 'unsupported-kernel' });
    expect(await session.ended).toMatchObject({ kind: 'failed', error: { code: 'unsupported-kernel' } });
  });

  test('that never comes before the unmount', async () => {
    const { device, session } = start();
    device.end({ kind: 'unmounted' });
    await expect(session.initialized).rejects.toMatchObject({ code: 'init-failed' });
    expect(await session.ended).toEqual({ kind: 'unmounted' });
  });

  test('a filesystem that does not start ends the session', async () => {
    const { device, session } = start({
      init: () => {
        throw new Error('no');
      },
    });
    device.deliver(message(Op.INIT, INIT_BODY));
    await expect(session.initialized).rejects.toMatchObject({ code: 'init-failed' });
  });
});

describe('requests', () => {
  test('a value is replied to at once, with the caller in the context', () => {
    let seen: FuseContext | undefined;
    const { device, session } = serve({
      lookup: (_request, ctx) => {
        seen = ctx;
        return ENTRY;
      },
    });
    const kept = device.deliver(
      message(Op.LOOKUP, [cstr('x')], { unique: 0x8000_0000_0000_0010n, nodeid: 5, uid: 7, gid: 8, pid: 9 }),
    );
    expect(kept).toBe(false);
    expect(device.replies).toMatchObject([{ unique: 0x8000_0000_0000_0010n, errno: 0 }]);
    expect(device.replies[0]?.body).toHaveLength(128);
    expect(seen).toMatchObject({ opId: 16, resent: true, nodeid: 5, uid: 7, gid: 8, pid: 9, createSuppGid: undefined });
    expect(session.inFlight).toBe(0);
  });

  test.each([
    ['FsError', new FsError('ENOENT'), ERRNO.ENOENT],
    ['anything else', new TypeError('bug'), ERRNO.EIO],
    ['ENOSYS, which would switch the operation off', new FsError('ENOSYS'), ERRNO.EOPNOTSUPP],
  ])('a thrown or rejected %s becomes an errno', async (_name, error, errno) => {
    const { device } = serve({
      lookup: () => {
        throw error;
      },
      flush: () => Promise.reject(error),
    });
    device.deliver(lookup(2n));
    device.deliver(flush(4n));
    await settle();
    expect(device.replies).toMatchObject([
      { unique: 2n, errno },
      { unique: 4n, errno },
    ]);
    expect(device.replies.every((reply) => reply.body.length === 0)).toBe(true);
  });

  test('a reply that does not encode is an error, and is undone', () => {
    const forgotten: number[] = [];
    const { device } = serve({
      read: () => Buffer.alloc(100),
      lookup: () => ({ ...ENTRY, attr: { ...ENTRY.attr, atime: undefined } }) as unknown as EntryReply,
      forget: (nodeid) => void forgotten.push(nodeid),
    });
    device.deliver(message(Op.READ, [u64(7), u64(0), u32(99), u32(0), u64(0), u64(0)], { unique: 2n }));
    device.deliver(lookup(4n));
    expect(device.replies).toMatchObject([
      { unique: 2n, errno: ERRNO.EIO },
      { unique: 4n, errno: ERRNO.EIO },
    ]);
    expect(forgotten).toEqual([9]);
  });

  test('operations that are left out', () => {
    const { device } = serve({});
    const ioctl = [u64(7), u32(0), u32(0x5401), u64(0), u32(0), u32(0)];
    device.deliver(message(Op.GETXATTR, [u32(0), u32(0), cstr('user.a')], { unique: 2n }));
    device.deliver(message(Op.IOCTL, ioctl, { unique: 4n }));
    device.deliver(message(Op.POLL, [Buffer.alloc(24)], { unique: 6n }));
    device.deliver(message(Op.RELEASE, [Buffer.alloc(24)], { unique: 8n }));
    device.deliver(message(Op.BMAP, [Buffer.alloc(16)], { unique: 10n }));
    device.deliver(message(Op.DESTROY, [], { unique: 12n }));
    expect(device.replies.map((reply) => reply.errno)).toEqual([
      ERRNO.ENOSYS,
      ERRNO.ENOTTY,
      ERRNO.ENOSYS,
      0,
      ERRNO.ENOSYS,
      0,
    ]);
  });

  test('an unknown opcode is ENOSYS, and logged once', () => {
    const lines: string[] = [];
    const logger: Logger = { ...silentLogger, warn: (text) => void lines.push(text), child: () => logger };
    const { device } = serve({}, logger);
    device.deliver(message(77, [], { unique: 2n }));
    device.deliver(message(77, [], { unique: 4n }));
    device.deliver(message(4096, [], { unique: 6n }));
    expect(device.replies.map((reply) => reply.errno)).toEqual([ERRNO.ENOSYS, ERRNO.ENOSYS, ERRNO.ENOSYS]);
    expect(lines).toEqual(['unknown opcode', 'unknown opcode']);
  });

  test('a message that does not decode is EIO for its caller, and never a reply to another one', () => {
    const { device } = serve({ lookup: () => ENTRY });
    device.deliver(lookup(2n));
    device.deliver(message(Op.LOOKUP, [Buffer.from('no nul')], { unique: 4n }));
    device.deliver(message(Op.MKDIR, [u32(1)], { unique: 6n }));
    device.deliver(Buffer.alloc(20));
    device.deliver(message(Op.BATCH_FORGET, [u32(9), u32(0)], { unique: 8n }));
    device.deliver(message(Op.FORGET, [], { unique: 10n }));
    expect(device.replies.map((reply) => [reply.unique, reply.errno])).toEqual([
      [2n, 0],
      [4n, ERRNO.EIO],
      [6n, ERRNO.EIO],
    ]);
  });

  test('forgets reach the filesystem and are not replied to', () => {
    const forgotten: [number, number][] = [];
    const { device } = serve({ forget: (nodeid, nlookup) => void forgotten.push([nodeid, nlookup]) });
    device.deliver(message(Op.FORGET, [u64(2)], { nodeid: 5 }));
    device.deliver(message(Op.BATCH_FORGET, [u32(2), u32(0), u64(6), u64(1), u64(7), u64(3)]));
    expect(forgotten).toEqual([
      [5, 2],
      [6, 1],
      [7, 3],
    ]);
    expect(device.replies).toEqual([]);
  });

  test('the buffer of a WRITE that waits stays its own until it has settled', async () => {
    const gate = deferred<number>();
    let data: Buffer | undefined;
    const { device } = serve({
      write: (request: WriteRequest) => {
        data = request.data;
        return gate.promise;
      },
      flush: () => gate.promise.then(() => undefined),
    });
    const body = [u64(7), u64(0), u32(4), u32(0), u64(0), u64(0), Buffer.from('data')];
    expect(device.deliver(message(Op.WRITE, body, { unique: 2n }))).toBe(true);
    expect(device.deliver(flush(4n))).toBe(false); // decoded into copies: the buffer is free
    expect(data?.toString()).toBe('data');
    expect(device.recycled).toEqual([]);
    gate.resolve(4);
    await settle();
    expect(device.recycled).toHaveLength(1);
    expect(device.recycled[0]?.subarray(80, 84).toString()).toBe('data');
    expect(device.replies.map((reply) => reply.unique)).toEqual([2n, 4n]);
  });
});

describe('replies that the kernel does not take', () => {
  const operations = (undone: string[]): FuseOperations => ({
    lookup: () => ENTRY,
    create: () => ({ entry: ENTRY, open: { fh: 5, openFlags: 0 } }),
    open: () => ({ fh: 6, openFlags: 0 }),
    opendir: () => Promise.resolve({ fh: 7, openFlags: 0 }),
    readdirplus: (_request, _ctx, writer) => {
      writer.addBare(Buffer.from('.'), 1, 1, 0o040000);
      writer.add(Buffer.from('a'), 2, ENTRY);
      writer.add(Buffer.from('b'), 3, { ...ENTRY, nodeid: 10 });
    },
    forget: (nodeid, count) => void undone.push(`forget ${nodeid} ${count}`),
    undoOpen: (nodeid, fh, kind) => void undone.push(`close ${nodeid} ${fh} ${kind}`),
  });
  const requests: readonly (readonly [string, Buffer, readonly string[]])[] = [
    ['lookup', lookup(2n), ['forget 9 1']],
    ['create', message(Op.CREATE, [Buffer.alloc(16), cstr('x')]), ['close 9 5 file', 'forget 9 1']],
    ['open', message(Op.OPEN, [u64(0)], { nodeid: 3 }), ['close 3 6 file']],
    ['opendir', message(Op.OPENDIR, [u64(0)], { nodeid: 3 }), ['close 3 7 dir']],
    [
      'readdirplus',
      message(Op.READDIRPLUS, [u64(0), u64(0), u32(4096), u32(0), u64(0), u64(0)]),
      ['forget 9 1', 'forget 10 1'],
    ],
  ];

  test.each(requests)('%s is undone', async (_name, bytes, expected) => {
    const undone: string[] = [];
    const { device } = serve(operations(undone));
    device.replyErrnos.push(ERRNO.ENOENT);
    device.deliver(bytes);
    await settle();
    expect(undone).toEqual(expected);
    expect(device.replies).toEqual([]);
  });

  test('any other failure leaves the caller with EIO instead of waiting for ever', () => {
    const undone: string[] = [];
    const { device } = serve(operations(undone));
    device.replyErrnos.push(ERRNO.ENOMEM);
    device.deliver(lookup(2n));
    expect(device.replies).toMatchObject([{ unique: 2n, errno: ERRNO.EIO }]);
    expect(undone).toEqual(['forget 9 1']);
  });
});

describe('INTERRUPT', () => {
  const interruption = (ctx: FuseContext): Promise<void> =>
    new Promise((_resolve, reject) => {
      if (ctx.signal.aborted) reject(ctx.signal.reason as Error);
      ctx.signal.addEventListener('abort', () => {
        reject(ctx.signal.reason as Error);
      });
    });
  /** A filesystem whose flush waits until it is interrupted. */
  const waiting: FuseOperations = {
    flush: (_request, ctx) => interruption(ctx),
  };

  test('ends the request it names with EINTR, and only that', async () => {
    const { device, session } = serve(waiting);
    device.deliver(flush(2n));
    device.deliver(flush(4n));
    device.deliver(interrupt(2n));
    device.deliver(interrupt(2n));
    await settle();
    expect(device.replies).toMatchObject([{ unique: 2n, errno: ERRNO.EINTR }]);
    expect(session.inFlight).toBe(1);
    expect(device.handler.isBusy()).toBe(true);
  });

  test('of a re-sent request finds it by the id without the resend bit', async () => {
    const { device } = serve(waiting);
    device.deliver(flush(0x8000_0000_0000_0002n));
    device.deliver(interrupt(0x8000_0000_0000_0002n));
    await settle();
    expect(device.replies).toMatchObject([{ unique: 0x8000_0000_0000_0002n, errno: ERRNO.EINTR }]);
  });

  test('that comes before its request is remembered', async () => {
    const { device } = serve(waiting);
    device.deliver(interrupt(6n));
    device.deliver(flush(6n));
    await settle();
    expect(device.replies).toMatchObject([{ unique: 6n, errno: ERRNO.EINTR }]);
  });

  test('of a caller that lives on ends nothing; once it is dying, the request ends', async () => {
    let dying = false;
    const { device, session } = serve(waiting, silentLogger, () => dying);
    device.deliver(flush(2n));
    device.deliver(interrupt(4n));
    device.deliver(flush(4n));
    device.deliver(interrupt(2n));
    await settle();
    expect(device.replies).toEqual([]);
    dying = true;
    while (session.inFlight > 0) await settle();
    expect(device.replies).toMatchObject([{ errno: ERRNO.EINTR }, { errno: ERRNO.EINTR }]);
  });

  test('of a caller that cannot be seen ends the request', async () => {
    const { device } = serve(waiting, silentLogger, () => undefined);
    device.deliver(flush(2n));
    device.deliver(interrupt(2n));
    await settle();
    expect(device.replies).toMatchObject([{ unique: 2n, errno: ERRNO.EINTR }]);
  });

  test('ends the wait for a lock whatever the signal', async () => {
    const { device } = serve({ setlk: (_request, ctx) => interruption(ctx) }, silentLogger, () => false);
    device.deliver(message(Op.SETLKW, [Buffer.alloc(48)], { unique: 2n }));
    device.deliver(interrupt(2n));
    await settle();
    expect(device.replies).toMatchObject([{ unique: 2n, errno: ERRNO.EINTR }]);
  });

  test.each([
    ['SIGKILL of the thread', { SigPnd: 0x100n }, true],
    ['SIGTERM of the process', { ShdPnd: 0x4000n }, true],
    ['SIGTERM that is caught', { ShdPnd: 0x4000n, SigCgt: 0x4000n }, false],
    ['SIGTERM that is ignored', { ShdPnd: 0x4000n, SigIgn: 0x4000n }, false],
    ['SIGTERM that is blocked', { ShdPnd: 0x4000n, SigBlk: 0x4000n }, false],
    ['a caught SIGALRM before SIGTERM', { ShdPnd: 0x6000n, SigCgt: 0x2000n }, true],
    ['SIGCHLD and SIGWINCH', { ShdPnd: 0x8010000n }, false],
    ['nothing', {}, false],
  ])('pending %s', (_name, masks, expected) => {
    const all: Record<string, bigint> = { SigPnd: 0n, ShdPnd: 0n, SigBlk: 0n, SigIgn: 0n, SigCgt: 0n, ...masks };
    const lines = Object.entries(all).map(([name, mask]) => `${name}:\t${mask.toString(16).padStart(16, '0')}`);
    expect(parseDying(`Name:\tx\nSigQ:\t1/2\n${lines.join('\n')}\n`)).toBe(expected);
  });

  test('this thread lives, and none of another pid namespace is seen', () => {
    expect(isDying(process.pid)).toBe(false);
    expect(isDying(0)).toBeUndefined();
    expect(isDying(2 ** 30)).toBeUndefined();
  });

  test('memory of early interrupts is bounded', async () => {
    const { device } = serve(waiting);
    for (let i = 1n; i <= 1000n; i++) device.deliver(interrupt(i * 2n));
    device.deliver(flush(2n)); // long forgotten
    device.deliver(flush(2000n));
    await settle();
    expect(device.replies).toMatchObject([{ unique: 2000n, errno: ERRNO.EINTR }]);
  });

  test('a handler that does not listen finishes as it likes', async () => {
    const gate = deferred<void>();
    let context: FuseContext | undefined;
    const { device } = serve({
      flush: (_request, ctx) => {
        context = ctx;
        return gate.promise;
      },
    });
    device.deliver(flush(2n));
    expect(context?.interrupted).toBe(false);
    device.deliver(interrupt(2n));
    expect(context?.interrupted).toBe(true);
    expect(context?.signal.aborted).toBe(true); // made after the fact
    gate.resolve();
    await settle();
    expect(device.replies).toMatchObject([{ unique: 2n, errno: 0 }]);
  });
});

describe('end', () => {
  test.each([
    [{ kind: 'unmounted' }, { kind: 'unmounted' }],
    [{ kind: 'aborted' }, { kind: 'aborted' }],
    [
      { kind: 'failed', errno: 5 },
      { kind: 'failed', error: expect.objectContaining({ code: 'device-failed' }) },
    ],
  ] as const)('of the device: %j', async (deviceEnd, expected) => {
    const { device, session } = serve({});
    device.end(deviceEnd);
    expect(await session.ended).toEqual(expected);
    expect(session.state).toBe('ended');
  });

  test('interrupts what is in flight', async () => {
    let context: FuseContext | undefined;
    const { device } = serve({
      flush: (_request, ctx) => {
        context = ctx;
        return new Promise(() => undefined);
      },
    });
    device.deliver(flush(2n));
    device.end({ kind: 'unmounted' });
    expect(context?.signal.reason).toMatchObject({ code: 'EINTR' });
  });

  test('drain stops reading, waits for the handlers, and can be taken back', async () => {
    const gate = deferred<void>();
    const { device, session } = serve({ flush: () => gate.promise });
    device.deliver(flush(2n));
    const drained = session.drain();
    expect(device.paused).toBe(true);
    expect(session.state).toBe('draining');
    await expect(session.drain(AbortSignal.timeout(5))).rejects.toMatchObject({ name: 'TimeoutError' });
    gate.resolve();
    await drained;
    expect(device.replies).toHaveLength(1);
    session.resume();
    expect(device.paused).toBe(false);
    expect(session.state).toBe('serving');
  });

  test('close is idempotent', async () => {
    const { device, session } = serve({});
    await session.close();
    await session.close();
    expect(device.closed).toBe(true);
    expect(await session.ended).toEqual({ kind: 'closed' });
  });
});

describe('exactly one reply', () => {
  type Step = {
    readonly kind: 'sync' | 'async' | 'throw' | 'reject' | 'malformed' | 'interrupt' | 'settle';
    readonly pick: number;
  };

  test('whatever handlers do, in whatever order they finish', async () => {
    const steps = fc.array(
      fc.record({
        kind: fc.constantFrom<Step['kind']>('sync', 'async', 'throw', 'reject', 'malformed', 'interrupt', 'settle'),
        pick: fc.nat(),
      }),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (plan: readonly Step[]) => {
        const pending: { resolve: () => void; reject: (error: Error) => void; step: Step }[] = [];
        let step: Step = { kind: 'sync', pick: 0 };
        const { device, session } = serve({
          flush: () => {
            if (step.kind === 'sync') return undefined;
            if (step.kind === 'throw') throw new FsError('EACCES');
            const gate = deferred<void>();
            pending.push({ resolve: gate.resolve, reject: gate.reject, step });
            return gate.promise;
          },
        });
        const sent: bigint[] = [];
        const finish = (index: number): void => {
          const [item] = pending.splice(index, 1);
          if (item?.step.kind === 'reject') item.reject(new FsError('ENOSPC'));
          else item?.resolve();
        };
        for (step of plan) {
          const unique = BigInt(sent.length + 1) * 2n;
          if (step.kind === 'interrupt') {
            device.deliver(interrupt(BigInt(step.pick % (sent.length + 2)) * 2n));
          } else if (step.kind === 'settle') {
            if (pending.length > 0) finish(step.pick % pending.length);
          } else {
            sent.push(unique);
            device.deliver(step.kind === 'malformed' ? message(Op.FLUSH, [u32(1)], { unique }) : flush(unique));
          }
        }
        while (pending.length > 0) finish(0);
        await session.drain();
        const replied = device.replies.map((reply) => reply.unique).sort((a, b) => Number(a - b));
        expect(replied).toEqual(sent);
        expect(session.inFlight).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
