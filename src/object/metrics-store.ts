import type { Clock } from '../common/clock.js';
import type { Counter, Histogram, MetricsRegistry } from '../common/metrics.js';
import { OBJECT_ERROR_CODES, ObjectError, type ObjectErrorCode } from './object-error.js';
import type { ByteRange, ObjectStore, PutCondition } from './object-store.js';
import { STORE_OPERATIONS, StoreDecorator, type StoreCall, type StoreOperation } from './store-decorator.js';

const METRICS = {
  duration: {
    name: 'object_request_duration_seconds',
    help: 'Time of an object request, failed ones too, without retries and without waiting for a slot',
    labels: ['op'],
    // From a small put on a local disk to the request time-out.
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60],
  },
  bytes: { name: 'object_bytes_total', help: 'Bytes of object bodies written and read', labels: ['direction'] },
  errors: { name: 'object_errors_total', help: 'Failed object requests by error code', labels: ['op', 'code'] },
} as const;

interface OperationMetrics {
  readonly duration: Histogram;
  readonly errors: ReadonlyMap<ObjectErrorCode, Counter>;
}

export interface MetricsStoreDeps {
  readonly inner: ObjectStore;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
}

/** Measures each request: the innermost decorator, so that one retry is one measurement. */
export class MetricsStore extends StoreDecorator {
  readonly #clock: Clock;
  readonly #operations: Readonly<Record<StoreOperation, OperationMetrics>>;
  readonly #written: Counter;
  readonly #read: Counter;

  constructor({ inner, metrics, clock }: MetricsStoreDeps) {
    super(inner);
    this.#clock = clock;
    const operation = (op: StoreOperation): OperationMetrics => ({
      duration: metrics.histogram(METRICS.duration, { op }),
      errors: new Map(OBJECT_ERROR_CODES.map((code) => [code, metrics.counter(METRICS.errors, { op, code })])),
    });
    this.#operations = Object.fromEntries(STORE_OPERATIONS.map((op) => [op, operation(op)])) as Record<
      StoreOperation,
      OperationMetrics
    >;
    this.#written = metrics.counter(METRICS.bytes, { direction: 'write' });
    this.#read = metrics.counter(METRICS.bytes, { direction: 'read' });
  }

  override async put(key: string, body: Uint8Array, signal?: AbortSignal, condition?: PutCondition): Promise<void> {
    await super.put(key, body, signal, condition);
    this.#written.inc(body.length);
  }

  override async get(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    const body = await super.get(key, range, signal);
    this.#read.inc(body.length);
    return body;
  }

  protected async around<T>(call: StoreCall<T>): Promise<T> {
    const { duration, errors } = this.#operations[call.op];
    const startMs = this.#clock.monotonicMs();
    try {
      return await call.send(call.signal);
    } catch (thrown) {
      const error = ObjectError.from(thrown, `${call.op} ${call.key}`);
      errors.get(error.code)?.inc();
      throw error;
    } finally {
      duration.observe((this.#clock.monotonicMs() - startMs) / 1000);
    }
  }
}
