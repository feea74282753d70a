import { FUSE_EXPIRE_ONLY } from '../abi/flags.js';
import { FuseNotifyCode } from '../abi/opcode.js';
import {
  FUSE_NOTIFY_DELETE_OUT,
  FUSE_NOTIFY_INVAL_ENTRY_OUT,
  FUSE_NOTIFY_INVAL_INODE_OUT,
  FUSE_NOTIFY_PRUNE_OUT,
  FUSE_NOTIFY_STORE_OUT,
  FUSE_OUT_HEADER,
} from '../abi/structs.js';
import { ReplyWriter } from './reply-writer.js';

/*
 * Encoders of the messages that a server sends unasked. Each makes the whole message: header (unique 0, the code where a reply has its
 * errno), structure, names with their NUL, data.
 */

const HEADER = FUSE_OUT_HEADER.size;

function message(code: FuseNotifyCode, bodyBytes: number): ReplyWriter {
  const writer = new ReplyWriter(Buffer.alloc(HEADER + bodyBytes));
  writer.u32(FUSE_OUT_HEADER.offset.len, HEADER + bodyBytes);
  writer.u32(FUSE_OUT_HEADER.offset.error, code);
  return writer;
}

/** Drops the attributes; with `length` ≥ 0 also the cached data in [offset, offset + length), 0 = to the end of the file. */
export function encodeInvalInode(nodeid: number, offset: number, length: number): Buffer {
  const at = FUSE_NOTIFY_INVAL_INODE_OUT.offset;
  const w = message(FuseNotifyCode.INVAL_INODE, FUSE_NOTIFY_INVAL_INODE_OUT.size);
  w.u64(HEADER + at.ino, nodeid);
  w.u64(HEADER + at.off, offset);
  w.u64(HEADER + at.len, length);
  return w.buffer;
}

/** Drops only the attributes: never blocks. */
export function encodeInvalAttr(nodeid: number): Buffer {
  return encodeInvalInode(nodeid, -1, 0);
}

/** Removes a name from the cache, or (`expireOnly`) makes the kernel ask again at its next use. */
export function encodeInvalEntry(parent: number, name: Uint8Array, expireOnly: boolean): Buffer {
  const at = FUSE_NOTIFY_INVAL_ENTRY_OUT.offset;
  const size = FUSE_NOTIFY_INVAL_ENTRY_OUT.size;
  const w = message(FuseNotifyCode.INVAL_ENTRY, size + name.length + 1);
  w.u64(HEADER + at.parent, parent);
  w.u32(HEADER + at.namelen, name.length);
  w.u32(HEADER + at.flags, expireOnly ? FUSE_EXPIRE_ONLY : 0);
  w.buffer.set(name, HEADER + size);
  return w.buffer;
}

/** Removes a name of a node that was deleted elsewhere: watchers are told. */
export function encodeDelete(parent: number, child: number, name: Uint8Array): Buffer {
  const at = FUSE_NOTIFY_DELETE_OUT.offset;
  const size = FUSE_NOTIFY_DELETE_OUT.size;
  const w = message(FuseNotifyCode.DELETE, size + name.length + 1);
  w.u64(HEADER + at.parent, parent);
  w.u64(HEADER + at.child, child);
  w.u32(HEADER + at.namelen, name.length);
  w.buffer.set(name, HEADER + size);
  return w.buffer;
}

/** Puts data into the page cache of a file. */
export function encodeStore(nodeid: number, offset: number, data: Uint8Array): Buffer {
  const at = FUSE_NOTIFY_STORE_OUT.offset;
  const size = FUSE_NOTIFY_STORE_OUT.size;
  const w = message(FuseNotifyCode.STORE, size + data.length);
  w.u64(HEADER + at.nodeid, nodeid);
  w.u64(HEADER + at.offset, offset);
  w.u32(HEADER + at.size, data.length);
  w.buffer.set(data, HEADER + size);
  return w.buffer;
}

/** Has the kernel deliver again every request that was read and not answered (Linux 6.9). */
export function encodeResend(): Buffer {
  return message(FuseNotifyCode.RESEND, 0).buffer;
}

/** Makes every cached name and listing of the mount stale (protocol 7.44). */
export function encodeIncEpoch(): Buffer {
  return message(FuseNotifyCode.INC_EPOCH, 0).buffer;
}

/** Drops unreferenced cached inodes (protocol 7.45). */
export function encodePrune(nodeids: readonly number[]): Buffer {
  const size = FUSE_NOTIFY_PRUNE_OUT.size;
  const w = message(FuseNotifyCode.PRUNE, size + nodeids.length * 8);
  w.u32(HEADER + FUSE_NOTIFY_PRUNE_OUT.offset.count, nodeids.length);
  nodeids.forEach((nodeid, i) => {
    w.u64(HEADER + size + i * 8, nodeid);
  });
  return w.buffer;
}
