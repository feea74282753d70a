import { writeFileSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/common/clock.js';
import { errorMessage } from '../../src/common/fs-error.js';
import type { Logger } from '../../src/common/logger.js';
import { noMetrics } from '../../src/common/metrics.js';
import { createDevice } from '../../src/fuse/device/create-device.js';
import { openFuseDevice } from '../../src/fuse/device/open-fuse-device.js';
import type { FuseOperations } from '../../src/fuse/fuse-operations.js';
import { mountFuse, mountWithFusermount } from '../../src/fuse/mount/mount-fuse.js';
import { tuneReadAhead } from '../../src/fuse/mount/tune-mount.js';
import { unmountFuse } from '../../src/fuse/mount/unmount-fuse.js';
import { KernelNotifier } from '../../src/fuse/notify.js';
import { FuseSession } from '../../src/fuse/session/fuse-session.js';
import { isDying } from '../../src/fuse/session/is-dying.js';
import { DEFAULT_INIT_CONFIG, type NegotiatedInit } from '../../src/fuse/session/negotiate.js';
import { NullFilesystem } from './null-filesystem.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** native or fallback */
    device: { type: 'string' },
    /** addon, command or fusermount */
    mount: { type: 'string' },
    /** Answer every request by a promise that takes a turn of the event loop. */
    async: { type: 'boolean', default: false },
    /** Longest active wait for the next request, in microseconds. */
    spin: { type: 'string', default: '60' },
    /** How long the kernel may cache names and attributes, in milliseconds. */
    ttl: { type: 'string', default: '1000' },
    /** Serve this mounted descriptor instead of opening and mounting one. */
    fd: { type: 'string' },
    /** Where the negotiated INIT is written, or (with --resume) read from. */
    state: { type: 'string' },
    resume: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

const [target] = positionals;
if (target === undefined) throw new Error('usage: node bench/nullfs/run.js MOUNTPOINT [--device native|fallback]');
process.chdir('/');

const line =
  (level: string) =>
  (message: string, fields?: Readonly<Record<string, unknown>>): void => {
    if (level !== 'debug' && (values.verbose || level === 'warn' || level === 'error'))
      process.stderr.write(`${level} ${message} ${fields === undefined ? '' : JSON.stringify(fields)}\n`);
  };
const logger: Logger = {
  debug: line('debug'),
  info: line('info'),
  warn: line('warn'),
  error: line('error'),
  child: () => logger,
};

/** The same filesystem with a turn of the event loop before every answer. */
function asynchronous(operations: FuseOperations): FuseOperations {
  return new Proxy(operations, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const method = value as (...args: unknown[]) => unknown;
      if (property === 'forget' || property === 'undoOpen') return method.bind(target);
      return async (...args: unknown[]) => {
        await new Promise((resolve) => setImmediate(resolve));
        return method.apply(target, args);
      };
    },
  });
}

/** The mounted device: inherited, or opened and mounted here. */
async function mountedDevice(mountpoint: string): Promise<number> {
  if (values.fd !== undefined) return Number(values.fd);
  const where = { source: 'nullfs', target: mountpoint, subtype: 'nullfs' };
  const options = { defaultPermissions: true, allowOther: true };
  if (values.mount === 'fusermount') return mountWithFusermount({ ...where, options });
  const opened = openFuseDevice();
  const method = values.mount as 'addon' | 'command' | undefined;
  await mountFuse({ fd: opened, ...where, options, method });
  return opened;
}

const fd = await mountedDevice(target);
const device = createDevice(
  { logger },
  {
    fd,
    kind: values.device as 'native' | 'fallback' | undefined,
    maxWriteBytes: DEFAULT_INIT_CONFIG.maxWriteBytes,
    spinUs: Number(values.spin),
  },
);
const filesystem = new NullFilesystem({ ttlMs: Number(values.ttl) });
const resume =
  values.resume && values.state !== undefined
    ? (JSON.parse(readFileSync(values.state, 'utf8')) as NegotiatedInit)
    : undefined;
const session = new FuseSession(
  {
    device,
    operations: values.async ? asynchronous(filesystem) : filesystem,
    logger,
    metrics: noMetrics,
    clock: systemClock,
    isDying,
  },
  { init: DEFAULT_INIT_CONFIG, ...(resume && { resume }) },
);
session.start();
const init = await session.initialized;
const notifier = new KernelNotifier({ device, logger, metrics: noMetrics }, { init, queueMax: 1024 });
if (resume !== undefined) {
  const errno = await notifier.resend();
  if (errno !== 0) throw new Error(`resend failed: errno ${errno}`);
} else if (values.state !== undefined) {
  writeFileSync(values.state, JSON.stringify(init));
}
await tuneReadAhead({ logger }, target, 4 << 20);
process.stdout.write('ready\n');

/** For the tests: one of every notification that needs no change of the tree. */
process.on('SIGUSR2', () => {
  for (const name of ['n1', 'n2', 'none']) notifier.expireEntry(1, Buffer.from(name));
  for (let nodeid = 1; nodeid < 20; nodeid++) {
    notifier.invalData(nodeid);
    notifier.invalAttr(nodeid);
  }
  notifier.incEpoch();
  void notifier.settled().then(() => process.stdout.write('notified\n'));
});
process.once('SIGTERM', () => {
  unmountFuse(target, { lazy: true, timeoutMs: 5000 }).catch((error: unknown) => {
    logger.error('unmount failed', { error: errorMessage(error) });
  });
});
const end = await session.ended;
await session.close();
process.stdout.write(`ended ${end.kind}\n`);
