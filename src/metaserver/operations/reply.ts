import { ERRNO } from '../../common/errno.js';
import { errnoOf, errorMessage } from '../../common/fs-error.js';
import { Response } from '../../gen/curvefs/v1/metaserver.js';
import type { InodeAttr } from '../../model/inode.js';
import { attrToProto } from '../../wire/attr.js';
import { WireError } from '../../wire/wire-error.js';

/** What an operation answers: new attributes of what it touched, the object first, then parents; and its result. */
export interface OpReply {
  readonly attrs: readonly InodeAttr[];
  readonly result?: Response['result'];
}

/** An encoded Response without the request id, which the stream puts before it: a resent operation has another one. */
export function encodeReply(reply: OpReply): Uint8Array {
  return Response.encode({
    requestId: 0n,
    errno: 0,
    message: '',
    attrs: reply.attrs.map(attrToProto),
    result: reply.result,
  }).finish();
}

export function encodeError(error: Error): Uint8Array {
  // a request that breaks the protocol is the client's bug, not an I/O error
  const errno = error instanceof WireError ? ERRNO.EINVAL : errnoOf(error);
  return Response.encode({ requestId: 0n, errno, message: errorMessage(error), attrs: [], result: undefined }).finish();
}
