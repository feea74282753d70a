import type { FuseAttr } from '../../src/fuse/codec/replies.js';
import type { FuseTime } from '../../src/fuse/codec/requests.js';

const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;

const BLOCK_BYTES = 1 << 17;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Content in blocks of 128 KiB; a missing one is a hole. */
class Content {
  readonly #blocks: (Buffer | undefined)[] = [];
  size = 0;

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length;) {
      const at = offset + done;
      const index = Math.floor(at / BLOCK_BYTES);
      const start = at % BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES - start, data.length - done);
      const block = (this.#blocks[index] ??= Buffer.alloc(BLOCK_BYTES));
      block.set(data.subarray(done, done + length), start);
      done += length;
    }
    this.size = Math.max(this.size, offset + data.length);
  }

  /** Views of the blocks, not copies. */
  read(offset: number, length: number): Uint8Array[] {
    const end = Math.min(offset + length, this.size);
    const chunks: Uint8Array[] = [];
    for (let at = offset; at < end;) {
      const start = at % BLOCK_BYTES;
      const take = Math.min(BLOCK_BYTES - start, end - at);
      chunks.push((this.#blocks[Math.floor(at / BLOCK_BYTES)] ?? ZEROS).subarray(start, start + take));
      at += take;
    }
    return chunks;
  }

  truncate(size: number): void {
    if (size < this.size) {
      const last = Math.ceil(size / BLOCK_BYTES);
      this.#blocks.length = Math.min(this.#blocks.length, last);
      this.#blocks[last - 1]?.fill(0, size % BLOCK_BYTES || BLOCK_BYTES);
    }
    this.size = size;
  }

  get allocatedBytes(): number {
    return this.#blocks.reduce((sum, block) => sum + (block?.length ?? 0), 0);
  }
}

/** A node of the tree; it is its own attributes. */
export class NullNode implements FuseAttr {
  nlink = 1;
  rdev = 0;
  atime: FuseTime;
  mtime: FuseTime;
  ctime: FuseTime;
  lookups = 0;
  opens = 0;
  target: Buffer = Buffer.alloc(0);
  readonly content = new Content();
  /** By name in latin1, in order of creation; the cookie of an entry is its serial. */
  readonly children: Map<string, { readonly cookie: number; readonly node: NullNode }> | undefined;
  nextCookie = 3; // 1 and 2 are `.` and `..`

  constructor(
    readonly ino: number,
    public mode: number,
    public uid: number,
    public gid: number,
    public parent: NullNode | undefined,
  ) {
    this.atime = this.mtime = this.ctime = nowTime();
    if ((mode & S_IFMT) === S_IFDIR) {
      this.nlink = 2;
      this.children = new Map();
    }
  }

  get size(): number {
    return (this.mode & S_IFMT) === S_IFLNK ? this.target.length : this.content.size;
  }

  get allocatedBytes(): number {
    return this.content.allocatedBytes;
  }

  get isDirectory(): boolean {
    return this.children !== undefined;
  }

  /** Modification and change time are now. */
  touch(): void {
    this.mtime = this.ctime = nowTime();
  }
}

export function nowTime(): FuseTime {
  const ms = Date.now();
  const sec = Math.floor(ms / 1000);
  return { sec, nsec: (ms - sec * 1000) * 1_000_000 };
}
