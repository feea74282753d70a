import type { Clock } from '../../common/clock.js';
import { FsError } from '../../common/fs-error.js';
import { FuseOpcode } from '../abi/opcode.js';
import type { InFlight } from './in-flight.js';
import type { IsDying } from './is-dying.js';
import type { RequestContext } from './request-context.js';

const LOOK_EVERY_MS = 200;
const SETLKW: number = FuseOpcode.SETLKW;

/**
 * Decides what an INTERRUPT of the kernel means. The kernel sends one for any signal, once per request; but on a local filesystem no signal ends a call on a file unless it ends the process:
 * programs do not expect EINTR from chmod(2), and could not tell whether it was carried out. So a request is interrupted when its caller is dying, or waits for a
 * lock. A caller that lives is looked at again while its request is in flight, as no second INTERRUPT would tell of its end.
 */
export class Interrupts {
  readonly #inFlight: InFlight;
  readonly #isDying: IsDying;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  /** INVARIANT: what is here was in flight at the last look: bounded as those are. */
  readonly #watched = new Set<RequestContext>();
  #watching = false;

  constructor(deps: { readonly inFlight: InFlight; readonly isDying: IsDying; readonly clock: Clock }) {
    this.#inFlight = deps.inFlight;
    this.#isDying = deps.isDying;
    this.#clock = deps.clock;
  }

  /** The kernel tells of a signal to the request's caller. Of a caller that cannot be seen the worst is assumed, so that it can be killed. */
  signalled(context: RequestContext): void {
    if (context.opcode === SETLKW || this.#isDying(context.pid) !== false) interrupt(context);
    else this.#watch(context);
  }

  /** The session has ended. */
  stop(): void {
    this.#watched.clear();
    this.#stop.abort();
  }

  #watch(context: RequestContext): void {
    this.#watched.add(context);
    if (this.#watching) return;
    this.#watching = true;
    void this.#lookOften();
  }

  async #lookOften(): Promise<void> {
    while (this.#watched.size > 0) {
      try {
        await this.#clock.sleep(LOOK_EVERY_MS, this.#stop.signal);
      } catch {
        break; // stopped
      }
      for (const context of this.#watched) {
        const waits = this.#inFlight.has(context);
        if (waits && this.#isDying(context.pid) === false) continue;
        this.#watched.delete(context);
        if (waits) interrupt(context);
      }
    }
    this.#watching = false;
  }
}

function interrupt(context: RequestContext): void {
  context.interrupt(new FsError('EINTR', 'interrupted by the caller'));
}
