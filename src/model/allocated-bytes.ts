import type { Extent } from './extent.js';
import { ALLOCATION_UNIT_BYTES } from './inode.js';

/** Bytes that a block's extents allocate: the 4 KiB units that they touch, each once. */
export function allocatedBytes(extents: readonly Extent[]): number {
  let units = 0;
  let counted = 0;
  for (const { offset, length } of extents) {
    const first = Math.max(counted, Math.floor(offset / ALLOCATION_UNIT_BYTES));
    const end = Math.ceil((offset + length) / ALLOCATION_UNIT_BYTES);
    if (end > first) {
      units += end - first;
      counted = end;
    }
  }
  return units * ALLOCATION_UNIT_BYTES;
}
