import type { Closable } from './closable.js';

/**
 * What a composition root has opened, in order: `close` closes it in reverse, all of it, and then throws the first error. Idempotent.
 */
export class CloseStack implements Closable {
  /** INVARIANT: what is open, oldest first. */
  readonly #open: Closable[] = [];
  #closed: Promise<void> | undefined;

  /** Adds something that is open; returns it. */
  use<T extends Closable>(part: T): T {
    this.#open.push(part);
    return part;
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll();
    return this.#closed;
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = [];
    for (let part = this.#open.pop(); part !== undefined; part = this.#open.pop()) {
      try {
        await part.close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
