import { FUSE_KERNEL_MINOR_VERSION, FUSE_KERNEL_VERSION, InitBit, type InitFlag } from '../abi/flags.js';
import type { InitRequest } from '../codec/requests.js';

/** What we want of the connection. */
export interface InitConfig {
  /** Largest WRITE and READ; a multiple of 4096, at most 1 MiB unless `fs.fuse.max_pages_limit` was raised. */
  readonly maxWriteBytes: number;
  /** Requests that the kernel keeps in flight by itself: read-ahead, async direct I/O, write-back, release. */
  readonly maxBackground: number;
  /** `always` costs attributes for every entry and saves a lookup each; `auto` leaves the choice to the kernel's heuristic. */
  readonly readdirplus: 'always' | 'auto' | 'never';
  /** The kernel gathers small writes and owns size and mtime: for a filesystem that only this mount writes to. */
  readonly writebackCache: boolean;
  /** fcntl locks come to the server; otherwise the kernel keeps them, for this machine alone. */
  readonly posixLocks: boolean;
  /** The same of flock. */
  readonly flockLocks: boolean;
  /** The server stores POSIX ACLs and applies the umask itself. */
  readonly posixAcl: boolean;
  /** LOOKUP of `.` and `..` works for any nodeid ever given out, so that file handles survive the kernel's eviction of the inode. */
  readonly exportSupport: boolean;
  /** Cached data is dropped when mtime or size changed (`auto`), or only when the server says so (`explicit`). */
  readonly dataInvalidation: 'auto' | 'explicit';
}

/** The INIT profile of fuse.md section 2. */
export const DEFAULT_INIT_CONFIG: InitConfig = {
  maxWriteBytes: 1 << 20,
  maxBackground: 256,
  readdirplus: 'always',
  writebackCache: false,
  posixLocks: false,
  flockLocks: false,
  posixAcl: false,
  exportSupport: true,
  dataInvalidation: 'auto',
};

/**
 * What was agreed at INIT. It holds for the life of the connection, INIT is never repeated: a process that takes the connection over
 * gets this from its predecessor. Plain JSON.
 */
export interface NegotiatedInit {
  readonly major: number;
  readonly minor: number;
  /** Bits of the reply; `flags2` are bits 32 and up. */
  readonly flags: number;
  readonly flags2: number;
  /** Bits that the kernel offered. */
  readonly offeredFlags: number;
  readonly offeredFlags2: number;
  readonly maxReadahead: number;
  readonly maxBackground: number;
  readonly congestionThreshold: number;
  readonly maxWriteBytes: number;
  readonly maxPages: number;
}

/** The outcome of an INIT request. */
export type InitOutcome =
  | { readonly kind: 'agreed'; readonly negotiated: NegotiatedInit }
  /** The kernel speaks a newer major version: it will send another INIT after a reply with ours. */
  | { readonly kind: 'downgrade' }
  /** The kernel is older than anything we support. */
  | { readonly kind: 'refused'; readonly reason: string };

const PAGE = 4096;
const MAX_PAGES_DEFAULT = 32;
const MAX_PAGES_MAX = 65_535;
/** Kernel 5.4. */
const MINOR_MIN = 31;

const isSet = (flags: number, flags2: number, flag: InitFlag): boolean => {
  const bit = InitBit[flag];
  return bit < 32 ? ((flags >>> bit) & 1) === 1 : ((flags2 >>> (bit - 32)) & 1) === 1;
};

/** True when the flag was agreed on. */
export function negotiated(init: NegotiatedInit, flag: InitFlag): boolean {
  return isSet(init.flags, init.flags2, flag);
}

/** True when the kernel offered the flag: the test for features that need no agreement. */
export function offered(init: NegotiatedInit, flag: InitFlag): boolean {
  return isSet(init.offeredFlags, init.offeredFlags2, flag);
}

function wantedFlags(config: InitConfig): readonly InitFlag[] {
  const wanted: InitFlag[] = [
    'ASYNC_READ',
    'ATOMIC_O_TRUNC',
    'BIG_WRITES',
    'ASYNC_DIO',
    'PARALLEL_DIROPS',
    'HANDLE_KILLPRIV_V2',
    'ABORT_ERROR',
    'MAX_PAGES',
    'CACHE_SYMLINKS',
    'CREATE_SUPP_GROUP',
    'HAS_EXPIRE_ONLY',
    'DIRECT_IO_ALLOW_MMAP',
    'HAS_RESEND',
    'INIT_EXT',
  ];
  if (config.readdirplus !== 'never') wanted.push('DO_READDIRPLUS');
  if (config.readdirplus === 'auto') wanted.push('READDIRPLUS_AUTO');
  if (config.writebackCache) wanted.push('WRITEBACK_CACHE');
  if (config.posixLocks) wanted.push('POSIX_LOCKS');
  if (config.flockLocks) wanted.push('FLOCK_LOCKS');
  if (config.posixAcl) wanted.push('POSIX_ACL', 'DONT_MASK', 'SETXATTR_EXT');
  wanted.push(config.exportSupport ? 'EXPORT_SUPPORT' : 'NO_EXPORT_SUPPORT');
  wanted.push(config.dataInvalidation === 'auto' ? 'AUTO_INVAL_DATA' : 'EXPLICIT_INVAL_DATA');
  return wanted;
}

/** Decides the reply to INIT: wanted bits that the kernel offers, sizes within what the kernel can do. Pure. */
export function negotiate(kernel: InitRequest, config: InitConfig): InitOutcome {
  if (kernel.major > FUSE_KERNEL_VERSION) return { kind: 'downgrade' };
  if (kernel.major < FUSE_KERNEL_VERSION || kernel.minor < MINOR_MIN)
    return {
      kind: 'refused',
      reason: `the kernel speaks FUSE ${kernel.major}.${kernel.minor}, at least 7.${MINOR_MIN} (Linux 5.4) is needed`,
    };

  const extended = isSet(kernel.flags, 0, 'INIT_EXT');
  const offeredFlags2 = extended ? kernel.flags2 : 0;
  let flags = 0;
  let flags2 = 0;
  for (const flag of wantedFlags(config)) {
    if (!isSet(kernel.flags, offeredFlags2, flag)) continue;
    const bit = InitBit[flag];
    if (bit < 32) flags = (flags | (1 << bit)) >>> 0;
    else flags2 = (flags2 | (1 << (bit - 32))) >>> 0;
  }
  const pagesWanted = Math.min(MAX_PAGES_MAX, Math.max(1, Math.floor(config.maxWriteBytes / PAGE)));
  const maxPages = isSet(kernel.flags, 0, 'MAX_PAGES') ? pagesWanted : Math.min(MAX_PAGES_DEFAULT, pagesWanted);
  return {
    kind: 'agreed',
    negotiated: {
      major: FUSE_KERNEL_VERSION,
      minor: Math.min(kernel.minor, FUSE_KERNEL_MINOR_VERSION),
      flags,
      flags2,
      offeredFlags: kernel.flags,
      offeredFlags2,
      maxReadahead: kernel.maxReadahead,
      maxBackground: config.maxBackground,
      congestionThreshold: Math.floor((config.maxBackground * 3) / 4),
      maxWriteBytes: maxPages * PAGE,
      maxPages,
    },
  };
}
