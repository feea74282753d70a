import type { Counter, Histogram, MetricsRegistry } from '../common/metrics.js';
import type { Journal } from './journal.js';

const labels = ['journal'] as const;

/** The metrics of a journal, labelled with its name. */
export function journalMetrics(
  registry: MetricsRegistry,
  name: string,
  journal: Pick<Journal, 'usedBytes' | 'capacityBytes'>,
): { readonly appendedBytes: Counter; readonly syncSeconds: Histogram } {
  const values = { journal: name };
  registry.gauge(
    { name: 'journal_used_bytes', help: 'Bytes of journal segments that hold retained records', labels },
    () => journal.usedBytes,
    values,
  );
  registry.gauge(
    { name: 'journal_capacity_bytes', help: 'Most bytes that journal segments may take', labels },
    () => journal.capacityBytes,
    values,
  );
  return {
    appendedBytes: registry.counter(
      { name: 'journal_appended_bytes_total', help: 'Bytes appended to the journal, record heads included', labels },
      values,
    ),
    syncSeconds: registry.histogram(
      {
        name: 'journal_sync_seconds',
        help: 'Latency of making the journal durable',
        labels,
        // NVMe answers in tens of microseconds, a busy cloud disk in tens of milliseconds
        buckets: [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1],
      },
      values,
    ),
  };
}
