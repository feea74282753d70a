/** Branded ids: plain safe integers that the compiler keeps apart. */
declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/**
 * Inode number, `slot(12) << 40 | seq(40)`: allocated by the metaserver, never reused, stable for the file's life.
 * It is the FUSE nodeid as well (generation 0). The root is {@link ROOT_INO}; 0 means none.
 */
export type Ino = Branded<'Ino'>;
/**
 * File handle number, made by the VFS at open and unique in its session; it encodes the access mode, append and kind beside a serial
 * (`vfs/`). The server knows opens by (session, handle).
 */
export type Fh = Branded<'Fh'>;
/** An immutable object of the store, allocated by the MDS in ranges (persisted before hand-out), below 2^53, never reused. */
export type ChunkId = Branded<'ChunkId'>;
/** A filesystem, numbered by the MDS from 1, never reused. */
export type FsId = Branded<'FsId'>;
/** A mount's session at its metaserver, numbered per filesystem from 1, never reused. */
export type SessionId = Branded<'SessionId'>;

export const ROOT_INO = 1 as Ino;
export const NO_INO = 0 as Ino;

/** Bits of an inode number below the slot. */
const SLOT_SHIFT = 2 ** 40;

/** The inode number of `seq` in `slot` (architecture section 3). */
export function makeIno(slot: number, seq: number): Ino {
  return (slot * SLOT_SHIFT + seq) as Ino;
}

/** The slot that owns an inode. */
export function slotOf(ino: Ino): number {
  return Math.floor(ino / SLOT_SHIFT);
}
