import { ERRNO } from '../common/errno.js';
import type { Logger } from '../common/logger.js';
import type { Counter, MetricsRegistry } from '../common/metrics.js';
import {
  encodeDelete,
  encodeIncEpoch,
  encodeInvalAttr,
  encodeInvalEntry,
  encodeInvalInode,
  encodePrune,
  encodeResend,
} from './codec/notification.js';
import type { FuseDevice, NotifyLane } from './device/fuse-device.js';
import { offered, type NegotiatedInit } from './session/negotiate.js';

export interface KernelNotifierDeps {
  readonly device: FuseDevice;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
}

export interface KernelNotifierOptions {
  readonly init: NegotiatedInit;
  /** Most notifications queued in a lane; above it they are folded into coarser ones. */
  readonly queueMax: number;
  /** Called when something was dropped that no coarser notification covers: attributes, or names before 7.44. The caller's TTLs decide then. */
  readonly onLost?: () => void;
}

/** Minor version of the protocol that knows INC_EPOCH. */
const MINOR_INC_EPOCH = 44;

/** One lane: a queue that merges what is queued under the same key, sent one at a time so that merging has a chance. */
interface Lane {
  readonly name: NotifyLane;
  readonly queue: Map<string, () => Buffer>;
  sending: boolean;
}

/**
 * Tells the kernel to drop what it caches. Queues and returns at once: a notification may block in the kernel behind a request that is
 * not answered yet, so nobody who answers requests may wait for one ({@link settled} is for tests and shutdown).
 *
 * Data invalidations cover a whole file, and same-key notifications merge. When a lane is full, names fold into one INC_EPOCH and data
 * invalidations into attribute ones, after which the kernel drops data itself when it sees another mtime or size (AUTO_INVAL_DATA).
 */
export class KernelNotifier {
  readonly #device: FuseDevice;
  readonly #logger: Logger;
  readonly #options: KernelNotifierOptions;
  readonly #expire: boolean;
  readonly #epoch: boolean;
  readonly #sent: Counter;
  readonly #folded: Counter;
  readonly #blocking: Lane = { name: 'blocking', queue: new Map(), sending: false };
  readonly #free: Lane = { name: 'free', queue: new Map(), sending: false };
  #settled: (() => void)[] = [];

  constructor(deps: KernelNotifierDeps, options: KernelNotifierOptions) {
    this.#device = deps.device;
    this.#logger = deps.logger.child('fuse-notify');
    this.#options = options;
    this.#expire = offered(options.init, 'HAS_EXPIRE_ONLY');
    this.#epoch = options.init.minor >= MINOR_INC_EPOCH;
    this.#sent = deps.metrics.counter({ name: 'fuse_notifications_total', help: 'Notifications sent to the kernel' });
    this.#folded = deps.metrics.counter({
      name: 'fuse_notifications_folded_total',
      help: 'Times a full notification queue was folded into coarser notifications',
    });
    deps.metrics.gauge(
      { name: 'fuse_notifications_queued', help: 'Notifications that wait to be sent' },
      () => this.#blocking.queue.size + this.#free.queue.size,
    );
  }

  /** Attributes of a node changed. Never blocks. */
  invalAttr(nodeid: number): void {
    this.#push(this.#free, `a${nodeid}`, () => encodeInvalAttr(nodeid));
  }

  /** Data (and attributes) of a file changed. */
  invalData(nodeid: number): void {
    this.#push(this.#blocking, `d${nodeid}`, () => encodeInvalInode(nodeid, 0, 0));
  }

  /** What a name stands for may have changed: the kernel asks again. Harmless to a directory that is somebody's cwd. */
  expireEntry(parent: number, name: Uint8Array): void {
    const copy = Buffer.from(name);
    this.#push(this.#blocking, entryKey(parent, copy), () => encodeInvalEntry(parent, copy, this.#expire));
  }

  /** A name is known to be gone or replaced. */
  invalEntry(parent: number, name: Uint8Array): void {
    const copy = Buffer.from(name);
    this.#push(this.#blocking, entryKey(parent, copy), () => encodeInvalEntry(parent, copy, false));
  }

  /** A name of `child` was deleted elsewhere: inotify watchers are told. */
  deleted(parent: number, child: number, name: Uint8Array): void {
    const copy = Buffer.from(name);
    this.#push(this.#blocking, entryKey(parent, copy), () => encodeDelete(parent, child, copy));
  }

  /** Nothing cached by name is to be trusted any more. False when the kernel cannot be told so (before 7.44). */
  incEpoch(): boolean {
    if (this.#epoch) this.#push(this.#free, 'epoch', encodeIncEpoch);
    return this.#epoch;
  }

  /** Drop these inodes where nothing refers to them. */
  prune(nodeids: readonly number[]): void {
    const copy = [...nodeids];
    this.#push(this.#free, `p${copy.join()}`, () => encodePrune(copy));
  }

  /** Has the kernel send again what a dead predecessor left unanswered. Resolves with 0 or a positive errno. */
  resend(): Promise<number> {
    return this.#device.notify(encodeResend(), 'free');
  }

  /** Resolves when both lanes are empty. Must not be awaited by anything that a kernel request waits for. */
  settled(): Promise<void> {
    if (this.#isSettled()) return Promise.resolve();
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  #isSettled(): boolean {
    return [this.#blocking, this.#free].every((lane) => !lane.sending && lane.queue.size === 0);
  }

  #push(lane: Lane, key: string, encode: () => Buffer): void {
    lane.queue.set(key, encode); // in the place of an older one of its key, if there is one
    if (lane.queue.size > this.#options.queueMax) this.#fold(lane);
    if (!lane.sending) void this.#send(lane);
  }

  async #send(lane: Lane): Promise<void> {
    lane.sending = true;
    for (const [key, encode] of lane.queue) {
      lane.queue.delete(key);
      this.#sent.inc();
      const errno = await this.#device.notify(encode(), lane.name);
      // ENOENT: the kernel does not know the node or the name, so there was nothing to drop.
      if (errno !== 0 && errno !== ERRNO.ENOENT && errno !== ERRNO.ENODEV && errno !== ERRNO.ENOTEMPTY)
        this.#logger.warn('notification failed', { key, errno });
    }
    lane.sending = false;
    if (!this.#isSettled()) return;
    const waiters = this.#settled;
    this.#settled = [];
    for (const waiter of waiters) waiter();
  }

  /** Replaces what is queued by something coarser that has a bounded size. */
  #fold(lane: Lane): void {
    this.#folded.inc();
    const keys = [...lane.queue.keys()];
    lane.queue.clear();
    this.#logger.warn('notification queue full, folding', { lane: lane.name, count: keys.length });
    const namesCovered = this.incEpoch();
    if (lane === this.#free || !namesCovered) this.#options.onLost?.();
    if (lane === this.#free) return;
    for (const key of keys) if (key.startsWith('d')) this.invalAttr(Number(key.slice(1)));
  }
}

const entryKey = (parent: number, name: Buffer): string => `e${parent}/${name.toString('latin1')}`;
