import type { Counter, Histogram, MetricsRegistry } from '../../common/metrics.js';
import { OPCODE_TABLE } from '../opcode-table.js';

/** From 20 µs (answered in memory) to 30 s (a stalled store). */
const BUCKETS_SECONDS = [
  20e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 0.5, 2.5, 10, 30,
];

/** The session's metrics, label children resolved once per opcode. */
export class SessionMetrics {
  readonly duration: readonly (Histogram | undefined)[];
  readonly errors: readonly (Counter | undefined)[];
  readonly undecodable: Counter;
  readonly interrupts: Counter;
  readonly lostReplies: Counter;

  constructor(registry: MetricsRegistry, inFlight: () => number) {
    this.duration = OPCODE_TABLE.map(
      (row) =>
        row &&
        registry.histogram(
          {
            name: 'fuse_request_duration_seconds',
            help: 'Time from reading a kernel request to writing its reply',
            labels: ['op'],
            buckets: BUCKETS_SECONDS,
          },
          { op: row.name },
        ),
    );
    this.errors = OPCODE_TABLE.map(
      (row) =>
        row &&
        registry.counter(
          { name: 'fuse_request_errors_total', help: 'Kernel requests answered with an errno', labels: ['op'] },
          { op: row.name },
        ),
    );
    this.undecodable = registry.counter({
      name: 'fuse_undecodable_requests_total',
      help: 'Messages of the kernel that did not decode or have an unknown opcode',
    });
    this.interrupts = registry.counter({ name: 'fuse_interrupts_total', help: 'INTERRUPT messages of the kernel' });
    this.lostReplies = registry.counter({
      name: 'fuse_lost_replies_total',
      help: 'Replies that the kernel did not take (the request was aborted)',
    });
    registry.gauge(
      { name: 'fuse_in_flight_requests', help: 'Kernel requests whose handler has not finished' },
      inFlight,
    );
  }
}
