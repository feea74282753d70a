import { ERRNO } from '../../common/errno.js';
import { errnoOf, errorMessage } from '../../common/fs-error.js';
import { Response } from '../../gen/curvefs/v1/metaserver.js';
import type { InodeAttr } from '../../model/inode.js';
import type { DirEntry } from '../../model/operation.js';
import type { ReplyWriter } from '../../wire/reply-writer.js';
import { WireError } from '../../wire/wire-error.js';

/** What an operation answers: new attributes of what it touched, the object first, then parents; and its result. */
export interface OpReply {
  readonly attrs: readonly InodeAttr[];
  readonly result?: OpResult;
}

/** The results that are frequent or large, in the model's words; the others as the generated codec takes them. */
export type OpResult =
  | { readonly kind: 'created'; readonly created: boolean }
  /** ENOENT of a lookup: the most frequent error, without the cost of a throw. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'entries'; readonly entries: readonly DirEntry[]; readonly end: boolean }
  | { readonly kind: 'proto'; readonly result: NonNullable<Response['result']> };

/** An encoded Response without the request id, which the stream puts before it: a resent operation has another one. */
export function encodeReply(reply: OpReply, writer: ReplyWriter): Uint8Array {
  writer.begin().attrs(reply.attrs);
  const result = reply.result;
  switch (result?.kind) {
    case 'created':
      return writer.created(result.created).finish();
    case 'absent':
      return writer.errno(ERRNO.ENOENT).finish();
    case 'entries':
      return writer.entries(result.entries, result.end).finish();
    case 'proto':
      return writer.result(result.result).finish();
    case undefined:
      return writer.finish();
  }
}

export function encodeError(error: Error): Uint8Array {
  // a request that breaks the protocol is the client's bug, not an I/O error
  const errno = error instanceof WireError ? ERRNO.EINVAL : errnoOf(error);
  return Response.encode({ requestId: 0n, errno, message: errorMessage(error), attrs: [], result: undefined }).finish();
}
