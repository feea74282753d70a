import type { Request, Response } from '../gen/curvefs/v1/metaserver.js';
import type { BlockExtents } from '../gen/curvefs/v1/common.js';
import { EXTENT_WIRE_BYTES } from './extent.js';

/** What a message takes besides names, values and lists: ids, numbers, tags. */
const FIXED_BYTES = 128;
/** Most that the attributes of one inode take. */
const ATTR_BYTES = 192;
const ENTRY_BYTES = 32;
const CHUNK_BYTES = 16;
const OP_ID_BYTES = 20;

/** An upper bound of a request's encoded size, cheap to compute: what frames are cut by. */
export function requestBytes(request: Request): number {
  const op = request.op;
  if (op === undefined) return FIXED_BYTES;
  switch (op.$case) {
    case 'lookup':
    case 'unlink':
    case 'rmdir':
    case 'getxattr':
    case 'removexattr':
      return FIXED_BYTES + op.value.name.length;
    case 'create':
      return FIXED_BYTES + op.value.name.length + op.value.target.length;
    case 'link':
      return FIXED_BYTES + op.value.newName.length;
    case 'rename':
      return FIXED_BYTES + op.value.name.length + op.value.newName.length;
    case 'setxattr':
      return FIXED_BYTES + op.value.name.length + op.value.value.length;
    case 'commitExtents':
      return FIXED_BYTES + blocksBytes(op.value.blocks) + op.value.chunks.length * CHUNK_BYTES;
    case 'swapExtents':
      return (
        FIXED_BYTES +
        blocksBytes(op.value.expected) +
        blocksBytes(op.value.replacement) +
        op.value.chunks.length * CHUNK_BYTES
      );
    case 'queryOps':
      return FIXED_BYTES + op.value.opIds.length * OP_ID_BYTES;
    default:
      return FIXED_BYTES;
  }
}

/** An upper bound of a response's encoded size. */
export function responseBytes(response: Response): number {
  const bytes = FIXED_BYTES + response.attrs.length * ATTR_BYTES + response.message.length * 3;
  const result = response.result;
  if (result === undefined) return bytes;
  switch (result.$case) {
    case 'readlink':
      return bytes + result.value.target.length;
    case 'readdir':
      return result.value.entries.reduce(
        (sum, { name, attr }) => sum + ENTRY_BYTES + name.length + (attr === undefined ? 0 : ATTR_BYTES),
        bytes,
      );
    case 'extents':
      return bytes + blocksBytes(result.value.blocks);
    case 'xattr':
      return bytes + result.value.value.length;
    case 'xattrNames':
      return result.value.names.reduce((sum, name) => sum + name.length + 4, bytes);
    case 'queryOps':
      return bytes + result.value.executed.length;
    default:
      return bytes;
  }
}

function blocksBytes(blocks: readonly BlockExtents[]): number {
  return blocks.reduce((sum, { extents }) => sum + 16 + extents.length * EXTENT_WIRE_BYTES, 0);
}
