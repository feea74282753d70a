import type { Counter, Histogram, MetricSpec, MetricsRegistry } from '../../common/metrics.js';
import type { MetricDeclaration } from './messages.js';

/** Most events kept between two messages; more are dropped, for a metric is not worth memory. */
const EVENTS_MAX = 20_000;

/** The thread's side: collects declarations and events until {@link take} sends them. Gauges are the main thread's business and ignored. */
export class MetricsCollector implements MetricsRegistry {
  #declared: MetricDeclaration[] = [];
  #count = 0;
  #events: number[] = [];

  counter(spec: MetricSpec, labels: Readonly<Record<string, string>> = {}): Counter {
    const index = this.#declare('counter', spec, labels, []);
    return { inc: (by = 1) => this.#event(index, by) };
  }

  gauge(): void {
    // A gauge is read when scraped, which a thread cannot answer.
  }

  histogram(
    spec: MetricSpec & { readonly buckets: readonly number[] },
    labels: Readonly<Record<string, string>> = {},
  ): Histogram {
    const index = this.#declare('histogram', spec, labels, spec.buckets);
    return { observe: (value) => this.#event(index, value) };
  }

  /** What happened since the last call; undefined = nothing. */
  take(): { readonly declared: readonly MetricDeclaration[]; readonly events: readonly number[] } | undefined {
    if (this.#events.length === 0) return undefined;
    const result = { declared: this.#declared, events: this.#events };
    this.#declared = [];
    this.#events = [];
    return result;
  }

  #declare(
    type: 'counter' | 'histogram',
    spec: MetricSpec,
    labels: Readonly<Record<string, string>>,
    buckets: readonly number[],
  ): number {
    this.#declared.push({ type, name: spec.name, help: spec.help, labelNames: spec.labels ?? [], labels, buckets });
    return this.#count++;
  }

  #event(index: number, value: number): void {
    if (this.#events.length < EVENTS_MAX) this.#events.push(index, value);
  }
}

/** The main thread's side, one per thread: repeats the events on the process's registry. */
export class MetricsReplayer {
  readonly #metrics: MetricsRegistry;
  readonly #children: (Counter | Histogram)[] = [];

  constructor(metrics: MetricsRegistry) {
    this.#metrics = metrics;
  }

  replay(declared: readonly MetricDeclaration[], events: readonly number[]): void {
    for (const { type, name, help, labelNames, labels, buckets } of declared) {
      const spec = { name, help, labels: labelNames, buckets };
      this.#children.push(
        type === 'counter' ? this.#metrics.counter(spec, labels) : this.#metrics.histogram(spec, labels),
      );
    }
    for (let i = 0; i + 1 < events.length; i += 2) {
      const child = this.#children[events[i] ?? -1];
      const value = events[i + 1] ?? 0;
      if (child === undefined) continue;
      if ('inc' in child) child.inc(value);
      else child.observe(value);
    }
  }
}
