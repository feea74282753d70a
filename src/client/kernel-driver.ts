import { FuseSession, type FuseSessionDeps, type FuseSessionOptions } from '../fuse/session/fuse-session.js';
import type { KernelConnection } from './kernel-connection.js';

/** `driver=kernel`: the kernel protocol spoken by ourselves, on the descriptor that the supervisor mounted. */
export class KernelDriver implements KernelConnection {
  readonly #session: FuseSession;
  readonly ended: Promise<string>;

  constructor(deps: FuseSessionDeps, opts: FuseSessionOptions) {
    this.#session = new FuseSession(deps, opts);
    this.ended = this.#session.ended.then((end) => (end.kind === 'failed' ? end.error.message : end.kind));
  }

  async start(): Promise<void> {
    this.#session.start();
    await this.#session.initialized;
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}
