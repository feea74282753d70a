import { describe, expect, test } from '@jest/globals';
import { InitBit, type InitFlag } from '../../../src/fuse/abi/flags.js';
import {
  DEFAULT_INIT_CONFIG,
  negotiate,
  negotiated,
  offered,
  type InitConfig,
  type NegotiatedInit,
} from '../../../src/fuse/session/negotiate.js';

/** Every bit up to the given one, less some. */
const bitsUpTo = (last: InitFlag, without: readonly InitFlag[] = []): { flags: number; flags2: number } => {
  let all = 0n;
  for (let bit = 0; bit <= InitBit[last]; bit++) all |= 1n << BigInt(bit);
  for (const flag of [...without, 'FILE_OPS', 'INIT_RESERVED'] as const) all &= ~(1n << BigInt(InitBit[flag]));
  return { flags: Number(all & 0xffff_ffffn), flags2: Number(all >> 32n) };
};

/** What kernels offer: protocol minor, last flag they know (Linux documentation of fuse_kernel.h's history). */
const KERNELS = {
  '5.4': { minor: 31, ...bitsUpTo('NO_OPENDIR_SUPPORT') },
  '5.15': { minor: 34, ...bitsUpTo('SETXATTR_EXT') },
  '6.1': { minor: 37, ...bitsUpTo('HAS_INODE_DAX', ['MAP_ALIGNMENT', 'SUBMOUNTS', 'HAS_INODE_DAX']) },
  '6.6': { minor: 39, ...bitsUpTo('DIRECT_IO_ALLOW_MMAP', ['MAP_ALIGNMENT', 'SUBMOUNTS', 'HAS_INODE_DAX']) },
  '6.12': { minor: 41, ...bitsUpTo('ALLOW_IDMAP', ['MAP_ALIGNMENT', 'SUBMOUNTS', 'HAS_INODE_DAX']) },
  '6.18': { minor: 45, flags: 0x73ff_fffb, flags2: 0x5fd },
} as const;

type Kernel = keyof typeof KERNELS;

function agree(kernel: Kernel, config: Partial<InitConfig> = {}): NegotiatedInit {
  const outcome = negotiate(
    { major: 7, maxReadahead: 131_072, ...KERNELS[kernel] },
    { ...DEFAULT_INIT_CONFIG, ...config },
  );
  if (outcome.kind !== 'agreed') throw new Error(outcome.kind);
  return outcome.negotiated;
}

const flagsOf = (init: NegotiatedInit): InitFlag[] =>
  (Object.keys(InitBit) as InitFlag[]).filter((flag) => negotiated(init, flag));

const BASE: readonly InitFlag[] = [
  ...(['ASYNC_READ', 'ATOMIC_O_TRUNC', 'EXPORT_SUPPORT', 'BIG_WRITES', 'AUTO_INVAL_DATA', 'DO_READDIRPLUS'] as const),
  ...(['ASYNC_DIO', 'PARALLEL_DIROPS', 'ABORT_ERROR', 'MAX_PAGES', 'CACHE_SYMLINKS'] as const),
];

const EXPECTED: Readonly<Record<Kernel, readonly InitFlag[]>> = {
  '5.4': BASE,
  '5.15': [...BASE, 'HANDLE_KILLPRIV_V2'],
  '6.1': [...BASE, 'HANDLE_KILLPRIV_V2', 'INIT_EXT'],
  '6.6': [...BASE, 'HANDLE_KILLPRIV_V2', 'INIT_EXT', 'CREATE_SUPP_GROUP', 'HAS_EXPIRE_ONLY', 'DIRECT_IO_ALLOW_MMAP'],
  '6.12': [
    ...BASE,
    ...(['HANDLE_KILLPRIV_V2', 'INIT_EXT', 'CREATE_SUPP_GROUP'] as const),
    ...(['HAS_EXPIRE_ONLY', 'DIRECT_IO_ALLOW_MMAP', 'HAS_RESEND'] as const),
  ],
  '6.18': [
    ...BASE,
    ...(['HANDLE_KILLPRIV_V2', 'INIT_EXT', 'CREATE_SUPP_GROUP'] as const),
    ...(['HAS_EXPIRE_ONLY', 'DIRECT_IO_ALLOW_MMAP', 'HAS_RESEND'] as const),
  ],
};

describe('negotiate', () => {
  test.each(Object.keys(KERNELS) as Kernel[])(
    'kernel %s: exactly the profile, and nothing that was not offered',
    (kernel) => {
      const init = agree(kernel);
      expect(flagsOf(init)).toEqual([...EXPECTED[kernel]].sort((a, b) => InitBit[a] - InitBit[b]));
      expect(init.flags & ~KERNELS[kernel].flags).toBe(0);
      expect(init.flags2 & ~KERNELS[kernel].flags2).toBe(0);
      expect(init).toMatchObject({
        major: 7,
        minor: KERNELS[kernel].minor,
        maxReadahead: 131_072,
        maxBackground: 256,
        congestionThreshold: 192,
        maxWriteBytes: 1 << 20,
        maxPages: 256,
      });
    },
  );

  test('the reply on 6.18 is the one that was seen to work', () => {
    expect(agree('6.18')).toMatchObject({ flags: 0x50e4_b039, flags2: 0x9c });
  });

  test.each([
    [{ writebackCache: true }, ['WRITEBACK_CACHE'], []],
    [{ posixLocks: true }, ['POSIX_LOCKS'], []],
    [{ flockLocks: true }, ['FLOCK_LOCKS'], []],
    [{ posixAcl: true }, ['POSIX_ACL', 'DONT_MASK', 'SETXATTR_EXT'], []],
    [{ readdirplus: 'auto' }, ['READDIRPLUS_AUTO'], []],
    [{ readdirplus: 'never' }, [], ['DO_READDIRPLUS']],
    [{ exportSupport: false }, ['NO_EXPORT_SUPPORT'], ['EXPORT_SUPPORT']],
    [{ dataInvalidation: 'explicit' }, ['EXPLICIT_INVAL_DATA'], ['AUTO_INVAL_DATA']],
  ] as const)('%j changes only what it names', (config, added, removed) => {
    const plain = new Set(flagsOf(agree('6.18')));
    const changed = new Set(flagsOf(agree('6.18', config)));
    expect([...changed].filter((flag) => !plain.has(flag)).sort()).toEqual([...added].sort());
    expect([...plain].filter((flag) => !changed.has(flag)).sort()).toEqual([...removed].sort());
  });

  test('without MAX_PAGES writes are 128 KiB at most', () => {
    const kernel = {
      major: 7,
      minor: 31,
      maxReadahead: 0,
      flags: KERNELS['5.4'].flags & ~(1 << InitBit.MAX_PAGES),
      flags2: 0,
    };
    expect(negotiate(kernel, DEFAULT_INIT_CONFIG)).toMatchObject({
      negotiated: { maxWriteBytes: 131_072, maxPages: 32 },
    });
  });

  test('bits above 31 count only when the kernel says that it sent them', () => {
    const kernel = { major: 7, minor: 31, maxReadahead: 0, flags: 0, flags2: 0xffff_ffff };
    const outcome = negotiate(kernel, DEFAULT_INIT_CONFIG);
    expect(outcome).toMatchObject({ negotiated: { flags2: 0, offeredFlags2: 0 } });
  });

  test('what was offered can be asked for later', () => {
    const init = agree('6.18');
    expect(offered(init, 'PASSTHROUGH')).toBe(true);
    expect(negotiated(init, 'PASSTHROUGH')).toBe(false);
    expect(offered(agree('5.4'), 'HAS_RESEND')).toBe(false);
  });

  test('other major versions, and kernels before 5.4', () => {
    const kernel = { maxReadahead: 0, flags: 0, flags2: 0 };
    expect(negotiate({ ...kernel, major: 8, minor: 0 }, DEFAULT_INIT_CONFIG)).toEqual({ kind: 'downgrade' });
    for (const [major, minor] of [
      [6, 45],
      [7, 30],
    ] as const)
      expect(negotiate({ ...kernel, major, minor }, DEFAULT_INIT_CONFIG)).toMatchObject({ kind: 'refused' });
    expect(negotiate({ ...kernel, major: 7, minor: 99 }, DEFAULT_INIT_CONFIG)).toMatchObject({
      negotiated: { minor: 45 },
    });
  });
});
