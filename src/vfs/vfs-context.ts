import type { OpContext } from '../meta/metadata.js';

/** Who asks for an operation, under which id, and whether the asking was given up. Members may be computed when they are read. */
export interface VfsContext extends OpContext {
  /** fsuid and fsgid of the caller; 0 for what the kernel does by itself. */
  readonly uid: number;
  readonly gid: number;
  /** Thread id of the caller, to look up the rest of its identity; 0 = unknown. */
  readonly tid: number;
  /** A supplementary group of the caller that the kernel vouches for: the parent directory's, when something is made in it. */
  readonly suppGid: number | undefined;
}

/** The same request's operation number `step`: one request may cause several operations on the server. */
export function withStep(ctx: VfsContext, step: number): OpContext {
  return { opId: { ...ctx.opId, step }, signal: ctx.signal };
}
