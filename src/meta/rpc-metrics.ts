import type { Histogram, MetricsRegistry } from '../common/metrics.js';
import type { RequestOp } from './session-call.js';

/** From a loopback round trip to a server that makes applications wait. */
const SECONDS = [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 20];

/** Latency of metadata operations from call to reply, one histogram per operation, resolved at its first use. */
export class RpcMetrics {
  readonly #registry: MetricsRegistry;
  readonly #byOp = new Map<RequestOp['$case'], Histogram>();

  constructor(registry: MetricsRegistry) {
    this.#registry = registry;
  }

  observe(op: RequestOp['$case'], milliseconds: number): void {
    let histogram = this.#byOp.get(op);
    if (histogram === undefined) {
      histogram = this.#registry.histogram(
        { name: 'meta_rpc_seconds', help: 'Metadata operations, call to reply', labels: ['op'], buckets: SECONDS },
        { op },
      );
      this.#byOp.set(op, histogram);
    }
    histogram.observe(milliseconds / 1000);
  }
}
