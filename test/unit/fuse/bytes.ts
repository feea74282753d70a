/** Builders of kernel messages for the codec's tests: written from fuse_kernel.h by hand, apart from the code under test. */

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

export function cstr(text: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(text), Buffer.from([0])]);
}

export interface MessageOptions {
  readonly unique?: bigint;
  readonly nodeid?: number | bigint;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
  /** Goes after the body; counted in the header in units of 8 bytes. */
  readonly extension?: Buffer;
  /** Instead of the true length. */
  readonly length?: number;
}

/** A whole message: fuse_in_header and the parts of the body. */
export function message(opcode: number, body: readonly Buffer[], options: MessageOptions = {}): Buffer {
  const extension = options.extension ?? Buffer.alloc(0);
  const content = Buffer.concat([...body, extension]);
  return Buffer.concat([
    u32(options.length ?? 40 + content.length),
    u32(opcode),
    u64(options.unique ?? 2n),
    u64(options.nodeid ?? 1),
    u32(options.uid ?? 1000),
    u32(options.gid ?? 100),
    u32(options.pid ?? 4242),
    u16(extension.length / 8),
    u16(0),
    content,
  ]);
}
