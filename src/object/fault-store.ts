import { systemClock, type Clock } from '../common/clock.js';
import { ObjectError, type ObjectErrorCode } from './object-error.js';
import type { ByteRange, ObjectStore } from './object-store.js';
import { StoreDecorator, type StoreCall, type StoreOperation } from './store-decorator.js';

/** What a {@link FaultStore} does to the calls it applies to. */
export type StoreFault =
  /** Fails before the inner store sees it. */
  | { readonly kind: 'fail'; readonly code: ObjectErrorCode }
  /** The inner store performs it, and the caller is told that it failed: a lost answer. */
  | { readonly kind: 'fail-after'; readonly code: ObjectErrorCode }
  | { readonly kind: 'delay'; readonly ms: number }
  /** Nothing happens until the caller aborts or the promise resolves. */
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  /** Flips a bit in the middle of what get returns. */
  | { readonly kind: 'corrupt' }
  /** get returns the first half. */
  | { readonly kind: 'truncate' };

interface Rule {
  readonly op: StoreOperation;
  readonly fault: StoreFault;
  skip: number;
  count: number;
}

/** Test faults around a store: rules apply to the calls of one operation, after some that pass, for a number of calls. */
export class FaultStore extends StoreDecorator {
  readonly #clock: Clock;
  /** INVARIANT: every rule has count > 0. */
  #rules: Rule[] = [];

  constructor(inner: ObjectStore, clock: Clock = systemClock) {
    super(inner);
    this.#clock = clock;
  }

  /** Adds a rule: `skip` calls of `op` pass, then `count` meet the fault. */
  add(op: StoreOperation, fault: StoreFault, { skip = 0, count = 1 }: { skip?: number; count?: number } = {}): void {
    this.#rules.push({ op, fault, skip, count });
  }

  /** The `n`th call of `op` from now (1 = the next) fails with `code`. */
  failNth(op: StoreOperation, n: number, code: ObjectErrorCode): void {
    this.add(op, { kind: 'fail', code }, { skip: n - 1 });
  }

  clear(): void {
    this.#rules = [];
  }

  override async get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    let fault: StoreFault | undefined;
    const body = await this.#perform(
      { op: 'get', key, signal, send: (s) => this.inner.get(key, range, s) },
      (taken) => (fault = taken),
    );
    if (fault?.kind === 'truncate') return body.subarray(0, body.length >> 1);
    if (fault?.kind !== 'corrupt' || body.length === 0) return body;
    const copy = Buffer.from(body);
    copy.writeUInt8(copy.readUInt8(copy.length >> 1) ^ 1, copy.length >> 1);
    return copy;
  }

  protected around<T>(call: StoreCall<T>): Promise<T> {
    return this.#perform(call, () => undefined);
  }

  async #perform<T>(call: StoreCall<T>, onFault: (fault: StoreFault) => void): Promise<T> {
    const fault = this.#take(call.op);
    if (fault === undefined) return call.send(call.signal);
    onFault(fault);
    switch (fault.kind) {
      case 'fail':
        throw injected(fault.code, call);
      case 'fail-after':
        await call.send(call.signal);
        throw injected(fault.code, call);
      case 'delay':
        await this.#clock.sleep(fault.ms, call.signal).catch(() => {
          throw injected('aborted', call);
        });
        return call.send(call.signal);
      case 'hold':
        await Promise.race([fault.until, aborted(call)]);
        return call.send(call.signal);
      case 'corrupt':
      case 'truncate':
        return call.send(call.signal);
    }
  }

  #take(op: StoreOperation): StoreFault | undefined {
    const rule = this.#rules.find((each) => each.op === op);
    if (rule === undefined) return undefined;
    if (rule.skip > 0) {
      rule.skip--;
      return undefined;
    }
    if (--rule.count <= 0) this.#rules.splice(this.#rules.indexOf(rule), 1);
    return rule.fault;
  }
}

function injected(code: ObjectErrorCode, call: StoreCall<unknown>): ObjectError {
  return new ObjectError(code, `${call.op} ${call.key}: ${code} injected by the test`);
}

/** Rejects when the caller aborts; never settles without a signal. */
function aborted(call: StoreCall<unknown>): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => reject(injected('aborted', call));
    if (call.signal?.aborted === true) fail();
    else call.signal?.addEventListener('abort', fail, { once: true });
  });
}
