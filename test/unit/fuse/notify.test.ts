import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../../src/common/logger.js';
import { noMetrics } from '../../../src/common/metrics.js';
import {
  encodeDelete,
  encodeIncEpoch,
  encodeInvalAttr,
  encodeInvalEntry,
  encodeInvalInode,
  encodePrune,
  encodeResend,
  encodeStore,
} from '../../../src/fuse/codec/notification.js';
import { KernelNotifier } from '../../../src/fuse/notify.js';
import { DEFAULT_INIT_CONFIG, negotiate } from '../../../src/fuse/session/negotiate.js';
import { cstr, u32, u64 } from './bytes.js';
import { MockDevice } from './mock-device.js';

const whole = (code: number, ...body: Buffer[]): string => {
  const content = Buffer.concat(body);
  return Buffer.concat([u32(16 + content.length), u32(code), u64(0), content]).toString('hex');
};

describe('notification bytes', () => {
  test.each([
    ['inval_inode', encodeInvalInode(9, 4096, 0), whole(2, u64(9), u64(4096), u64(0))],
    ['inval_inode, attributes only', encodeInvalAttr(9), whole(2, u64(9), u64(-1), u64(0))],
    ['inval_entry', encodeInvalEntry(1, Buffer.from('ab'), false), whole(3, u64(1), u32(2), u32(0), cstr('ab'))],
    ['expire', encodeInvalEntry(1, Buffer.from('ab'), true), whole(3, u64(1), u32(2), u32(1), cstr('ab'))],
    ['store', encodeStore(9, 5, Buffer.from('xyz')), whole(4, u64(9), u64(5), u32(3), u32(0), Buffer.from('xyz'))],
    ['delete', encodeDelete(1, 9, Buffer.from('ab')), whole(6, u64(1), u64(9), u32(2), u32(0), cstr('ab'))],
    ['resend', encodeResend(), whole(7)],
    ['inc_epoch', encodeIncEpoch(), whole(8)],
    ['prune', encodePrune([9, 10]), whole(9, u32(2), u32(0), u64(0), u64(9), u64(10))],
  ])('%s', (_name, bytes, expected) => {
    expect(bytes.toString('hex')).toBe(expected);
  });
});

describe('KernelNotifier', () => {
  const setup = (minor = 45, queueMax = 100): { device: MockDevice; notifier: KernelNotifier; lost: () => number } => {
    const kernel = { major: 7, minor, maxReadahead: 0, flags: 0x73ff_fffb, flags2: 0x5fd };
    const outcome = negotiate(kernel, DEFAULT_INIT_CONFIG);
    if (outcome.kind !== 'agreed') throw new Error(outcome.kind);
    const device = new MockDevice();
    let lost = 0;
    const notifier = new KernelNotifier(
      { device, logger: silentLogger, metrics: noMetrics },
      { init: outcome.negotiated, queueMax, onLost: () => lost++ },
    );
    return { device, notifier, lost: () => lost };
  };
  /** Holds the device's notifications back until the result is called. */
  const hold = (device: MockDevice): (() => void) => {
    let open!: () => void;
    device.notifyGate = new Promise((resolve) => (open = resolve));
    return open;
  };

  test('what can block goes in its own lane', async () => {
    const { device, notifier } = setup();
    notifier.invalData(9);
    notifier.invalAttr(9);
    notifier.expireEntry(1, Buffer.from('x'));
    notifier.invalEntry(1, Buffer.from('y'));
    notifier.deleted(1, 9, Buffer.from('z'));
    notifier.incEpoch();
    notifier.prune([9]);
    await notifier.settled();
    const codes = (lane: string): number[] =>
      device.notifications.filter((item) => item.lane === lane).map((item) => item.message.readUInt32LE(4));
    expect(codes('blocking')).toEqual([2, 3, 3, 6]);
    expect(codes('free')).toEqual([2, 8, 9]);
  });

  test('the same thing twice while the lane is busy is sent once', async () => {
    const { device, notifier } = setup();
    const open = hold(device);
    for (let i = 0; i < 10; i++) {
      notifier.invalData(9);
      notifier.expireEntry(1, Buffer.from('x'));
    }
    open();
    await notifier.settled();
    // The first of each was on its way; the others merged.
    expect(device.notifications.map((item) => item.message.readUInt32LE(4))).toEqual([2, 3, 2]);
  });

  test('a full queue folds into an epoch and attribute invalidations', async () => {
    const { device, notifier, lost } = setup(45, 50);
    const open = hold(device);
    for (let i = 0; i < 30; i++) notifier.invalData(100 + i);
    for (let i = 0; i < 30; i++) notifier.expireEntry(1, Buffer.from(`name${i}`));
    open();
    await notifier.settled();
    const free = device.notifications.filter((item) => item.lane === 'free').map((item) => item.message);
    expect(free.filter((message) => message.readUInt32LE(4) === 8)).toHaveLength(1);
    // Node 100 was on its way already.
    expect(free.filter((message) => message.readUInt32LE(4) === 2).map((message) => message.readUInt32LE(16))).toEqual(
      Array.from({ length: 29 }, (_, i) => 101 + i),
    );
    expect(lost()).toBe(0);
  });

  test('where nothing coarser exists the caller is told', async () => {
    const old = setup(43, 10);
    const open = hold(old.device);
    for (let i = 0; i < 30; i++) old.notifier.expireEntry(1, Buffer.from(`name${i}`));
    expect(old.lost()).toBeGreaterThan(0);
    expect(old.notifier.incEpoch()).toBe(false);
    open();
    await old.notifier.settled();
    const attributes = setup(45, 10);
    const openAgain = hold(attributes.device);
    for (let i = 0; i < 30; i++) attributes.notifier.invalAttr(i + 2);
    expect(attributes.lost()).toBeGreaterThan(0);
    openAgain();
    await attributes.notifier.settled();
  });
});
