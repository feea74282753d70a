import { errnoOf, errorMessage, FsError } from '../../src/common/fs-error.js';
import { must } from '../../src/common/assert.js';
import type { Request, Response } from '../../src/gen/curvefs/v1/metaserver.js';
import type { Fh, Ino, SessionId } from '../../src/model/ids.js';
import type { InodeAttr } from '../../src/model/inode.js';
import { attrToProto } from '../../src/wire/attr.js';
import { blocksToProto } from '../../src/wire/extent.js';
import {
  bufferOf,
  accessesFromProto,
  cloneSpecFromProto,
  commitSpecFromProto,
  createSpecFromProto,
  dirEntryToProto,
  fallocateSpecFromProto,
  openSpecFromProto,
  renameFromProto,
  setAttrFromProto,
  swapSpecFromProto,
} from '../../src/wire/operation.js';
import type { MemoryNamespace } from './memory-namespace.js';

const ino = (value: bigint): Ino => Number(value) as Ino;

/** Executes a request of the session stream on a namespace in memory, and answers as the metaserver does. */
export function executeRequest(
  namespace: MemoryNamespace,
  session: SessionId,
  request: Request,
  entriesPerPage = 1000,
): Response {
  const reply = (attrs: readonly InodeAttr[], result?: Response['result']): Response => ({
    requestId: request.requestId,
    errno: 0,
    message: '',
    attrs: attrs.map(attrToProto),
    result,
  });
  /** Attributes of what is still there. */
  const attrs = (...inos: (Ino | undefined)[]): InodeAttr[] =>
    inos.flatMap((each) => (each !== undefined && namespace.has(each) ? [namespace.attr(each)] : []));
  const op = must(request.op, 'op');
  const execute = (): Response => {
    switch (op.$case) {
      case 'ping':
      case 'barrier':
        return reply([]);
      case 'lookup': {
        const attr = namespace.lookup(ino(op.value.parent), op.value.name);
        if (attr === undefined) throw new FsError('ENOENT');
        return reply([attr]);
      }
      case 'getattr':
        return reply([namespace.attr(ino(op.value.ino))]);
      case 'setattr':
        return reply([namespace.setattr(session, ino(op.value.ino), setAttrFromProto(op.value))]);
      case 'readlink': {
        const target = bufferOf(namespace.readlink(ino(op.value.ino)));
        return reply(attrs(ino(op.value.ino)), { $case: 'readlink', value: { target } });
      }
      case 'create': {
        const parent = ino(op.value.parent);
        const { attr, created } = namespace.create(session, parent, op.value.name, createSpecFromProto(op.value));
        return reply([attr, ...attrs(parent)], { $case: 'create', value: { created } });
      }
      case 'link': {
        const parent = ino(op.value.newParent);
        return reply([namespace.link(ino(op.value.ino), parent, op.value.newName), ...attrs(parent)]);
      }
      case 'unlink':
      case 'rmdir': {
        const parent = ino(op.value.parent);
        const object = namespace.lookup(parent, op.value.name)?.ino;
        namespace[op.$case](parent, op.value.name);
        return reply(attrs(object, parent));
      }
      case 'rename': {
        const { from, to, flags, whiteout } = renameFromProto(op.value);
        const moved = namespace.lookup(from.parent, from.name)?.ino;
        const other = namespace.lookup(to.parent, to.name)?.ino;
        namespace.rename(from, to, flags, whiteout);
        const parents = from.parent === to.parent ? [from.parent] : [from.parent, to.parent];
        return reply(attrs(moved, ...parents, other === moved ? undefined : other));
      }
      case 'readdir': {
        const { afterCookie, withAttrs } = op.value;
        const dir = ino(op.value.ino);
        const { entries, end } = namespace.readdir(dir, Number(afterCookie), withAttrs, entriesPerPage);
        return reply(attrs(dir), { $case: 'readdir', value: { entries: entries.map(dirEntryToProto), end } });
      }
      case 'open':
        return reply([namespace.open(session, ino(op.value.ino), openSpecFromProto(op.value.spec))]);
      case 'readExtents': {
        const { firstBlock, blockCount } = op.value;
        const blocks = blocksToProto(namespace.extents(ino(op.value.ino), firstBlock, blockCount));
        return reply(attrs(ino(op.value.ino)), {
          $case: 'extents',
          value: { blocks, nextBlock: firstBlock + blockCount },
        });
      }
      case 'commitExtents':
        return reply([namespace.commit(session, ino(op.value.ino), commitSpecFromProto(op.value))]);
      case 'swapExtents': {
        const swapped = namespace.swap(ino(op.value.ino), swapSpecFromProto(op.value));
        return reply(attrs(ino(op.value.ino)), { $case: 'swap', value: { swapped } });
      }
      case 'fallocate': {
        const { attr, done } = namespace.fallocate(session, ino(op.value.ino), fallocateSpecFromProto(op.value));
        return reply([attr], { $case: 'range', value: { done: BigInt(done) } });
      }
      case 'cloneRange': {
        const { attr, done } = namespace.clone(session, ino(op.value.ino), cloneSpecFromProto(op.value));
        return reply([attr], { $case: 'range', value: { done: BigInt(done) } });
      }
      case 'updateAtimes': {
        const accesses = accessesFromProto(op.value);
        for (const access of accesses) namespace.accessed(access.ino, access.atime);
        return reply(attrs(...accesses.map((access) => access.ino)));
      }
      case 'getxattr': {
        const value = namespace.getxattr(ino(op.value.ino), op.value.name);
        const xattr = { found: value !== undefined, value: bufferOf(value ?? new Uint8Array()) };
        return reply(attrs(ino(op.value.ino)), { $case: 'xattr', value: xattr });
      }
      case 'listxattr': {
        const names = namespace.listxattr(ino(op.value.ino)).map(bufferOf);
        return reply(attrs(ino(op.value.ino)), { $case: 'xattrNames', value: { names } });
      }
      case 'setxattr':
        namespace.setxattr(ino(op.value.ino), op.value.name, op.value.value, op.value.flags);
        return reply(attrs(ino(op.value.ino)));
      case 'removexattr':
        namespace.removexattr(ino(op.value.ino), op.value.name);
        return reply(attrs(ino(op.value.ino)));
      case 'statfs': {
        const usedBytes = BigInt(namespace.usedBytes);
        const usedInodes = BigInt(namespace.inodeCount);
        return reply([], { $case: 'statfs', value: { capacityBytes: 0n, usedBytes, inodesMax: 0n, usedInodes } });
      }
      case 'reserve':
        return reply([], { $case: 'reserve', value: { granted: BigInt(Number.MAX_SAFE_INTEGER), freeing: false } });
      case 'setLock':
      case 'getLock':
      case 'cancelLock':
      case 'queryOps':
      case 'adoptCheck':
      case 'adoptEnd':
        throw new FsError('ENOSYS');
    }
  };
  try {
    return execute();
  } catch (error) {
    return {
      requestId: request.requestId,
      errno: errnoOf(error),
      message: errorMessage(error),
      attrs: [],
      result: undefined,
    };
  }
}

/** Ends opens, as the releases of a frame do. */
export function executeRelease(
  namespace: MemoryNamespace,
  session: SessionId,
  release: { ino: bigint; fh: bigint },
): void {
  namespace.release(session, ino(release.ino), Number(release.fh) as Fh);
}
