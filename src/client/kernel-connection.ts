import type { Closable } from '../common/closable.js';

/** What serves the kernel: the driver of a mount, as the worker sees it. */
export interface KernelConnection extends Closable {
  /** Begins to serve; resolves when the kernel's first question is answered. */
  start(): Promise<void>;
  /** Resolves with the reason when the kernel has let go; never rejects. */
  readonly ended: Promise<string>;
}
