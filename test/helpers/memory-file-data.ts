import type { MaybePromise } from '../../src/common/maybe-promise.js';
import type { FileData, WriteOptions } from '../../src/data/file-data.js';
import { FsError } from '../../src/common/fs-error.js';
import type { SeekTarget } from '../../src/data/read/seeker.js';
import type { AllocateRequest, CopyRequest } from '../../src/data/write/range-changer.js';
import type { ExtentMap, Metadata, OpContext, SetAttr } from '../../src/meta/metadata.js';
import type { Ino } from '../../src/model/ids.js';
import { type InodeAttr, S_ISGID, S_ISUID, S_IXGRP } from '../../src/model/inode.js';

interface Content {
  bytes: Buffer;
  /** Privileges were killed by a write and the metadata does not know. */
  killed: boolean;
  change: number;
}

/** File content in memory, never committed: what is in it is laid over the metadata, as a journal's overlay is. For tests of the VFS. */
export class MemoryFileData implements FileData {
  readonly #meta: Metadata;
  readonly #content = new Map<Ino, Content>();
  /** Operations that tests count. */
  readonly calls: string[] = [];
  /** Errors per inode, as failed uploads leave them. */
  readonly #errors = new Map<Ino, Error[]>();

  constructor(meta: Metadata) {
    this.#meta = meta;
  }

  /** An upload of the inode has failed. */
  fail(ino: Ino, error: Error): void {
    this.#errors.set(ino, [...(this.#errors.get(ino) ?? []), error]);
  }

  opened(attr: InodeAttr, _extents: ExtentMap | undefined): void {
    this.calls.push(`opened ${attr.ino}`);
  }

  released(ino: Ino): void {
    this.calls.push(`released ${ino}`);
  }

  read(ino: Ino, offset: number, length: number): readonly Uint8Array[] {
    const bytes = this.#content.get(ino)?.bytes ?? Buffer.alloc(0);
    return [bytes.subarray(offset, offset + length)];
  }

  write(ino: Ino, offset: number, data: Uint8Array, options: WriteOptions): number {
    const content = this.#ensure(ino);
    const at = options.append ? content.bytes.length : offset;
    const end = options.fromPageCache ? Math.min(content.bytes.length, at + data.length) : at + data.length;
    if (end > content.bytes.length) content.bytes = resize(content.bytes, end);
    content.bytes.set(data.subarray(0, Math.max(0, end - at)), Math.min(at, content.bytes.length));
    if (options.killPriv) content.killed = true;
    content.change += 1;
    return data.length;
  }

  async setattr(ctx: OpContext, ino: Ino, change: SetAttr): Promise<InodeAttr> {
    this.calls.push(`setattr ${ino}`);
    const attr = await this.#meta.setattr(ctx, ino, change);
    const content = this.#content.get(ino);
    if (change.size !== undefined && content !== undefined) content.bytes = resize(content.bytes, change.size);
    if (change.size !== undefined && content === undefined) this.#ensure(ino).bytes = Buffer.alloc(change.size);
    if (change.mode !== undefined && content !== undefined) content.killed = false;
    return this.overlay(attr);
  }

  async fallocate(ctx: OpContext, ino: Ino, request: AllocateRequest): Promise<void> {
    this.calls.push(`fallocate ${request.mode} ${ino}`);
    await this.#meta.fallocate(ctx, ino, { ...request, sizeAtLeast: 0, killPriv: false });
    const { mode, offset, length, keepSize } = request;
    const content = this.#ensure(ino);
    const end = offset + length;
    if (mode !== 'allocate') content.bytes.subarray(offset, end).fill(0);
    if (mode !== 'punch' && !keepSize && end > content.bytes.length) content.bytes = resize(content.bytes, end);
  }

  async copyRange(_ctx: OpContext, ino: Ino, request: CopyRequest): Promise<number> {
    this.calls.push(`copyRange ${request.source} ${ino}`);
    const from = this.#content.get(request.source)?.bytes ?? Buffer.alloc(0);
    const data = Buffer.from(from.subarray(request.sourceOffset, request.sourceOffset + request.length));
    if (data.length > 0)
      this.write(ino, request.offset, data, { append: false, fromPageCache: false, killPriv: false });
    return data.length;
  }

  seek(ino: Ino, offset: number, target: SeekTarget): number {
    const size = this.#content.get(ino)?.bytes.length ?? 0;
    if (offset >= size) throw new FsError('ENXIO');
    return target === 'data' ? offset : size;
  }

  overlay(attr: InodeAttr): InodeAttr {
    const content = this.#content.get(attr.ino);
    if (content === undefined) return attr;
    const kill = S_ISUID | ((attr.mode & S_IXGRP) !== 0 ? S_ISGID : 0);
    return { ...attr, size: content.bytes.length, mode: content.killed ? attr.mode & ~kill : attr.mode };
  }

  flush(ino: Ino): void {
    this.calls.push(`flush ${ino}`);
  }

  publish(ino: Ino): MaybePromise<void> {
    this.calls.push(`publish ${ino}`);
    return undefined;
  }

  async fsync(ino: Ino): Promise<void> {
    this.calls.push(`fsync ${ino}`);
  }

  errorMark(ino: Ino): number {
    return this.#errors.get(ino)?.length ?? 0;
  }

  takeError(ino: Ino, mark: number): { readonly mark: number; readonly error: Error } | undefined {
    const errors = this.#errors.get(ino) ?? [];
    const error = errors[mark];
    return error === undefined ? undefined : { mark: errors.length, error };
  }

  discard(ino: Ino): void {
    this.calls.push(`discard ${ino}`);
    this.#content.delete(ino);
  }

  async drain(): Promise<void> {
    this.calls.push('drain');
  }

  async close(): Promise<void> {
    this.#content.clear();
  }

  #ensure(ino: Ino): Content {
    let content = this.#content.get(ino);
    if (content === undefined) {
      content = { bytes: Buffer.alloc(0), killed: false, change: 0 };
      this.#content.set(ino, content);
    }
    return content;
  }
}

function resize(bytes: Buffer, size: number): Buffer {
  if (size <= bytes.length) return Buffer.from(bytes.subarray(0, size));
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
}
