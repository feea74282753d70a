/**
 * Requests as the handlers see them: decoded bodies of the kernel's messages. Who asks, about which node, is in the request context.
 * Numbers are safe integers (the decoder refuses others); opaque 64-bit values are bigint. Names are bytes: owned copies, free to keep.
 */

/** A point in time: whole seconds (negative before 1970), nanoseconds in 0 … 999 999 999. */
export interface FuseTime {
  readonly sec: number;
  readonly nsec: number;
}

export interface LookupRequest {
  readonly name: Buffer;
}

export interface GetattrRequest {
  readonly fh: number | undefined;
}

/** Fields whose valid bit is unset are undefined. With `valid` 0 the kernel asks to drop setuid and setgid (fuse.md section 3). */
export interface SetattrRequest {
  /** The FATTR_* bits as they came. */
  readonly valid: number;
  readonly fh: number | undefined;
  /** With `S_IFMT` bits, as the kernel sends it. */
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly size: number | undefined;
  readonly atime: FuseTime | 'now' | undefined;
  readonly mtime: FuseTime | 'now' | undefined;
  readonly ctime: FuseTime | undefined;
  readonly lockOwner: bigint | undefined;
  /** The caller lacks CAP_FSETID: drop setuid and setgid (HANDLE_KILLPRIV_V2). */
  readonly killSuidgid: boolean;
}

export interface SymlinkRequest {
  readonly name: Buffer;
  readonly target: Buffer;
}

export interface MknodRequest {
  readonly name: Buffer;
  readonly mode: number;
  readonly rdev: number;
  readonly umask: number;
}

export interface MkdirRequest {
  readonly name: Buffer;
  readonly mode: number;
  readonly umask: number;
}

/** UNLINK and RMDIR. */
export interface UnlinkRequest {
  readonly name: Buffer;
}

/** RENAME (flags 0) and RENAME2. The old parent is the context's nodeid. */
export interface RenameRequest {
  readonly name: Buffer;
  readonly newParent: number;
  readonly newName: Buffer;
  readonly flags: number;
}

/** The new parent is the context's nodeid. */
export interface LinkRequest {
  readonly oldNodeid: number;
  readonly name: Buffer;
}

/** OPEN and OPENDIR. */
export interface OpenRequest {
  /** Flags of open(2) less O_CREAT, O_EXCL and O_NOCTTY. */
  readonly flags: number;
  readonly killSuidgid: boolean;
}

/** CREATE and TMPFILE (whose name means nothing). */
export interface CreateRequest {
  readonly name: Buffer;
  readonly flags: number;
  readonly mode: number;
  readonly umask: number;
  readonly killSuidgid: boolean;
}

export interface ReadRequest {
  readonly fh: number;
  readonly offset: number;
  readonly size: number;
  /** Flags of the open file now, as F_GETFL shows them. */
  readonly flags: number;
  readonly lockOwner: bigint | undefined;
}

export interface WriteRequest {
  readonly fh: number;
  readonly offset: number;
  /** In the device's buffer: valid until the handler has returned its value or its promise has settled. Copy to keep. */
  readonly data: Buffer;
  /** From the page cache (mmap): handle guessed, caller unknown, never extends the file. */
  readonly writeCache: boolean;
  readonly killSuidgid: boolean;
  readonly flags: number;
  readonly lockOwner: bigint | undefined;
}

/** RELEASE and RELEASEDIR. */
export interface ReleaseRequest {
  readonly fh: number;
  readonly flags: number;
  readonly flush: boolean;
  readonly flockUnlock: boolean;
  readonly lockOwner: bigint;
}

export interface FlushRequest {
  readonly fh: number;
  readonly lockOwner: bigint;
}

/** FSYNC and FSYNCDIR. */
export interface FsyncRequest {
  readonly fh: number;
  readonly datasync: boolean;
}

/** READDIR and READDIRPLUS: `offset` is the cookie after which to go on, 0 for the start. */
export interface ReaddirRequest {
  readonly fh: number;
  readonly offset: number;
  /** Size of the caller's buffer; the {@link import('./dirent-writer.js').DirentWriter} keeps to it. */
  readonly size: number;
  readonly flags: number;
}

export interface SetxattrRequest {
  readonly name: Buffer;
  readonly value: Buffer;
  /** XATTR_CREATE 1, XATTR_REPLACE 2. */
  readonly flags: number;
  readonly killSgid: boolean;
}

/** The handler answers with the whole value, whatever the size: the codec answers size queries and ERANGE. */
export interface GetxattrRequest {
  readonly name: Buffer;
  readonly size: number;
}

export interface ListxattrRequest {
  readonly size: number;
}

export interface RemovexattrRequest {
  readonly name: Buffer;
}

/** GETLK, SETLK and SETLKW. */
export interface LockRequest {
  readonly fh: number;
  readonly owner: bigint;
  readonly start: bigint;
  /** Inclusive; 2^63 - 1 means to the end of the file. */
  readonly end: bigint;
  /** F_RDLCK 0, F_WRLCK 1, F_UNLCK 2. */
  readonly type: number;
  readonly pid: number;
  readonly flock: boolean;
  /** SETLKW: wait for the lock. */
  readonly wait: boolean;
}

export interface AccessRequest {
  readonly mask: number;
}

export interface IoctlRequest {
  readonly fh: number;
  readonly flags: number;
  readonly cmd: number;
  readonly arg: bigint;
  readonly data: Buffer;
  readonly outSize: number;
}

export interface FallocateRequest {
  readonly fh: number;
  readonly offset: number;
  readonly length: number;
  readonly mode: number;
}

export interface LseekRequest {
  readonly fh: number;
  readonly offset: number;
  /** SEEK_DATA 3 or SEEK_HOLE 4. */
  readonly whence: number;
}

/** COPY_FILE_RANGE and COPY_FILE_RANGE_64: the source is the context's nodeid. */
export interface CopyFileRangeRequest {
  readonly fhIn: number;
  readonly offsetIn: number;
  readonly nodeidOut: number;
  readonly fhOut: number;
  readonly offsetOut: number;
  /** Clamped to 2^53 - 1; the older opcode can report at most 2^32 - 1, so its length is clamped to 2^31. A short copy is allowed. */
  readonly length: number;
  readonly flags: number;
}

export interface StatxRequest {
  readonly fh: number | undefined;
  readonly flags: number;
  readonly mask: number;
}

export interface InitRequest {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
  readonly flags2: number;
}

export interface InterruptRequest {
  readonly uniqueHi: number;
  readonly uniqueLo: number;
}

export interface ForgetOne {
  readonly nodeid: number;
  readonly nlookup: number;
}
