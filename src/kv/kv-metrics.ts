import type { Counter, Histogram, MetricsRegistry } from '../common/metrics.js';

/** The metrics of the embedded engine. */
export function kvMetrics(
  registry: MetricsRegistry,
  read: { readonly backlogBytes: () => number; readonly usedBytes: () => number; readonly limitBytes: () => number },
): { readonly batches: Counter; readonly applySeconds: Histogram } {
  registry.gauge(
    { name: 'kv_backlog_bytes', help: 'Bytes of committed batches that are not applied to the tree yet' },
    read.backlogBytes,
  );
  registry.gauge({ name: 'kv_used_bytes', help: 'Bytes that the database uses' }, read.usedBytes);
  registry.gauge({ name: 'kv_limit_bytes', help: 'Bytes that the database may use' }, read.limitBytes);
  return {
    batches: registry.counter({ name: 'kv_batches_total', help: 'Batches committed' }),
    applySeconds: registry.histogram({
      name: 'kv_apply_seconds',
      help: 'Time to apply one layer of committed batches to the tree',
      // a layer is half a megabyte: milliseconds, unless the tree is not in memory
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2],
    }),
  };
}
